//! What clients read.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Door, Entry, Nanos, Reply};

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
    /// The pinned messages, all pages, the newest pin first.
    Pinned {
        /// The messages.
        messages: Vec<MessageView>,
        /// The head.
        as_of: u64,
    },
    /// Heads of several conversations.
    Heads(Vec<HeadView>),
    /// Positions of a conversation.
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
    /// The message that it answers.
    pub reply_to: Option<Reply>,
    /// True while pinned.
    pub pinned: bool,
    /// Its reactions.
    pub reactions: Vec<ReactionView>,
}

/// A kind of reaction as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReactionView {
    /// The reaction.
    pub emoji: String,
    /// How many gave it.
    pub count: u32,
    /// The reader did.
    pub reacted: bool,
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
    /// Up to here all has reached a device.
    pub delivered_seq: u64,
}

/// A conversation in a user's list.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationView {
    /// The conversation.
    pub conversation: String,
    /// The other user of a direct; empty for a group.
    pub peer: String,
}
