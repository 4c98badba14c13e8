//! Hints: what was appended, and whose position moved. To subscribers inside the process, and to other instances.
//!
//! Hints may be lost, repeated or late; whoever listens checks `seq` and reads the log. Each subscriber has one inbox,
//! bounded: when it is full, an entry becomes the mere knowledge that its conversation has more, and positions of one user
//! collapse to the latest. A position that comes late is not passed on: see `latest`.

mod latest;
mod others;

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};

use crate::domain::entry::Entry;
use crate::domain::position::Position;

use self::latest::Latest;
pub(crate) use self::others::{Others, hear_others};

/// `Default` is there for arrays of up to 32.
const SHARDS: usize = 32;
/// Users whose latest position waits in an inbox. Beyond it positions are dropped; the next one tells as much.
const POSITIONS_MAX: usize = 4_096;

type Listeners = SmallVec<[Arc<Inbox>; 1]>;

/// Who follows which conversation.
pub(crate) struct Bus {
    /// The other instances, if there is a bus between them.
    others: Option<Others>,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// For the mutant `stream_gap_unnoticed`.
    published: AtomicU64,
}

/// Some of the conversations that are followed.
#[derive(Default)]
struct Shard {
    listeners: HashMap<ConversationId, Listeners>,
    latest: Latest,
}

/// What waits for one subscriber.
pub(crate) struct Inbox {
    /// Written by publishers, emptied by the subscriber.
    contents: Mutex<Contents>,
    /// Wakes the subscriber.
    ready: Notify,
    entries_max: usize,
}

/// What came for a subscriber.
#[derive(Default)]
pub(crate) struct Contents {
    /// In the order of the log, for each conversation.
    pub(crate) entries: VecDeque<Arc<Entry>>,
    /// Conversations that have entries at least up to this place, which are not all among `entries`.
    pub(crate) heads: HashMap<ConversationId, u64>,
    /// The latest position of each user.
    pub(crate) positions: HashMap<(ConversationId, UserId), Position>,
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.heads.is_empty() && self.positions.is_empty()
    }
}

impl Inbox {
    /// Empty. Holds `entries_max` entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { contents: Mutex::default(), ready: Notify::new(), entries_max }
    }

    /// Takes all that has come. Waits until there is something. Cancel safe.
    pub(crate) async fn take(&self) -> Contents {
        loop {
            let notified = self.ready.notified();
            let taken = self.take_now();
            if !taken.is_empty() {
                return taken;
            }
            notified.await;
        }
    }

    /// Takes all that has come, perhaps nothing.
    pub(crate) fn take_now(&self) -> Contents {
        std::mem::take(&mut *self.contents.lock())
    }

    fn put(&self, entries: &[Arc<Entry>], positions: &[Position], conversation_id: ConversationId) {
        {
            let mut contents = self.contents.lock();
            for entry in entries {
                if contents.entries.len() < self.entries_max {
                    contents.entries.push_back(entry.clone());
                } else {
                    contents.note_head(conversation_id, entry.seq);
                }
            }
            for position in positions {
                contents.note_position(conversation_id, position);
            }
        }
        self.ready.notify_one();
    }
}

impl Contents {
    fn note_head(&mut self, conversation_id: ConversationId, seq: u64) {
        let head = self.heads.entry(conversation_id).or_insert(seq);
        *head = seq.max(*head);
    }

    fn note_position(&mut self, conversation_id: ConversationId, position: &Position) {
        let key = (conversation_id, position.user.clone());
        let room = self.positions.len() < POSITIONS_MAX;
        match self.positions.get_mut(&key) {
            Some(known) => drop(known.advance(position)),
            None if room => drop(self.positions.insert(key, position.clone())),
            None => {}
        }
    }
}

impl Bus {
    /// Nobody follows anything yet.
    pub(crate) fn new(others: Option<Others>) -> Self {
        Self { others, shards: Default::default(), hasher: RandomState::new(), published: AtomicU64::new(0) }
    }

    fn shard(&self, conversation_id: ConversationId) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(conversation_id) as usize % SHARDS]
    }

    /// From now on hints about a conversation come to `inbox`.
    pub(crate) fn follow(&self, conversation_id: ConversationId, inbox: &Arc<Inbox>) {
        self.shard(conversation_id).lock().listeners.entry(conversation_id).or_default().push(inbox.clone());
    }

    /// No more.
    pub(crate) fn unfollow(&self, conversation_id: ConversationId, inbox: &Arc<Inbox>) {
        let all = &mut self.shard(conversation_id).lock().listeners;
        if let Some(listeners) = all.get_mut(&conversation_id) {
            listeners.retain(|listener| !Arc::ptr_eq(listener, inbox));
            if listeners.is_empty() {
                all.remove(&conversation_id);
            }
        }
    }

    /// Entries were appended and positions moved with them.
    pub(crate) fn publish(&self, conversation_id: ConversationId, entries: &[Arc<Entry>], positions: &[Position]) {
        if entries.is_empty() && positions.is_empty() {
            return;
        }
        if let Some(others) = &self.others {
            others.tell(conversation_id, entries.last().map_or(0, |entry| entry.seq), positions);
        }
        let entries = if fault::mutant("stream_gap_unnoticed") { self.lose_some(entries) } else { entries };
        self.deliver(conversation_id, entries, positions);
    }

    /// To the subscribers of this process.
    fn deliver(&self, conversation_id: ConversationId, entries: &[Arc<Entry>], positions: &[Position]) {
        let Shard { listeners, latest } = &mut *self.shard(conversation_id).lock();
        let Some(listeners) = listeners.get(&conversation_id) else { return };
        let news = positions.iter().filter_map(|position| latest.advance(conversation_id, position));
        let positions: SmallVec<[Position; 1]> = news.collect();
        if entries.is_empty() && positions.is_empty() {
            return;
        }
        for listener in listeners {
            listener.put(entries, &positions, conversation_id);
        }
    }

    /// A conversation has entries at least up to here.
    pub(crate) fn publish_head(&self, conversation_id: ConversationId, seq: u64) {
        let shard = self.shard(conversation_id).lock();
        let Some(listeners) = shard.listeners.get(&conversation_id) else { return };
        for listener in listeners {
            listener.contents.lock().note_head(conversation_id, seq);
            listener.ready.notify_one();
        }
    }

    /// Whether other instances are heard now, as far as this one can tell.
    pub(crate) fn hears_others(&self) -> bool {
        self.others.as_ref().is_some_and(Others::are_heard)
    }

    /// Positions moved at another instance.
    fn publish_positions(&self, conversation_id: ConversationId, positions: &[Position]) {
        if !positions.is_empty() {
            self.deliver(conversation_id, &[], positions);
        }
    }

    /// Every conversation that somebody follows.
    pub(crate) fn followed(&self) -> Vec<ConversationId> {
        self.shards.iter().flat_map(|shard| shard.lock().listeners.keys().copied().collect::<Vec<_>>()).collect()
    }

    /// Whether anybody follows anything.
    pub(crate) fn is_followed(&self) -> bool {
        self.shards.iter().any(|shard| !shard.lock().listeners.is_empty())
    }

    /// A bus that loses hints, as buses between processes do: only then does the mutant have gaps to overlook.
    fn lose_some<'a>(&self, entries: &'a [Arc<Entry>]) -> &'a [Arc<Entry>] {
        const LOST_EVERY: u64 = 5;
        let turn = self.published.fetch_add(1, Ordering::Relaxed);
        if turn % LOST_EVERY == LOST_EVERY - 1 { &[] } else { entries }
    }
}

#[cfg(test)]
mod tests;
