//! Lanes: one per conversation that is written to, each with one append in flight.
//!
//! What arrives while an append is in flight forms the next batch, without a timer (group commit). A lane keeps the head
//! and what is needed to decide at it; the store's condition keeps that honest when another instance appends.
//!
//! Map: `queue` is what waits; `driver` runs the batches; `prepare` gets what a decision needs, `decide` makes it, `append`
//! turns it into a write; `chain` keeps the order of pipelined sends.
//!
//! Rules that were model-checked; leaving one out doubles or loses a message. Each stands as a comment where it is kept:
//! one append in flight per conversation; a lost condition decides everything again; an unknown outcome is a lost
//! condition; "not stored" is never said because the head has not moved; a refusal that rests on an entry waits until that
//! entry is stored.

mod append;
mod chain;
mod decide;
mod driver;
mod prepare;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use viberchat_kit::clock::SharedClock;
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, SharedEntropy};
use viberchat_kit::lifecycle;

pub(crate) use self::chain::{Chain, Link};
use self::queue::{Pushed, Queue};
use crate::activity::Activity;
use crate::authorize::{Answer, Authorizer};
use crate::bus::Bus;
use crate::domain::entry::Entry;
use crate::domain::rules::Proposal;
use crate::error;
use crate::metrics::LaneMetrics;
use crate::store::Store;

const SHARDS: usize = 32;

/// A write that wants to be appended.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What.
    pub(crate) proposal: Proposal,
    /// The head that the client knew when it first tried this id: it is not in the log up to there. `None`: unknown.
    pub(crate) known_seq: Option<u64>,
    /// What the actor may do. `None` for system entries.
    pub(crate) answer: Option<Answer>,
    /// When the caller stops waiting.
    pub(crate) deadline: Instant,
    /// Its place among pipelined sends.
    pub(crate) link: Option<Link>,
}

/// How a write ended that was not refused.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// By this attempt.
    Appended {
        /// The entry.
        entry: Arc<Entry>,
        /// By an earlier call that was still under way.
        duplicate: bool,
    },
    /// Found in the log.
    Before {
        /// The entry's place.
        seq: u64,
        /// By an earlier call. Not so if it is this call's own append, whose outcome had to be found out.
        duplicate: bool,
    },
    /// Nothing was stored: what was wanted holds already.
    Unchanged,
}

impl Stored {
    /// Its place; 0 if there is none.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Self::Unchanged => 0,
            Self::Appended { entry, .. } => entry.seq,
            Self::Before { seq, .. } => *seq,
        }
    }

    /// Whether another call stored it.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Self::Appended { duplicate, .. } | Self::Before { duplicate, .. } => *duplicate,
            Self::Unchanged => false,
        }
    }
}

/// How much lanes may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneLimits {
    /// Lanes in memory.
    pub(crate) lanes_max: usize,
    /// Writes that wait in one lane.
    pub(crate) pending_max: usize,
    /// Bytes that wait in all lanes.
    pub(crate) pending_bytes_max: usize,
    /// Ids that a lane remembers.
    pub(crate) ids_max: usize,
}

/// What all lanes work with.
pub(crate) struct Tools {
    /// The log.
    pub(crate) store: Arc<dyn Store>,
    /// Who may write.
    pub(crate) authorizer: Arc<Authorizer>,
    /// Who hears of it.
    pub(crate) bus: Arc<Bus>,
    /// Tells the conversation service of new messages.
    pub(crate) activity: Arc<Activity>,
    /// For the time of entries.
    pub(crate) clock: SharedClock,
    /// For message ids.
    pub(crate) entropy: SharedEntropy,
    /// For the drivers.
    pub(crate) lifecycle: lifecycle::Handle,
    /// What is counted.
    pub(crate) metrics: LaneMetrics,
}

