//! What is written down of a run. Times are nanoseconds of one monotonic clock since the run began.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::report::Counters;

/// Nanoseconds since the run began.
pub type Nanos = u64;

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
    /// What was read.
    pub reads: Vec<Read>,
    /// What was pushed. A [`SessionId`] is an index here.
    pub sessions: Vec<Session>,
    /// Stops of the server.
    pub stops: Vec<Stop>,
    /// The store's files after the run.
    pub scan: Option<Scan>,
    /// What happened, so that a run can be counted.
    pub counters: Counters,
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

/// One attempt at a write. Attempts with the same conversation, user and request id are one write.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Who writes.
    pub user: String,
    /// By which door.
    pub door: Door,
    /// The session, by the socket. Calls of one session reach the server in the order of this list.
    pub session: Option<SessionId>,
    /// The conversation; empty when a group was asked for and none is known.
    pub conversation: String,
    /// The id of the write.
    pub request_id: String,
    /// What was asked.
    pub action: Action,
    /// Before the request left.
    pub begun: Nanos,
    /// After the answer came, or the connection was lost.
    pub ended: Option<Nanos>,
    /// How it ended.
    pub answer: Answer,
}

/// What a call asks for.
#[derive(Clone, Debug, Serialize)]
pub enum Action {
    /// A message.
    Send {
        /// Unique to the write.
        text: String,
    },
    /// A new text for a message.
    Edit {
        /// The message.
        message_id: String,
        /// Unique to the write.
        text: String,
    },
    /// The deletion of a message.
    Delete {
        /// The message.
        message_id: String,
    },
    /// A new group.
    CreateGroup {
        /// Its members besides the caller.
        members: Vec<String>,
    },
    /// New members.
    AddMembers {
        /// Who.
        members: Vec<String>,
    },
    /// The removal of a member; of oneself: leaving.
    RemoveMember {
        /// Who.
        member: String,
    },
    /// Any other change of a group.
    Update,
}

impl Action {
    /// True for what goes to the log under its own request id.
    #[must_use]
    pub fn is_log_write(&self) -> bool {
        matches!(self, Self::Send { .. } | Self::Edit { .. } | Self::Delete { .. })
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// Acknowledged.
    Stored {
        /// The place in the log.
        seq: u64,
        /// The message that was sent, edited or deleted; empty otherwise.
        message_id: String,
        /// Said to be a repetition.
        duplicate: bool,
    },
    /// Acknowledged; the entry comes later.
    Pending,
    /// Refused for ever, with a reason.
    Rejected(String),
    /// This call stored nothing, with a reason.
    NotAttempted(String),
    /// May be stored, with a reason; also when no answer came.
    Unknown(String),
}

/// A get-or-create of a direct.
#[derive(Clone, Debug, Serialize)]
pub struct DirectCall {
    /// Who asks.
    pub user: String,
    /// For whom.
    pub peer: String,
    /// Before the request left.
    pub begun: Nanos,
    /// The conversation, if one was answered.
    pub conversation: Option<String>,
    /// Said to be new.
    pub created: bool,
}

/// A call of MarkRead.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// Whose position.
    pub user: String,
    /// Where.
    pub conversation: String,
    /// The seq that was asked for.
    pub seq: u64,
    /// Before the request left.
    pub begun: Nanos,
    /// After the answer came.
    pub ended: Option<Nanos>,
    /// The answer, unless it was an error.
    pub answer: Option<MarkAnswer>,
}

/// An answer of MarkRead.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MarkAnswer {
    /// The position that holds.
    pub read_seq: u64,
    /// Its number of messages.
    pub read_message_no: u64,
    /// Messages behind it.
    pub unread: u64,
    /// The head for which that is exact.
    pub as_of: u64,
}

