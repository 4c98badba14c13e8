//! Entries: what stands in the log, in the words of the domain.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, MessageId, RequestId, UserId};

use super::membership::Role;

/// One place in the log of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The conversation.
    pub(crate) conversation_id: ConversationId,
    /// The place, from 1.
    pub(crate) seq: u64,
    /// Messages up to and including this entry.
    pub(crate) message_no: u64,
    /// Version of the membership up to and including this entry.
    pub(crate) conversation_version: u64,
    /// Who caused it.
    pub(crate) actor: UserId,
    /// The writer's id for it. `None`: a system entry.
    pub(crate) request_id: Option<RequestId>,
    /// When the log took it; orders nothing.
    pub(crate) create_time: Timestamp,
    /// What happened.
    pub(crate) body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// A message was sent.
    Message(MessageSent),
    /// A message has a new text.
    Edited {
        /// The message.
        message_id: MessageId,
        /// Its place.
        message_seq: u64,
        /// The new text.
        text: String,
    },
    /// A message was deleted for everyone.
    Deleted {
        /// The message.
        message_id: MessageId,
        /// Its place.
        message_seq: u64,
    },
    /// Something changed in the conversation service.
    System(SystemBody),
    /// What is left of an erased message or edit.
    Redacted {
        /// What it was.
        kind: RedactedKind,
        /// The message that was deleted.
        message_id: MessageId,
        /// Its place.
        message_seq: u64,
    },
    /// A kind that a later release wrote.
    Unknown,
}

/// A new message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageSent {
    /// The message.
    pub(crate) message_id: MessageId,
    /// Its text.
    pub(crate) text: String,
    /// The service that sent it for the actor; empty if the user did.
    pub(crate) acting_service: String,
    /// The way by which it came.
    pub(crate) door: Door,
}

/// The way by which a write came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Door {
    /// Not said.
    #[default]
    Unspecified,
    /// gRPC.
    Grpc,
    /// JSON over HTTP.
    Http,
    /// The client protocol.
    Socket,
}

/// What an erased entry was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedactedKind {
    /// A message.
    Message,
    /// An edit.
    Edited,
}

/// A member and their role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberRole {
    /// The member.
    pub(crate) user: UserId,
    /// The role.
    pub(crate) role: Role,
}

/// A change in the conversation service, as the log records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SystemBody {
    /// The group was created.
    Created {
        /// Its name.
        name: String,
        /// Its first members.
        members: Vec<MemberRole>,
    },
    /// Fields changed; absent ones did not.
    Updated {
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
        /// The new avatar.
        avatar_url: Option<String>,
    },
    /// Members joined.
    MembersAdded(Vec<MemberRole>),
    /// A member left or was removed.
    MemberRemoved {
        /// Who is gone.
        user: UserId,
        /// By their own will.
        left: bool,
        /// Who became owner by it.
        new_owner: Option<UserId>,
    },
    /// A member has another role.
    RoleChanged(MemberRole),
}

impl SystemBody {
    /// Who joins by this entry; their read position starts here.
    pub(crate) fn joined(&self) -> &[MemberRole] {
        match self {
            Self::Created { members, .. } | Self::MembersAdded(members) => members,
            Self::Updated { .. } | Self::MemberRemoved { .. } | Self::RoleChanged(_) => &[],
        }
    }
}

/// The kind of an entry: the number of its field in `EntryBody`, as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind(pub(crate) u32);

impl Kind {
    /// A message.
    pub(crate) const MESSAGE: Self = Self(1);
    /// An edit.
    pub(crate) const EDITED: Self = Self(2);
    /// A deletion.
    pub(crate) const DELETED: Self = Self(3);
    const CREATED: Self = Self(10);
    const UPDATED: Self = Self(11);
    const MEMBERS_ADDED: Self = Self(12);
    const MEMBER_REMOVED: Self = Self(13);
    const ROLE_CHANGED: Self = Self(14);
    /// Never stored: the kinds above stay.
    const NONE: Self = Self(0);
}

impl Body {
    /// The kind under which it is stored.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Message(_) | Self::Redacted { kind: RedactedKind::Message, .. } => Kind::MESSAGE,
            Self::Edited { .. } | Self::Redacted { kind: RedactedKind::Edited, .. } => Kind::EDITED,
            Self::Deleted { .. } => Kind::DELETED,
            Self::System(SystemBody::Created { .. }) => Kind::CREATED,
            Self::System(SystemBody::Updated { .. }) => Kind::UPDATED,
            Self::System(SystemBody::MembersAdded(_)) => Kind::MEMBERS_ADDED,
            Self::System(SystemBody::MemberRemoved { .. }) => Kind::MEMBER_REMOVED,
            Self::System(SystemBody::RoleChanged(_)) => Kind::ROLE_CHANGED,
            Self::Unknown => Kind::NONE,
        }
    }

    /// Edits and deletions: the place of their message.
    pub(crate) fn target_seq(&self) -> Option<u64> {
        match self {
            Self::Edited { message_seq, .. } | Self::Deleted { message_seq, .. } => Some(*message_seq),
            Self::Message(_) | Self::System(_) | Self::Redacted { .. } | Self::Unknown => None,
        }
    }

    /// What is left once the text is erased. What has no text stays as it is.
    pub(crate) fn erased(&self) -> Self {
        match self {
            Self::Message(sent) => Self::Message(MessageSent { text: String::new(), ..sent.clone() }),
            Self::Edited { message_id, message_seq, .. } => {
                Self::Edited { message_id: *message_id, message_seq: *message_seq, text: String::new() }
            }
            other => other.clone(),
        }
    }

    /// What a reader gets of an erased entry at `seq`.
    pub(crate) fn redacted(&self, seq: u64) -> Self {
        match self {
            Self::Message(MessageSent { message_id, .. }) => {
                Self::Redacted { kind: RedactedKind::Message, message_id: *message_id, message_seq: seq }
            }
            Self::Edited { message_id, message_seq, .. } => {
                Self::Redacted { kind: RedactedKind::Edited, message_id: *message_id, message_seq: *message_seq }
            }
            other => other.clone(),
        }
    }
}
