//! Two instances of the presence service: it does not matter which one a gateway asks, nor whether one is lost (C11).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tonic::Request;
use viberchat_kit::auth::{ON_BEHALF_OF, Scope};
use viberchat_proto::presence::v1::{
    BatchGetPresenceRequest, Status as Shown, presence_service_client::PresenceServiceClient,
};
use viberchat_tests::{
    client::{Client, channel, socket::Encoding},
    cluster::{Presences, Server, Settings},
    history::{Door, Push, Recorder, Status},
};

/// A change shows within this time, also after an instance was lost.
const LIMIT: Duration = Duration::from_secs(15);

/// Until an instance that has just come knows who is offline: its grace after the start, and some.
const SETTLING_LIMIT: Duration = Duration::from_secs(25);

const POLL: Duration = Duration::from_millis(20);

/// What may have been lost is said again. Sessions have so many signals and no more.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A member who is never there.
const GHOST: &str = "ghost";

/// So many at each gateway that both instances have to do with some of them.
const SUBJECTS: [&str; 6] = ["bob0", "bob1", "bob2", "bob3", "bob4", "bob5"];

/// Two who watch, each at a gateway, and those whom they watch, half of them at each.
struct Stage {
    cluster: Presences,
    recorder: Recorder,
    watchers: Vec<Client>,
    subjects: Vec<Client>,
    group: String,
}

impl Stage {
    async fn open(settings: &Settings) -> Result<Self> {
        let (cluster, recorder) = (Presences::start(settings).await?, Recorder::default());
        let mut clients = Vec::new();
        for (place, name) in ["ann", "eve"].into_iter().chain(SUBJECTS).enumerate() {
            let gateway = &cluster.gateways[place % 2];
            let mut client = Client::with_encoding(gateway, name, Encoding::Binary, &recorder)?;
            client.connect().await?;
            clients.push(client);
        }
        let subjects = clients.split_off(2);
        let watched: Vec<_> = SUBJECTS.map(str::to_owned).to_vec();
        let others: Vec<_> = watched.iter().cloned().chain(["eve".to_owned(), GHOST.to_owned()]).collect();
        let group = clients[0].create_group(Door::Socket, &others, "group").await?;
        let stage = Self { cluster, recorder, watchers: clients, subjects, group };
        for watcher in &stage.watchers {
            watcher.focus(std::slice::from_ref(&stage.group)).await?;
            watcher.watch_presence(&watched).await?;
        }
        for subject in &stage.subjects {
            stage.all_see(&[0, 0], subject, Status::Online).await?;
        }
        Ok(stage)
    }

    /// How much each watcher was told so far.
    fn told(&self) -> Vec<usize> {
        self.watchers.iter().map(|watcher| watcher.pushes().len()).collect()
    }

    /// Both are shown this after what they were told.
    async fn all_see(&self, told: &[usize], subject: &Client, status: Status) -> Result<()> {
        for (watcher, skip) in self.watchers.iter().zip(told) {
            let is_it = |push: &Push| matches!(push, Push::Presence(shown) if shown.iter().any(|one| one.user == subject.user() && one.status == status));
            ensure!(
                watcher.wait_for_push(LIMIT, *skip, is_it).await,
                "{} is not told that {} is {status:?}: {:?}",
                watcher.user(),
                subject.user(),
                watcher.pushes().split_off(*skip)
            );
        }
        Ok(())
    }

