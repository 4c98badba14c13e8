//! One user who chats at random.

mod marks;
mod soft;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng as _, rngs::SmallRng, seq::IndexedRandom as _};
use viberchat_kit::error::Reason;

use super::{crowd::Place, plan::Plan};
use crate::{
    client::{Attempt, Client},
    history::{Action, Answer, Door, SessionId, text_with},
};

/// A block holds for this long: for more than the second that it may take to be heard of.
const BLOCK_TIME: Duration = Duration::from_millis(1_500);

/// How long a write is tried again while the server is away.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same once the run is over, when no server is away any more.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(3);

/// How many of one's own messages and writes are remembered.
const REMEMBERED: usize = 30;

/// Whether the same call may soon succeed. A block, or a removal, may end much later.
fn may_pass(answer: &Answer) -> bool {
    match answer {
        Answer::Unknown(_) => true,
        // What is no documented reason is a lost connection.
        Answer::NotAttempted(reason) => Reason::parse(reason).is_none_or(Reason::retryable),
        _ => false,
    }
}

/// What all actors share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) places: Arc<Vec<Place>>,
    /// Numbers the texts of the run.
    pub(super) texts: Arc<AtomicU64>,
    /// Set when all shall stop early.
    pub(super) stop: Arc<AtomicBool>,
}

/// A user.
pub(super) struct Actor {
    pub(super) client: Client,
    /// The same user at another server, if there is one: without a session.
    twin: Client,
    pub(super) number: usize,
    plan: Plan,
    rng: SmallRng,
    shared: Shared,
    /// One's own messages that may be edited or deleted: conversation and message.
    mine: VecDeque<(String, String)>,
    /// Writes that were acknowledged, to try again on purpose.
    done: VecDeque<Attempt>,
    writes: u64,
    /// The session that watches already.
    looking: Option<SessionId>,
    /// Whom the user has blocked, and since when.
    blocked: Option<(String, Instant)>,
}

impl Actor {
    pub(super) fn new([client, twin]: [Client; 2], number: usize, plan: Plan, rng: SmallRng, shared: Shared) -> Self {
        let (mine, done) = (VecDeque::new(), VecDeque::new());
        Self { client, twin, number, plan, rng, shared, mine, done, writes: 0, looking: None, blocked: None }
    }

    /// Does all steps of the plan, or as many as there is time for.
    pub(super) async fn chat(&mut self) {
        for _ in 0..self.plan.steps {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            self.step().await;
        }
    }

    async fn step(&mut self) {
        if self.blocked.as_ref().is_some_and(|(_, since)| since.elapsed() > BLOCK_TIME) && self.rng.random_bool(0.2) {
            self.try_the_block().await;
            self.unblock().await;
        }
        let Some(place) = self.choose_place() else { return };
        match self.rng.random_range(0..100) {
            0..29 => self.send(&place.id).await,
            29..32 => self.send_twice_at_once(&place.id).await,
            32..35 => self.edit_and_delete_at_once().await,
            35..45 => self.send_pipelined(&place.id).await,
            45..53 => self.change_own(false).await,
            53..59 => self.change_own(true).await,
            59..66 => self.react(&place.id).await,
            66..68 => self.pin(&place.id).await,
            68..76 => self.mark(&place.id).await,
            76..79 => self.deliver(&place.id).await,
            79..87 => self.read(&place.id).await,
            87..91 => self.repeat().await,
            91..93 => self.start_direct().await,
            93..95 => self.show(&place.id).await,
            95..97 => self.block().await,
            _ if self.plan.sessions => self.interrupt().await,
            _ => self.repeat().await,
        }
        if self.plan.churn && place.admin == Some(self.number) && self.rng.random_bool(0.15) {
            self.churn(&place).await;
        }
    }

    /// A place that the user belongs to, now and then one that somebody was removed from.
    fn choose_place(&mut self) -> Option<Place> {
        let mine: Vec<&Place> =
            self.shared.places.iter().filter(|place| place.members.contains(&self.number)).collect();
        mine.choose(&mut self.rng).map(|place| (*place).clone())
    }

    fn any_door(&mut self) -> Door {
        if self.plan.sessions && self.client.socket().is_some() && self.rng.random_bool(0.6) {
            Door::Socket
        } else if self.rng.random_bool(0.5) {
            Door::Http
        } else {
            Door::Grpc
        }
    }

