//! Gathers the users of a workload, lets them chat, and reads everything when all is quiet.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, future::join_all};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use viberchat_proto::types::v1::HistoryVisibility;

use super::{
    actor::{Actor, Shared},
    plan::Plan,
};
use crate::{
    client::{Client, Followed, Listener, socket::Encoding},
    cluster::Server,
    history::{Door, Recorder},
};

/// How long sessions may take to come up and to catch up when nobody writes any more.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// The same for the stream by gRPC, which a killed server has ended.
const LISTENER_LIMIT: Duration = Duration::from_secs(2);

/// The contract's: heads and unread counts are equal through all doors after it.
const POSITIONS_LAG: Duration = Duration::from_secs(1);

/// Users who read everything at the same time.
const READERS_MAX: usize = 4;

const DOORS: [Door; 3] = [Door::Socket, Door::Http, Door::Grpc];

/// A conversation of a workload.
#[derive(Clone, Debug)]
pub struct Place {
    /// The conversation.
    pub id: String,
    /// Who belongs to it, by number.
    pub members: Vec<usize>,
    /// Who owns it, if it is a group.
    pub admin: Option<usize>,
    /// Who is removed and added again.
    pub guest: Option<usize>,
}

/// The name of a user.
pub(super) fn user_name(number: usize) -> String {
    format!("user-{number:02}")
}

/// The users of a workload.
pub struct Crowd {
    plan: Plan,
    actors: Vec<Actor>,
    /// Watches all users and shares nothing with them.
    stranger: Option<Client>,
    /// Follows the conversations of the first user by gRPC, for as long as the server that it began with lives.
    listener: Option<Listener>,
    shared: Shared,
}

impl Crowd {
    /// Connects all users and makes their conversations. The users are spread over the servers.
    ///
    /// # Errors
    /// If the servers do not let them.
    pub async fn gather(plan: &Plan, servers: &[&Server], recorder: &Recorder) -> Result<Self> {
        ensure!(plan.users >= 4, "directs and guests need four users");
        let mut rng = SmallRng::seed_from_u64(plan.seed);
        let mut clients = Vec::new();
        for number in 0..plan.users {
            let encoding = Encoding::ALL[number % Encoding::ALL.len()];
            let server = servers[number % servers.len()];
            let mut client = Client::with_encoding(server, &user_name(number), encoding, recorder)?;
            if plan.sessions {
                client.connect().await?;
            }
            clients.push(client);
        }
        let mut places = make_groups(plan, &clients).await?;
        places.extend(make_directs(plan, &clients).await?);
        let shared = Shared {
            places: Arc::new(places),
            texts: Arc::new(AtomicU64::new(1)),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let mut actors = Vec::new();
        for (number, client) in clients.into_iter().enumerate() {
            let twin = Client::new(servers[(number + 1) % servers.len()], &user_name(number), recorder)?;
            let own_rng = SmallRng::seed_from_u64(rng.random());
            actors.push(Actor::new([client, twin], number, *plan, own_rng, shared.clone()));
        }
        let followed: Vec<String> = shared
            .places
            .iter()
            .filter(|place| place.members.contains(&0) && place.guest != Some(0))
            .map(|place| place.id.clone())
            .collect();
        let listener = match plan.sessions {
            true => Some(Listener::open(servers[0], &user_name(0), &followed, recorder).await?),
            false => None,
        };
        if plan.sessions {
            join_all(actors.iter_mut().map(Actor::look)).await;
        }
        let stranger = match plan.sessions {
            true => Some(watching_stranger(servers[0], plan, recorder).await?),
            false => None,
        };
        Ok(Self { plan: *plan, actors, stranger, listener, shared })
    }

    /// The conversations.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.shared.places
    }

    /// Ends [`Self::chat`] early, from another task.
    #[must_use]
    pub fn stopper(&self) -> Arc<AtomicBool> {
        self.shared.stop.clone()
    }

    /// Lets all chat at the same time until they have done their steps.
    pub async fn chat(&mut self) {
        join_all(self.actors.iter_mut().map(Actor::chat)).await;
        self.shared.stop.store(false, Ordering::Relaxed);
    }

    /// Ends all sessions, keeping what is needed to resume them.
    pub fn leave(&mut self) {
        for actor in &mut self.actors {
            actor.client.leave();
        }
        self.stranger = None;
    }

