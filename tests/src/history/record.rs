//! What is written down of a run. Times are nanoseconds of one monotonic clock since the run began.
//!
//! Map: `calls` what clients asked for, `reads` what they read, `sessions` what was pushed to them, `entries` the log in both.

mod calls;
mod entries;
mod reads;
mod sessions;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::{
    calls::{Action, Answer, Block, Call, Delivery, DirectCall, Mark, MarkAnswer, StatusSet},
    entries::{Body, Entry, RedactedKind, Reply},
    reads::{ConversationView, Found, HeadView, MessageView, PositionView, ReactionView, Read},
    sessions::{Closed, PresenceView, Push, Pushed, Session, Status, Verdict},
};
use super::report::Counters;

/// Nanoseconds since the run began.
pub type Nanos = u64;

const SECOND: Nanos = 1_000_000_000;

/// Who has found the conversation service away asks it again within this time: the longest pause of the breaker, and the
/// second for which an answer holds.
const ASKED_AGAIN: Nanos = 6 * SECOND;

/// Names a session within a run.
pub type SessionId = usize;

/// All that was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    /// Writes, in the order in which they began.
    pub calls: Vec<Call>,
    /// Get-or-create calls of directs.
    pub directs: Vec<DirectCall>,
    /// Moves of read positions.
    pub marks: Vec<Mark>,
    /// Moves of delivered positions.
    pub deliveries: Vec<Delivery>,
    /// Blocks.
    pub blocks: Vec<Block>,
    /// Statuses that users set.
    pub statuses: Vec<StatusSet>,
    /// What was read.
    pub reads: Vec<Read>,
    /// What was pushed. A [`SessionId`] is an index here.
    pub sessions: Vec<Session>,
    /// Stops of the server.
    pub stops: Vec<Stop>,
    /// Times in which the store could not be written to.
    pub outages: Vec<Outage>,
    /// Times in which the conversation service was away, so that nobody could ask it who may do what.
    pub unasked: Vec<Outage>,
    /// The store's files after the run.
    pub scan: Option<Scan>,
    /// What happened, so that a run can be counted.
    pub counters: Counters,
    /// By how much what is promised in time may be late: where many processes share a small machine, time says little.
    pub slack: Nanos,
}

/// The way by which a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Door {
    /// The client protocol.
    Socket,
    /// JSON over HTTP.
    Http,
    /// gRPC.
    Grpc,
}

/// A stop of the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stop {
    /// Before the signal.
    pub begun: Nanos,
    /// After the process was gone.
    pub ended: Nanos,
    /// Asked to, and not killed.
    pub graceful: bool,
}

/// A time in which a part was away.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outage {
    /// When it had gone.
    pub begun: Nanos,
    /// When it came back.
    pub ended: Nanos,
}

impl History {
    /// By when a change of who may do what, acknowledged at that time, is known to all: within a second, unless nobody could
    /// ask for it (C14).
    #[must_use]
    pub fn known_by(&self, acknowledged: Nanos) -> Nanos {
        let known = acknowledged.saturating_add(SECOND + self.slack);
        let hidden = self.unasked.iter().filter(|away| away.begun < known && acknowledged < away.ended);
        hidden.map(|away| away.ended.saturating_add(ASKED_AGAIN)).fold(known, Nanos::max)
    }
}

/// The store's files after the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scan {
    /// All entries of all logs.
    pub entries: Vec<Entry>,
    /// The numbers of all texts that stand anywhere in the files.
    pub texts: BTreeSet<u64>,
    /// True if the server was stopped cleanly, after which the files hold nothing that was deleted.
    pub checkpointed: bool,
}