    fn attempt(&mut self, conversation: &str, action: Action) -> Attempt {
        self.writes += 1;
        let request_id = format!("{}-{}", self.client.user(), self.writes);
        // Clients that do not know the head say nothing, and cost the server a look-up.
        let known_seq = if self.rng.random_bool(0.9) { self.client.known_seq(conversation) } else { None };
        Attempt { conversation: conversation.to_owned(), request_id, known_seq, action }
    }

    fn new_text(&mut self) -> String {
        let number = self.shared.texts.fetch_add(1, Ordering::Relaxed);
        text_with(number, self.rng.random_range(0..200))
    }

    async fn send(&mut self, conversation: &str) {
        let text = self.new_text();
        // Now and then an answer, also to what was deleted: then it must fail.
        let mine =
            self.mine.iter().filter(|(place, _)| place == conversation).map(|(_, message_id)| message_id.clone());
        let mine: Vec<String> = mine.collect();
        let reply_to = if self.rng.random_bool(0.2) { mine.choose(&mut self.rng).cloned() } else { None };
        let attempt = self.attempt(conversation, Action::Send { text, reply_to });
        let door = self.any_door();
        let answer = self.client.attempt(door, &attempt).await;
        self.carry_through(attempt, answer).await;
    }

    /// Several sends on the socket without waiting for their answers.
    async fn send_pipelined(&mut self, conversation: &str) {
        if self.client.socket().is_none() {
            return self.send(conversation).await;
        }
        let mut sent = Vec::new();
        for _ in 0..self.rng.random_range(2..8) {
            let text = self.new_text();
            let attempt = self.attempt(conversation, Action::send(text));
            match self.client.begin_send(&attempt).await {
                Some(pending) => sent.push((attempt, pending)),
                None => break,
            }
        }
        let mut answers = Vec::new();
        for (attempt, pending) in sent {
            let answer = self.client.finish_send(pending).await;
            answers.push((attempt, answer));
        }
        for (attempt, answer) in answers {
            self.carry_through(attempt, answer).await;
        }
    }