/// Something that a client read, by any door.
#[derive(Clone, Debug, Serialize)]
pub struct Read {
    /// Who reads.
    pub user: String,
    /// By which door.
    pub door: Door,
    /// Before the request left.
    pub begun: Nanos,
    /// After the answer came.
    pub ended: Nanos,
    /// One of the reads at the end, when all is quiet. They must succeed.
    pub last: bool,
    /// The numbers of the texts that stood anywhere in the answer, as it came over the wire.
    pub texts: BTreeSet<u64>,
    /// The conversation; empty for reads over many.
    pub conversation: String,
    /// What was found.
    pub found: Found,
}

/// The content of an answer.
#[derive(Clone, Debug, Serialize)]
pub enum Found {
    /// Entries after a seq.
    Log {
        /// The seq before the first entry.
        after: u64,
        /// The page size that was asked for.
        limit: usize,
        /// The entries.
        entries: Vec<Entry>,
        /// The head.
        head: u64,
    },
    /// Messages as they stand.
    Messages {
        /// The page size that was asked for.
        limit: usize,
        /// The messages.
        messages: Vec<MessageView>,
        /// The head.
        as_of: u64,
        /// True if these are all messages up to the head.
        whole: bool,
    },
    /// Heads of several conversations.
    Heads(Vec<HeadView>),
    /// Read positions of a conversation.
    Positions {
        /// The positions.
        positions: Vec<PositionView>,
        /// The head.
        as_of: u64,
    },
    /// The user's conversations, all pages.
    Conversations(Vec<ConversationView>),
    /// Nothing: refused with this reason.
    Refused(String),
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The conversation.
    pub conversation: String,
    /// Its place.
    pub seq: u64,
    /// Messages up to here.
    pub message_no: u64,
    /// Membership changes up to here.
    pub version: u64,
    /// Who caused it.
    pub actor: String,
    /// The id of the write; empty when shown to others.
    pub request_id: String,
    /// What it is.
    pub body: Body,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Body {
    /// A message.
    Message {
        /// The message.
        message_id: String,
        /// Its text.
        text: String,
    },
    /// A new text.
    Edited {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
        /// The new text.
        text: String,
    },
    /// A deletion.
    Deleted {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
    },
    /// The first entry of a group.
    Created {
        /// The first members.
        members: Vec<String>,
    },
    /// Members joined.
    Added {
        /// Who.
        members: Vec<String>,
    },
    /// A member is gone.
    Removed {
        /// Who.
        member: String,
    },
    /// Another change of the group.
    Changed,
    /// An erased entry.
    Redacted {
        /// What it was.
        kind: RedactedKind,
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
    },
    /// Entries up to this seq that the reader may not see.
    Hidden {
        /// The last of them.
        to_seq: u64,
    },
    /// A kind that the tests do not know.
    Unknown,
}

/// What an erased entry was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RedactedKind {
    /// A message.
    Message,
    /// An edit.
    Edited,
}

/// A message as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// The message.
    pub message_id: String,
    /// Its place.
    pub seq: u64,
    /// Its number.
    pub message_no: u64,
    /// Its sender.
    pub sender: String,
    /// Its present text.
    pub text: String,
    /// True once deleted.
    pub deleted: bool,
}

/// A head as it was shown to a user.
#[derive(Clone, Debug, Serialize)]
pub struct HeadView {
    /// The conversation.
    pub conversation: String,
    /// The last entry.
    pub head: u64,
    /// Messages in all.
    pub message_no: u64,
    /// The user's position.
    pub read_seq: u64,
    /// Messages behind it.
    pub unread: u64,
    /// For which head this is exact.
    pub as_of: u64,
    /// The last message.
    pub last_message: Option<MessageView>,
}

/// A position as it was shown.
#[derive(Clone, Debug, Serialize)]
pub struct PositionView {
    /// The conversation.
    pub conversation: String,
    /// Whose.
    pub user: String,
    /// Up to here all is read.
    pub read_seq: u64,
    /// How many messages that is.
    pub read_message_no: u64,
}

/// A conversation in a user's list.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationView {
    /// The conversation.
    pub conversation: String,
    /// The other user of a direct; empty for a group.
    pub peer: String,
}

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