    /// Waits until all is quiet and every session has caught up, then reads everything by every door.
    ///
    /// # Errors
    /// If sessions cannot be opened, or the heads not be read.
    pub async fn settle(&mut self) -> Result<()> {
        for actor in &mut self.actors {
            actor.welcome_back().await;
        }
        if self.plan.sessions {
            self.catch_up().await?;
        }
        tokio::time::sleep(POSITIONS_LAG).await;
        // All at once would be another load, under which a small machine may not answer in time.
        let reading = self.actors.iter().map(|actor| read_everything(actor, &self.shared.places));
        futures::stream::iter(reading).buffer_unordered(READERS_MAX).collect::<()>().await;
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<()> {
        for actor in &mut self.actors {
            let start = Instant::now();
            while let Err(error) = actor.client.connect().await {
                ensure!(start.elapsed() < SETTLE_LIMIT, "{}: {error}", actor.client.user());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            actor.look().await;
        }
        let heads = self.heads().await?;
        join_all(self.actors.iter().map(|actor| has_caught_up(actor, &self.shared.places, &heads))).await;
        if let Some(listener) = &self.listener {
            let all = |followed: &Followed| {
                followed.cursors.iter().all(|(id, seq)| heads.get(id).is_none_or(|head| seq >= head))
            };
            listener.wait_until(LISTENER_LIMIT, all).await;
        }
        Ok(())
    }

    async fn heads(&self) -> Result<BTreeMap<String, u64>> {
        let mut heads = BTreeMap::new();
        for place in self.shared.places.iter() {
            let client = &self.actors[place.members[0]].client;
            let found = client.heads(Door::Http, std::slice::from_ref(&place.id), false).await?;
            heads.insert(place.id.clone(), *found.get(&place.id).with_context(|| format!("no head of {place:?}"))?);
        }
        Ok(heads)
    }
}

/// Somebody who shares no conversation with anybody, and watches all.
async fn watching_stranger(server: &Server, plan: &Plan, recorder: &Recorder) -> Result<Client> {
    let mut stranger = Client::with_encoding(server, "stranger", Encoding::Binary, recorder)?;
    stranger.connect().await?;
    let users: Vec<String> = (0..plan.users).map(user_name).collect();
    stranger.watch_presence(&users).await?;
    Ok(stranger)
}

/// Waits until a session has all up to the heads. Whether it came so far is for the checker to say.
async fn has_caught_up(actor: &Actor, places: &[Place], heads: &BTreeMap<String, u64>) {
    let Some(socket) = actor.client.socket() else { return };
    let mine = places.iter().filter(|place| place.members.contains(&actor.number));
    // A direct shows to its peer with the first message.
    let wanted: Vec<(&String, u64)> =
        mine.map(|place| (&place.id, heads[&place.id])).filter(|(_, head)| *head > 0).collect();
    let reached = |followed: &Followed| {
        followed.ready && wanted.iter().all(|(id, head)| followed.cursors.get(*id).is_some_and(|seq| seq >= head))
    };
    socket.wait_until(SETTLE_LIMIT, reached).await;
}

async fn make_groups(plan: &Plan, clients: &[Client]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for group in 0..plan.groups {
        let admin = group % clients.len();
        let members: Vec<usize> =
            (0..clients.len()).filter(|number| group == 0 || *number == admin || (number + group) % 2 == 0).collect();
        let others: Vec<String> =
            members.iter().filter(|number| **number != admin).map(|number| user_name(*number)).collect();
        // Who is added again to every third group does not see what was said meanwhile.
        let history = if group % 3 == 2 { HistoryVisibility::SinceJoining } else { HistoryVisibility::Shared };
        let request_id = format!("group-{group}");
        let id = clients[admin].create_group_with(Door::Http, &others, &request_id, history).await?;
        let guest = members.iter().rev().find(|number| **number != admin).copied().filter(|_| plan.churn);
        // The first member reads for all: it must not be the one who is removed.
        let mut members = members;
        members.sort_by_key(|number| *number != admin);
        places.push(Place { id, members, admin: Some(admin), guest });
    }
    Ok(places)
}

/// Neighbours have directs; both ask for them at the same time.
async fn make_directs(plan: &Plan, clients: &[Client]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for number in 0..clients.len() {
        let peer = (number + 1) % clients.len();
        let door = if plan.sessions { Door::Socket } else { Door::Grpc };
        let (name, peer_name) = (user_name(number), user_name(peer));
        let calls = [
            clients[number].start_direct(door, &peer_name),
            clients[peer].start_direct(Door::Http, &name),
            clients[number].start_direct(Door::Grpc, &peer_name),
        ];
        for found in join_all(calls).await {
            let id = found?;
            if places.iter().all(|place: &Place| place.id != id) {
                places.push(Place { id, members: vec![number, peer], admin: None, guest: None });
            }
        }
    }
    Ok(places)
}

/// The reads at the end: every log by every member, by a door in turn; all else by each door in turn too.
async fn read_everything(actor: &Actor, places: &[Place]) {
    let client = &actor.client;
    let doors: Vec<Door> =
        DOORS.into_iter().filter(|door| *door != Door::Socket || client.socket().is_some()).collect();
    let mine: Vec<&Place> = places.iter().filter(|place| place.members.contains(&actor.number)).collect();
    for (turn, place) in mine.iter().enumerate() {
        let door = |shift: usize| doors[(turn + actor.number + shift) % doors.len()];
        // A refusal is written down, and the checker's to judge.
        drop(client.read_whole_log(door(0), &place.id).await);
        drop(client.list_all(door(1), &place.id).await);
        drop(client.positions(door(2), &place.id, true).await);
        drop(client.list_pinned(door(1), &place.id, true).await);
    }
    let ids: Vec<String> = mine.iter().map(|place| place.id.clone()).collect();
    for door in doors {
        drop(client.heads(door, &ids, true).await);
        drop(client.conversations(door, true).await);
    }
}
