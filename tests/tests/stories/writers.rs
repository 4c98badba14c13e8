//! Many writers of one conversation, spread over several instances of the message service: one order, each message once (C2, C4 to C6).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::future::{join_all, try_join_all};
use viberchat_tests::{
    client::{Attempt, Client},
    cluster::{Peers, Server, Settings},
    history::{self, Action, Answer, Counters, Door, Found, Recorder, Report, text_with},
    workload::size_from_environment,
};

/// Writers, each a user of their own.
const WRITERS: usize = 16;

/// Instances of the message service.
pub(super) const INSTANCES: usize = 4;

/// A write that is not acknowledged by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// An instance that was armed and has not died by then is killed.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// Where an armed instance dies: its callers get no answer, and the log has what they sent.
const KILL_POINTS: [&str; 2] = ["message.log_committed", "message.log_unprojected"];

/// Appends that an armed instance gets done.
const PASSES: u32 = 30;

/// A user, as known to each instance.
pub(super) struct Writer {
    number: usize,
    group: String,
    doors: Vec<Client>,
    /// The last place of one's own, as a client knows it that reads nothing.
    known_seq: AtomicU64,
}

impl Writer {
    /// A message that was not sent yet. Half of the writers say what head they know.
    pub(super) fn attempt(&self, text: u64) -> Attempt {
        let known_seq = Some(self.known_seq.load(Ordering::Relaxed)).filter(|_| self.number.is_multiple_of(2));
        let (conversation, request_id) = (self.group.clone(), format!("send {text}"));
        Attempt { conversation, request_id, known_seq, action: Action::send(text_with(text, 20)) }
    }

    /// Tries it once, through an instance.
    pub(super) async fn attempt_at(&self, instance: usize, attempt: &Attempt) -> Answer {
        self.doors[instance % self.doors.len()].attempt(Door::Grpc, attempt).await
    }

    /// Tries it until it is acknowledged, each time through the next instance.
    pub(super) async fn carry_through(&self, first: usize, attempt: &Attempt) -> Result<()> {
        let start = Instant::now();
        for instance in first.. {
            match self.attempt_at(instance, attempt).await {
                Answer::Stored { seq, .. } => {
                    self.known_seq.fetch_max(seq, Ordering::Relaxed);
                    return Ok(());
                }
                refused => ensure!(start.elapsed() < PATIENCE, "{} is not taken: {refused:?}", attempt.request_id),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        unreachable!("instances are tried in turn for ever")
    }

    async fn send(&self, text: u64) -> Result<()> {
        self.carry_through(self.number, &self.attempt(text)).await
    }
}

/// One conversation, all who write to it, and where it is kept.
pub(super) struct Race {
    pub(super) peers: Peers,
    pub(super) writers: Vec<Writer>,
    pub(super) recorder: Recorder,
    group: String,
}

impl Race {
    pub(super) async fn open(settings: &Settings) -> Result<Self> {
        let (peers, recorder) = (Peers::start(settings, INSTANCES).await?, Recorder::default());
        let names: Vec<String> = (0..WRITERS).map(|number| format!("writer-{number:02}")).collect();
        let owner = Client::new(&peers.messages[0], &names[0], &recorder)?;
        let group = owner.create_group(Door::Grpc, &names[1..], "group").await?;
        let writer = |(number, name): (usize, &String)| {
            let doors = peers.messages.iter().map(|server| Client::new(server, name, &recorder));
            let doors = doors.collect::<Result<Vec<_>>>()?;
            anyhow::Ok(Writer { number, group: group.clone(), doors, known_seq: AtomicU64::new(1) })
        };
        let writers = names.iter().enumerate().map(writer).collect::<Result<_>>()?;
        Ok(Self { peers, writers, recorder, group })
    }

    /// Reads the log through every instance, stops all, and judges. The log has the group's beginning and `sent` messages.
    pub(super) async fn close(mut self, sent: usize) -> Result<Report> {
        let reader = &self.writers[0];
        try_join_all(reader.doors.iter().map(|door| door.read_whole_log(Door::Grpc, &self.group))).await?;
        reader.doors[1].positions(Door::Grpc, &self.group, true).await?;
        for server in &mut self.peers.messages {
            self.recorder.count(server.counters().await?);
            server.stop(&self.recorder).await?;
        }
        self.peers.conversation.stop(&self.recorder).await?;
        let history = self.recorder.history();
        let heads = history.reads.iter().filter(|read| read.last).filter_map(|read| match &read.found {
            Found::Log { head, .. } => Some(*head),
            _ => None,
        });
        for head in heads {
            ensure!(head == 1 + sent as u64, "{sent} messages were sent, the log ends at {head}");
        }
        Ok(history::check(&history))
    }
}

/// Ends the instance in the middle of an append, and starts it again. Once it is `over`, nobody appends any more.
pub(super) async fn die_and_restart(
    server: &mut Server,
    death: usize,
    recorder: &Recorder,
    over: &AtomicBool,
) -> Result<()> {
    let settings = server.settings().clone();
    server.kill(recorder).await?;
    server.set_settings(settings.clone().kill_point(KILL_POINTS[death % KILL_POINTS.len()], PASSES));
    server.restart().await?;
    let armed = Instant::now();
    while server.wait_for_death(Duration::from_millis(100), recorder).await.is_err() {
        // While all is sent again nothing is appended, and no kill point is passed.
        if over.load(Ordering::Relaxed) || armed.elapsed() > DEATH_LIMIT {
            server.kill(recorder).await?;
        }
    }
    server.set_settings(settings);
    server.restart().await
}

pub(super) fn settings() -> Result<Option<Settings>> {
    Ok(Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_four_instances_make_one_log() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let race = Race::open(&settings).await?;
    let sends: u64 = size_from_environment("VIBERCHAT_TEST_WRITES", 60);
    let all = race.writers.iter().map(async |writer| {
        for number in 0..sends {
            writer.send(writer.number as u64 * sends + number).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(all).await?;
    let report = race.close(WRITERS * sends as usize).await?;
    report.assert_green(Counters { conditions_lost: 50, ..Counters::default() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_on_instances_that_die_make_one_log() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let mut race = Race::open(&settings).await?;
    let deaths = size_from_environment("VIBERCHAT_TEST_DEATHS", 6);
    let (over, texts) = (AtomicBool::new(false), AtomicU64::new(0));
    let writing = join_all(race.writers.iter().map(async |writer| {
        while !over.load(Ordering::Relaxed) {
            writer.send(texts.fetch_add(1, Ordering::Relaxed)).await?;
        }
        anyhow::Ok(())
    }));
    let dying = async {
        let died = async {
            for death in 0..deaths {
                let server = &mut race.peers.messages[death % INSTANCES];
                die_and_restart(server, death, &race.recorder, &over).await.context("an instance that dies")?;
            }
            anyhow::Ok(())
        };
        let died = died.await;
        over.store(true, Ordering::Relaxed);
        died
    };
    let (written, died) = tokio::join!(writing, dying);
    died?;
    written.into_iter().collect::<Result<Vec<_>>>()?;
    let report = race.close(texts.into_inner() as usize).await?;
    report.assert_green(Counters { duplicates: 2, conditions_lost: 50, ..Counters::default() });
    Ok(())
}
