//! A message as it stands now: the log's entry with its edits and its deletion applied.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, RequestId, UserId};

use super::entry::{Entry, MessageSent};

/// A message as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The conversation.
    pub(crate) conversation_id: ConversationId,
    /// Its place in the log.
    pub(crate) seq: u64,
    /// Its number among the messages.
    pub(crate) message_no: u64,
    /// Who sent it.
    pub(crate) sender: UserId,
    /// The sender's id for it.
    pub(crate) client_message_id: Option<RequestId>,
    /// When the log took it.
    pub(crate) create_time: Timestamp,
    /// What was sent, with the present text and mentions; without either and without metadata once deleted.
    pub(crate) sent: MessageSent,
    /// When it was last edited.
    pub(crate) edit_time: Option<Timestamp>,
    /// When it was deleted.
    pub(crate) delete_time: Option<Timestamp>,
    /// When it was pinned, and by whom.
    pub(crate) pin: Option<(Timestamp, UserId)>,
    /// The oldest kind first.
    pub(crate) reactions: Vec<ReactionCount>,
}

/// One kind of reaction to a message, as one user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReactionCount {
    /// The reaction.
    pub(crate) emoji: String,
    /// How many gave it.
    pub(crate) count: u32,
    /// Whether the user did.
    pub(crate) reacted: bool,
}

impl Message {
    /// The message as `entry` has just put it into the log.
    pub(crate) fn of_entry(entry: &Entry, sent: &MessageSent) -> Self {
        Self {
            conversation_id: entry.conversation_id,
            seq: entry.seq,
            message_no: entry.message_no,
            sender: entry.actor.clone(),
            client_message_id: entry.request_id.clone(),
            create_time: entry.create_time,
            sent: sent.clone(),
            edit_time: None,
            delete_time: None,
            pin: None,
            reactions: Vec::new(),
        }
    }
}
