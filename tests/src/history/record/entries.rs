//! The log as it was shown.

use serde::Serialize;

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

impl Entry {
    /// The last seq that it stands for.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        match self.body {
            Body::Hidden { to_seq } => to_seq,
            _ => self.seq,
        }
    }
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
        /// The message that it answers.
        reply_to: Option<Reply>,
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
    /// A reaction.
    Reacted {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
        /// The reaction.
        emoji: String,
    },
    /// A reaction's end.
    Unreacted {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
        /// The reaction.
        emoji: String,
    },
    /// A pin.
    Pinned {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
    },
    /// A pin's end.
    Unpinned {
        /// The message.
        message_id: String,
        /// The message's place.
        message_seq: u64,
    },
    /// The first entry of a group.
    Created {
        /// The first members.
        members: Vec<String>,
        /// Who joins later sees only what came during their own stays.
        since_joining: bool,
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
    /// The group was deleted.
    Closed,
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

/// The message that a message answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The message.
    pub message_id: String,
    /// Its place.
    pub seq: u64,
}