/// All lanes of an instance.
pub(crate) struct Lanes {
    tools: Arc<Tools>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    limits: LaneLimits,
    pending_bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Shard {
    lanes: HashMap<ConversationId, Arc<Lane>>,
    /// For eviction: the order in which lanes are looked at.
    order: VecDeque<ConversationId>,
}

/// The lane of one conversation.
pub(crate) struct Lane {
    conversation_id: ConversationId,
    queue: Mutex<Queue>,
}

/// Bytes that wait; given back when dropped.
struct Reserved {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A write under way. Dropping it does not end the write.
pub(crate) struct Ticket {
    lane: Arc<Lane>,
    number: u64,
    deadline: Instant,
    answer: oneshot::Receiver<Result<Stored>>,
}

impl Lanes {
    /// None yet.
    pub(crate) fn new(tools: Tools, limits: LaneLimits) -> Self {
        Self {
            tools: Arc::new(tools),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            limits,
            pending_bytes: Arc::default(),
        }
    }

    /// Puts a write into its lane. Writes of one conversation are decided in the order of these calls.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`, not attempted, when too much waits already.
    pub(crate) fn submit(&self, conversation_id: ConversationId, request: Request) -> Result<Ticket> {
        let deadline = request.deadline;
        let link = request.link.clone();
        let submitted =
            self.push(conversation_id, request).map(|(lane, number, answer)| Ticket { lane, number, deadline, answer });
        if submitted.is_none()
            && let Some(link) = link
        {
            link.fail();
        }
        submitted.ok_or_else(error::overloaded)
    }

    fn push(
        &self,
        conversation_id: ConversationId,
        mut request: Request,
    ) -> Option<(Arc<Lane>, u64, oneshot::Receiver<Result<Stored>>)> {
        let (mut answer, receiver) = oneshot::channel();
        loop {
            let lane = self.lane(conversation_id);
            let reserved = self.reserve(request.proposal.intent.bytes())?;
            let pushed = lane.queue.lock().push(request, answer, reserved, self.limits.pending_max);
            match pushed {
                Pushed::Waits { ticket, start } => {
                    if start {
                        driver::start(&self.tools, &lane, self.limits.ids_max);
                    }
                    return Some((lane, ticket, receiver));
                }
                // Evicted between the look-up and here: there is a new lane, or will be.
                Pushed::Closed(back) => (request, answer) = *back,
                Pushed::Full => return None,
            }
        }
    }

    fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let before = self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Reserved { total: self.pending_bytes.clone(), bytes };
        (before + bytes <= self.limits.pending_bytes_max).then_some(reserved)
    }

    fn lane(&self, conversation_id: ConversationId) -> Arc<Lane> {
        let shard = self.hasher.hash_one(conversation_id) as usize % SHARDS;
        let mut shard = self.shards[shard].lock();
        if let Some(lane) = shard.lanes.get(&conversation_id) {
            return lane.clone();
        }
        if shard.lanes.len() >= self.limits.lanes_max.div_ceil(SHARDS) {
            shard.evict();
        }
        let lane = Arc::new(Lane { conversation_id, queue: Mutex::default() });
        shard.lanes.insert(conversation_id, lane.clone());
        shard.order.push_back(conversation_id);
        self.tools.metrics.lanes.set(i64::try_from(shard.lanes.len() * SHARDS).unwrap_or(i64::MAX));
        lane
    }
}

impl Shard {
    /// Forgets one lane that is idle and was not used since the last look ("clock"). Busy lanes stay, beyond the limit if
    /// need be: what waits in them is bounded by itself.
    fn evict(&mut self) {
        const LOOKS_MAX: usize = 16;
        for _ in 0..LOOKS_MAX {
            let Some(conversation_id) = self.order.pop_front() else { return };
            let Some(lane) = self.lanes.get(&conversation_id) else { continue };
            if lane.queue.lock().close_if_idle() {
                self.lanes.remove(&conversation_id);
                return;
            }
            self.order.push_back(conversation_id);
        }
    }
}

impl Ticket {
    /// Waits for the end of the write, at most until its deadline.
    pub(crate) async fn wait(self) -> Result<Stored> {
        let Self { lane, number, deadline, mut answer } = self;
        match tokio::time::timeout_at(deadline, &mut answer).await {
            Ok(answered) => answered.unwrap_or_else(|_| Err(error::outcome_unknown())),
            Err(_) if lane.queue.lock().withdraw(number) => Err(error::too_late_not_attempted()),
            // It may have been answered just now. Otherwise it is on its way, and nobody knows.
            Err(_) => answer.try_recv().unwrap_or_else(|_| Err(error::too_late())),
        }
    }
}
