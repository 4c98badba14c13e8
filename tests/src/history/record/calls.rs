//! What clients asked for, and how it ended.

use serde::Serialize;

use super::{Door, Nanos, SessionId, Status};

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
        /// The message that it answers.
        reply_to: Option<String>,
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
    /// A reaction to a message.
    React {
        /// The message.
        message_id: String,
        /// The reaction.
        emoji: String,
    },
    /// A reaction's end.
    Unreact {
        /// The message.
        message_id: String,
        /// The reaction.
        emoji: String,
    },
    /// A pin.
    Pin {
        /// The message.
        message_id: String,
    },
    /// A pin's end.
    Unpin {
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
        !matches!(self, Self::CreateGroup { .. } | Self::AddMembers { .. } | Self::RemoveMember { .. } | Self::Update)
    }

    /// A message that answers none.
    #[must_use]
    pub fn send(text: impl Into<String>) -> Self {
        Self::Send { text: text.into(), reply_to: None }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// Acknowledged.
    Stored {
        /// The place in the log.
        seq: u64,
        /// The message that was sent or changed; empty otherwise.
        message_id: String,
        /// Said to be a repetition.
        duplicate: bool,
    },
    /// Acknowledged; the entry comes later.
    Pending,
    /// Acknowledged; there was nothing to change, and nothing is stored.
    Unchanged,
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

/// A call of MarkDelivered.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
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
    /// The position that holds, unless the answer was an error.
    pub delivered_seq: Option<u64>,
}

/// A block of a user, or its end.
#[derive(Clone, Debug, Serialize)]
pub struct Block {
    /// Who blocks.
    pub user: String,
    /// Whom.
    pub peer: String,
    /// False: takes the block away.
    pub blocked: bool,
    /// Before the request left.
    pub begun: Nanos,
    /// After the ack came; absent: not acknowledged.
    pub ended: Option<Nanos>,
}

/// A call of SetStatus.
#[derive(Clone, Debug, Serialize)]
pub struct StatusSet {
    /// Whose.
    pub user: String,
    /// The status.
    pub status: Status,
    /// Before the request left.
    pub begun: Nanos,
    /// After the ack came; absent: not acknowledged.
    pub ended: Option<Nanos>,
}
