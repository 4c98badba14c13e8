//! What was pushed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Entry, Nanos, PositionView};

/// A session: one connection of the client protocol after its hello.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Whose.
    pub user: String,
    /// Before the hello left.
    pub opened: Nanos,
    /// It follows all conversations of its user by itself; a gRPC stream follows what it named.
    pub follows_all: bool,
    /// The cursors, if it resumed.
    pub resume: Option<BTreeMap<String, u64>>,
    /// After the welcome came.
    pub welcomed: Option<Nanos>,
    /// More missing entries than this are a gap, as the welcome said.
    pub resume_entries_max: u64,
    /// What was pushed, as it came.
    pub pushes: Vec<Pushed>,
    /// How it ended; absent if it was still open when the run was over.
    pub closed: Option<Closed>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Closed {
    /// When.
    pub at: Nanos,
    /// The server's close code; absent if there was none.
    pub code: Option<u16>,
    /// The client ended it.
    pub by_client: bool,
}

/// One push.
#[derive(Clone, Debug, Serialize)]
pub struct Pushed {
    /// When it was read from the socket.
    pub at: Nanos,
    /// The numbers of the texts that stood anywhere in the frame.
    pub texts: BTreeSet<u64>,
    /// What it was.
    pub push: Push,
}

/// What a push was.
#[derive(Clone, Debug, Serialize)]
pub enum Push {
    /// An entry.
    Entry(Entry),
    /// How the resume of a conversation ended.
    Resumed {
        /// The conversation.
        conversation: String,
        /// How.
        verdict: Verdict,
    },
    /// All is live.
    Ready,
    /// Positions moved.
    Positions(Vec<PositionView>),
    /// A conversation is new to the session.
    Added {
        /// The conversation.
        conversation: String,
        /// Entries follow from the next one on.
        head: u64,
    },
    /// Something of a conversation changed.
    Changed {
        /// The conversation.
        conversation: String,
    },
    /// One is no member any more.
    Removed {
        /// The conversation.
        conversation: String,
    },
    /// Somebody types, or no more.
    Typing {
        /// Where.
        conversation: String,
        /// Who.
        user: String,
        /// False: no more.
        typing: bool,
    },
    /// Presences, of a snapshot too.
    Presence(Vec<PresenceView>),
    /// So many notices of typing were left out.
    Shed(u32),
    /// The token ends soon.
    TokenExpires,
    /// The gateway lives.
    Heartbeat,
    /// The gateway stops.
    Goaway,
    /// Anything else.
    Other,
}

/// How the resume of a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// All was pushed up to this head.
    Complete {
        /// The head.
        head: u64,
    },
    /// Too much is missing; entries follow from here.
    Gap {
        /// The next entry is not before this one.
        from: u64,
    },
    /// The cursor is of no use.
    Reset {
        /// One is no member any more.
        removed: bool,
    },
}

/// A presence as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresenceView {
    /// Whose.
    pub user: String,
    /// What.
    pub status: Status,
    /// A time of the last session was shown.
    pub last_seen: bool,
}

/// What is shown of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Status {
    /// Not known.
    Unknown,
    /// No session, or invisible.
    Offline,
    /// A session.
    Online,
    /// Away.
    Away,
    /// Busy.
    Busy,
    /// Shown to oneself only.
    Invisible,
}
