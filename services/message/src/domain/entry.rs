//! Entries: what stands in the log, in the words of the domain.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, MessageId, RequestId, UserId};

use super::content::Metadata;
use super::head::Head;
use super::membership::Role;
use super::visibility::History;

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

impl Entry {
    /// The running numbers up to it. It does not know the last message.
    pub(crate) fn as_head(&self) -> Head {
        Head {
            seq: self.seq,
            message_no: self.message_no,
            conversation_version: self.conversation_version,
            time: Some(self.create_time),
            ..Head::default()
        }
    }
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
        /// Whom it mentions now.
        mentions: Vec<UserId>,
    },
    /// A message was deleted for everyone.
    Deleted {
        /// The message.
        message_id: MessageId,
        /// Its place.
        message_seq: u64,
    },
    /// Somebody reacted to a message.
    ReactionAdded(Reaction),
    /// Somebody took a reaction back.
    ReactionRemoved(Reaction),
    /// A message was pinned.
    Pinned {
        /// The message.
        message_id: MessageId,
        /// Its place.
        message_seq: u64,
    },
    /// A message is pinned no more.
    Unpinned {
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
    /// The message that it answers.
    pub(crate) reply_to: Option<ReplyTo>,
    /// Whom it mentions, each once, in the order given.
    pub(crate) mentions: Vec<UserId>,
    /// What the host application keeps with it.
    pub(crate) metadata: Metadata,
}

impl MessageSent {
    /// Without what its sender said.
    pub(crate) fn erased(&self) -> Self {
        let Self { message_id, acting_service, door, reply_to, .. } = self;
        Self {
            message_id: *message_id,
            text: String::new(),
            acting_service: acting_service.clone(),
            door: *door,
            reply_to: *reply_to,
            mentions: Vec::new(),
            metadata: Metadata::new(),
        }
    }
}

/// The message that another one answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    /// The message.
    pub(crate) message_id: MessageId,
    /// Its place.
    pub(crate) seq: u64,
}

/// A reaction of the entry's actor to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reaction {
    /// The message.
    pub(crate) message_id: MessageId,
    /// Its place.
    pub(crate) message_seq: u64,
    /// The reaction, as it was given.
    pub(crate) emoji: String,
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
        /// What those who join later see; `None`: not said, which is everything.
        history: Option<History>,
    },
    /// Fields changed; absent ones did not.
    Updated {
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
        /// The new avatar.
        avatar_url: Option<String>,
        /// What those who join later see.
        history: Option<History>,
        /// The new metadata, whole.
        metadata: Option<Metadata>,
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
    /// The group was deleted. Nothing follows, and nobody is a member any more.
    Closed,
}

impl SystemBody {
    /// Who joins by this entry; their read position starts here.
    pub(crate) fn joined(&self) -> &[MemberRole] {
        match self {
            Self::Created { members, .. } | Self::MembersAdded(members) => members,
            Self::Updated { .. } | Self::MemberRemoved { .. } | Self::RoleChanged(_) | Self::Closed => &[],
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
    const REACTION_ADDED: Self = Self(4);
    const REACTION_REMOVED: Self = Self(5);
    const PINNED: Self = Self(6);
    const UNPINNED: Self = Self(7);
    const CREATED: Self = Self(10);
    const UPDATED: Self = Self(11);
    const MEMBERS_ADDED: Self = Self(12);
    const MEMBER_REMOVED: Self = Self(13);
    const ROLE_CHANGED: Self = Self(14);
    const CLOSED: Self = Self(15);
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
            Self::ReactionAdded(_) => Kind::REACTION_ADDED,
            Self::ReactionRemoved(_) => Kind::REACTION_REMOVED,
            Self::Pinned { .. } => Kind::PINNED,
            Self::Unpinned { .. } => Kind::UNPINNED,
            Self::System(SystemBody::Created { .. }) => Kind::CREATED,
            Self::System(SystemBody::Updated { .. }) => Kind::UPDATED,
            Self::System(SystemBody::MembersAdded(_)) => Kind::MEMBERS_ADDED,
            Self::System(SystemBody::MemberRemoved { .. }) => Kind::MEMBER_REMOVED,
            Self::System(SystemBody::RoleChanged(_)) => Kind::ROLE_CHANGED,
            Self::System(SystemBody::Closed) => Kind::CLOSED,
            Self::Unknown => Kind::NONE,
        }
    }

    /// The place of the message that it is about, if that is another one. A reply stands for itself.
    pub(crate) fn target_seq(&self) -> Option<u64> {
        match self {
            Self::Edited { message_seq, .. }
            | Self::Deleted { message_seq, .. }
            | Self::Pinned { message_seq, .. }
            | Self::Unpinned { message_seq, .. }
            | Self::ReactionAdded(Reaction { message_seq, .. })
            | Self::ReactionRemoved(Reaction { message_seq, .. })
            | Self::Redacted { kind: RedactedKind::Edited, message_seq, .. } => Some(*message_seq),
            Self::Message(_) | Self::System(_) | Self::Redacted { kind: RedactedKind::Message, .. } | Self::Unknown => {
                None
            }
        }
    }

    /// What is left once the text is erased, and with it mentions and metadata. What has none stays as it is.
    pub(crate) fn erased(&self) -> Self {
        match self {
            Self::Message(sent) => Self::Message(sent.erased()),
            Self::Edited { message_id, message_seq, .. } => Self::Edited {
                message_id: *message_id,
                message_seq: *message_seq,
                text: String::new(),
                mentions: Vec::new(),
            },
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