    /// An instance that is lost takes answers with it; who asks again is answered by the other one.
    async fn set(&self, subject: &Client, status: Shown) -> Result<()> {
        let begun = Instant::now();
        while let Err(refusal) = subject.set_status(Door::Socket, status).await {
            ensure!(begun.elapsed() < LIMIT, "{refusal:?}");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }

    /// Typing is said again as long as it lasts, and shows at both.
    async fn all_see_typing(&self, told: &[usize], subject: &Client) -> Result<()> {
        let _lost = subject.set_typing(Door::Socket, &self.group, true).await;
        for (watcher, skip) in self.watchers.iter().zip(told) {
            let begun = Instant::now();
            while !watcher.wait_for_push(AGAIN_AFTER, *skip, |push| types(push, subject)).await {
                ensure!(begun.elapsed() < LIMIT, "{} does not see {} type", watcher.user(), subject.user());
                let _lost = subject.set_typing(Door::Socket, &self.group, true).await;
            }
        }
        Ok(())
    }

    /// Everybody is seen online, away, hidden and online again, and types unless they hide.
    async fn all_see_all(&self) -> Result<()> {
        for (place, subject) in self.subjects.iter().enumerate() {
            let told = self.told();
            self.set(subject, Shown::Away).await?;
            self.all_see(&told, subject, Status::Away).await?;
            self.set(subject, Shown::Invisible).await?;
            self.all_see(&told, subject, Status::Offline).await?;
            let hidden = self.told();
            subject.set_typing(Door::Socket, &self.group, true).await?;
            // Said by somebody else at the same gateway afterwards, who does not hide.
            self.all_see_typing(&hidden, &self.subjects[(place + 2) % self.subjects.len()]).await?;
            for (watcher, skip) in self.watchers.iter().zip(&hidden) {
                let leaked = watcher.pushes().iter().skip(*skip).any(|push| types(push, subject));
                ensure!(!leaked, "{} hides and is seen to type", subject.user());
            }
            let told = self.told();
            self.set(subject, Shown::Online).await?;
            self.all_see(&told, subject, Status::Online).await?;
            self.all_see_typing(&told, subject).await?;
        }
        Ok(())
    }

    /// Nobody was shown as offline after this.
    fn ensure_no_flicker(&self, told: &[usize]) -> Result<()> {
        for (watcher, skip) in self.watchers.iter().zip(told) {
            for push in watcher.pushes().iter().skip(*skip) {
                let Push::Presence(shown) = push else { continue };
                ensure!(shown.iter().all(|one| one.status != Status::Offline), "{}: {shown:?}", watcher.user());
            }
        }
        Ok(())
    }

    /// What ann sees of a user if she asks this instance.
    async fn status_at(&self, instance: &Server, user: &str) -> Result<Shown> {
        let token = instance.tokens().service("tests", &[Scope::ActForUsers]);
        let mut request = Request::new(BatchGetPresenceRequest { user_ids: vec![user.to_owned()] });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        request.metadata_mut().insert(ON_BEHALF_OF, "ann".parse()?);
        let mut client = PresenceServiceClient::new(channel(&instance.addresses().grpc)?);
        let answer = client.batch_get_presence(request).await?.into_inner();
        Ok(answer.presences.first().context("one presence")?.status())
    }

    /// Waits until an instance that has just come knows who is there, and who is not. On the way nobody is offline.
    async fn settle(&self, instance: &Server) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ghost = self.status_at(instance, GHOST).await?;
            for user in SUBJECTS {
                // The instance may settle in between: then it knows them.
                let status = self.status_at(instance, user).await?;
                ensure!(status != Shown::Offline, "{user} is there");
                ensure!(ghost != Shown::Offline || status == Shown::Online, "{user} is {status:?}");
            }
            if ghost == Shown::Offline {
                return Ok(());
            }
            ensure!(begun.elapsed() < SETTLING_LIMIT, "it does not settle");
            tokio::time::sleep(POLL).await;
        }
    }
}

fn types(push: &Push, subject: &Client) -> bool {
    matches!(push, Push::Typing { user, typing: true, .. } if user == subject.user())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_presence_show_the_same_and_each_may_be_lost() -> Result<()> {
    let Some(settings) = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines() else { return Ok(()) };
    let mut stage = Stage::open(&settings).await?;
    for instance in &stage.cluster.presences {
        stage.settle(instance).await?;
    }
    stage.all_see_all().await?;
    for place in [1, 0] {
        let told = stage.told();
        stage.cluster.presences[place].kill(&stage.recorder).await?;
        // Away and back: whoever watched at the lost instance watches at the other one then.
        for subject in &stage.subjects {
            stage.set(subject, Shown::Away).await?;
            stage.all_see(&told, subject, Status::Away).await?;
            stage.set(subject, Shown::Online).await?;
        }
        stage.ensure_no_flicker(&told)?;
        stage.all_see_all().await?;

        let told = stage.told();
        stage.cluster.presences[place].restart().await?;
        stage.settle(&stage.cluster.presences[place]).await?;
        stage.ensure_no_flicker(&told)?;
        stage.all_see_all().await?;
    }
    for server in &mut stage.cluster.into_servers() {
        server.stop(&stage.recorder).await?;
    }
    Ok(())
}
