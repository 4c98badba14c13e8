//! The decision about a write, at the head of its log: ids first, then rules, each write on the state after the batch's
//! earlier ones.
//!
//! A [`Draft`] is a batch in the making. It knows the log up to the head and adds to it what was accepted so far. When
//! the append's condition fails, the draft is thrown away and everything is decided again on the new head.
//!
//! Map: what may be proposed and how it may end here, `draft` the decision.

mod draft;

use std::sync::Arc;

use viberchat_kit::id::{MessageId, UserId};

pub(crate) use self::draft::Draft;
use super::content::{Metadata, metadata_bytes};
use super::dedup::{Fingerprint, WriteId};
use super::entry::{Body, Door, Entry, SystemBody};
use super::head::{Head, Step};
use super::membership::{Standing, roles_after};

/// What a caller wants to append.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// Who.
    pub(crate) actor: UserId,
    /// Under which id, and the fingerprint of its body. `None`: a system entry, which its version names.
    pub(crate) id: Option<(WriteId, Fingerprint)>,
    /// What.
    pub(crate) intent: Intent,
    /// What the conversation service says about those whom the intent mentions, in their order.
    pub(crate) mentioned: Vec<Arc<Standing>>,
}

/// What a caller wants to append.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// A message.
    Send {
        /// Its text.
        text: String,
        /// The service that sends for the actor; empty if the user does.
        acting_service: String,
        /// The way by which it came.
        door: Door,
        /// Do not move the sender's read position.
        keep_read_position: bool,
        /// The message that it answers.
        reply_to: Option<MessageId>,
        /// Whom it mentions.
        mentions: Vec<UserId>,
        /// What the host application keeps with it.
        metadata: Metadata,
    },
    /// A new text for a message.
    Edit {
        /// The message.
        message_id: MessageId,
        /// The new text.
        text: String,
        /// Whom it mentions from now on.
        mentions: Vec<UserId>,
    },
    /// A message's end.
    Delete {
        /// The message.
        message_id: MessageId,
    },
    /// A reaction to a message.
    React {
        /// The message.
        message_id: MessageId,
        /// The reaction.
        emoji: String,
    },
    /// A reaction's end.
    Unreact {
        /// The message.
        message_id: MessageId,
        /// The reaction.
        emoji: String,
    },
    /// A message is to be pinned.
    Pin {
        /// The message.
        message_id: MessageId,
    },
    /// A pin's end.
    Unpin {
        /// The message.
        message_id: MessageId,
    },
    /// A change in the conversation service.
    System {
        /// The conversation's version after it.
        version: u64,
        /// The change.
        body: SystemBody,
    },
}

impl Intent {
    /// Whether what is appended moves its sender's read position to itself.
    pub(crate) fn moves_position(&self) -> bool {
        matches!(self, Self::Send { keep_read_position: false, .. })
    }

    /// The message that it is about, the one that it answers included.
    pub(crate) fn target(&self) -> Option<MessageId> {
        match self {
            Self::Send { reply_to, .. } => *reply_to,
            Self::Edit { message_id, .. }
            | Self::Delete { message_id }
            | Self::React { message_id, .. }
            | Self::Unreact { message_id, .. }
            | Self::Pin { message_id }
            | Self::Unpin { message_id } => Some(*message_id),
            Self::System { .. } => None,
        }
    }

    /// Whom it mentions.
    pub(crate) fn mentions(&self) -> &[UserId] {
        match self {
            Self::Send { mentions, .. } | Self::Edit { mentions, .. } => mentions,
            _ => &[],
        }
    }

    /// Bytes that it holds in memory while it waits, roughly; more than its entry will have.
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 1_024;
        let mentions: usize = self.mentions().iter().map(|user| user.as_str().len()).sum();
        let more = match self {
            Self::Send { text, metadata, .. } => text.len() + metadata_bytes(metadata),
            Self::Edit { text, .. } => text.len(),
            Self::System { body: SystemBody::Updated { metadata: Some(metadata), .. }, .. } => metadata_bytes(metadata),
            Self::System { body, .. } => roles_after(body).len() * UserId::BYTES_MAX,
            Self::Delete { .. } | Self::React { .. } | Self::Unreact { .. } | Self::Pin { .. } | Self::Unpin { .. } => {
                0
            }
        };
        OVERHEAD + mentions + more
    }
}

/// Why a write is refused at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No member, or not any more.
    NotMember,
    /// Added, but the entry of joining is not in the log yet.
    MembershipPending,
    /// The other user of the direct is gone.
    PeerGone,
    /// One of the two users of the direct has blocked the other.
    Blocked,
    /// Only admins and owners of a group pin.
    RoleRequired,
    /// No such message in this conversation.
    MessageNotFound,
    /// Only the sender edits; only the sender and admins delete.
    NotOwnMessage,
    /// The message was deleted.
    AlreadyDeleted,
    /// No such message to answer.
    ReplyNotFound,
    /// The message to answer was deleted.
    ReplyDeleted,
    /// A mentioned user is no member.
    MentionNotMember,
    /// The message has as many different reactions as it may.
    TooManyReactions,
    /// The conversation has as many pins as it may.
    TooManyPins,
    /// The id was used with another body.
    KeyReused,
    /// A system entry that is not the next one.
    VersionGap {
        /// The version at the head.
        current: u64,
    },
}

/// Whether a draft can decide with the standing that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It may be appended.
    Accepted,
    /// It is as wanted already: nothing to append.
    Nothing,
    /// It may not.
    Refused(Refusal),
    /// The standing is older than what the log's memory reaches back to: ask the conversation service again.
    StandingTooOld,
}

/// An accepted entry.
#[derive(Clone, Debug)]
pub(crate) struct Drafted {
    /// The entry.
    pub(crate) entry: Entry,
    /// The place of the last message up to it.
    pub(crate) last_message_seq: u64,
    /// Of its body.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// It moves its actor's read position to itself.
    pub(crate) moves_position: bool,
    /// Deletions: what is left of the message.
    pub(crate) erases: Option<Body>,
}

impl Drafted {
    fn has_id(&self, id: &WriteId) -> bool {
        self.entry.request_id.as_ref() == Some(&id.request_id) && self.entry.actor == id.user
    }

    /// The head once it is stored.
    pub(crate) fn head(&self) -> Head {
        let entry = &self.entry;
        Head {
            seq: entry.seq,
            message_no: entry.message_no,
            last_message_seq: self.last_message_seq,
            conversation_version: entry.conversation_version,
            time: Some(entry.create_time),
        }
    }

    /// What it changes about what is known of the log.
    pub(crate) fn step(&self) -> Step {
        let entry = &self.entry;
        let id = entry.request_id.as_ref().map(|request_id| WriteId::new(&entry.actor, request_id));
        Step {
            head: self.head(),
            id: id.zip(self.fingerprint),
            system: match &entry.body {
                Body::System(system) => Some(system.clone()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests;