    /// Tries again until the write has ended, unless this user is one of those who give up.
    async fn carry_through(&mut self, attempt: Attempt, mut answer: Answer) {
        let gives_up = self.rng.random_bool(0.15);
        let start = Instant::now();
        while may_pass(&answer) {
            if gives_up || start.elapsed() > self.patience() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(5..60))).await;
            self.reconnect().await;
            let door = self.any_door();
            answer = self.client.attempt(door, &attempt).await;
        }
        if let Answer::Stored { message_id, .. } = answer {
            if matches!(attempt.action, Action::Send { .. }) {
                remember(&mut self.mine, (attempt.conversation.clone(), message_id));
            }
            remember(&mut self.done, attempt);
        }
    }

    fn patience(&self) -> Duration {
        if self.shared.stop.load(Ordering::Relaxed) { PATIENCE_AT_THE_END } else { PATIENCE }
    }

    async fn change_own(&mut self, delete: bool) {
        let Some(place) = (!self.mine.is_empty()).then(|| self.rng.random_range(0..self.mine.len())) else { return };
        let (conversation, message_id) = self.mine[place].clone();
        // What was deleted is remembered for a while: editing it must fail.
        if delete && self.rng.random_bool(0.7) {
            self.mine.remove(place);
        }
        let action =
            if delete { Action::Delete { message_id } } else { Action::Edit { message_id, text: self.new_text() } };
        let attempt = self.attempt(&conversation, action);
        let door = self.any_door();
        let answer = self.client.attempt(door, &attempt).await;
        self.carry_through(attempt, answer).await;
    }

    /// The same write at two doors at the same time: one is stored, the other a duplicate.
    async fn send_twice_at_once(&mut self, conversation: &str) {
        let text = self.new_text();
        let attempt = self.attempt(conversation, Action::send(text));
        let (door, other) = (self.any_door(), self.twin_door());
        let (one, two) = tokio::join!(self.client.attempt(door, &attempt), self.twin.attempt(other, &attempt));
        let answer = if matches!(one, Answer::Stored { .. }) { one } else { two };
        self.carry_through(attempt, answer).await;
    }

    /// Whoever comes first, no edit follows the deletion.
    async fn edit_and_delete_at_once(&mut self) {
        let Some((conversation, message_id)) = self.mine.pop_back() else { return };
        let text = self.new_text();
        let edit = self.attempt(&conversation, Action::Edit { message_id: message_id.clone(), text });
        let delete = self.attempt(&conversation, Action::Delete { message_id });
        let (door, other) = (self.any_door(), self.twin_door());
        let (edited, deleted) = tokio::join!(self.client.attempt(door, &edit), self.twin.attempt(other, &delete));
        self.carry_through(edit, edited).await;
        self.carry_through(delete, deleted).await;
    }

    fn twin_door(&mut self) -> Door {
        if self.rng.random_bool(0.5) { Door::Http } else { Door::Grpc }
    }

    async fn mark(&mut self, conversation: &str) {
        let Some(known) = self.client.known_seq(conversation) else {
            return drop(self.client.list_newest(Door::Http, conversation, 5).await);
        };
        let door = self.any_door();
        // Mostly the end, sometimes further back, which must change nothing.
        let seq = if self.rng.random_bool(0.7) { known } else { self.rng.random_range(0..=known) };
        drop(self.client.mark_read(door, conversation, seq).await);
    }

    async fn read(&mut self, conversation: &str) {
        let door = self.any_door();
        let known = self.client.known_seq(conversation).unwrap_or(0);
        let after = self.rng.random_range(0..=known);
        let limit = self.rng.random_range(1..60);
        match self.rng.random_range(0..5) {
            4 => drop(self.client.list_pinned(door, conversation, false).await),
            0 => drop(self.client.read_log(door, conversation, after, limit, false).await),
            1 => drop(self.client.list_newest(door, conversation, limit).await),
            2 => drop(self.client.heads(door, &[conversation.to_owned()], false).await),
            _ => drop(self.client.positions(door, conversation, false).await),
        }
    }

    /// The same write once more, by any door: it must give the first result.
    async fn repeat(&mut self) {
        let Some(attempt) =
            self.done.iter().collect::<Vec<_>>().choose(&mut self.rng).map(|attempt| (*attempt).clone())
        else {
            return;
        };
        let door = self.any_door();
        self.client.attempt(door, &attempt).await;
    }

    async fn start_direct(&mut self) {
        let peer = self.rng.random_range(0..self.plan.users);
        if peer != self.number {
            let door = self.any_door();
            drop(self.client.start_direct(door, &super::crowd::user_name(peer)).await);
        }
    }

    /// Loses the session, often in the middle of sends, and resumes.
    async fn interrupt(&mut self) {
        if self.rng.random_bool(0.6) {
            self.client.cut().await;
        } else {
            self.client.leave();
        }
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..100))).await;
        self.reconnect().await;
    }

    /// Opens a session again, if there is none. The server may be away; the caller tries again.
    pub(super) async fn reconnect(&mut self) {
        if self.plan.sessions && self.client.connect().await.is_ok() {
            self.look().await;
        }
    }

    /// Removes the member who comes and goes, or adds them again.
    async fn churn(&mut self, place: &Place) {
        let Some(guest) = place.guest.map(super::crowd::user_name) else { return };
        let removes = self.rng.random_bool(0.5);
        let action =
            if removes { Action::RemoveMember { member: guest } } else { Action::AddMembers { members: vec![guest] } };
        let past = if removes { None } else { self.choose_message(&place.id).await };
        let attempt = self.attempt(&place.id, action);
        let door = self.any_door();
        let answer = self.client.attempt(door, &attempt).await;
        self.carry_through_change(attempt, answer).await;
        if let Some(message) = past {
            self.react_to_the_past(&place.id, message).await;
        }
    }

    /// As [`Self::carry_through`], always to the end: whether a member is in must be known.
    async fn carry_through_change(&mut self, attempt: Attempt, mut answer: Answer) {
        let start = Instant::now();
        while may_pass(&answer) && start.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.reconnect().await;
            let door = self.any_door();
            answer = self.client.attempt(door, &attempt).await;
        }
    }

    /// Brings the guests of one's groups back.
    pub(super) async fn welcome_back(&mut self) {
        let places = self.shared.places.clone();
        for place in places.iter() {
            if place.admin != Some(self.number) {
                continue;
            }
            let Some(guest) = place.guest.map(super::crowd::user_name) else { continue };
            let attempt = self.attempt(&place.id, Action::AddMembers { members: vec![guest] });
            let answer = self.client.attempt(Door::Http, &attempt).await;
            self.carry_through_change(attempt, answer).await;
        }
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}
