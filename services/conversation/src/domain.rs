//! Types and pure rules: who is in a conversation, who may change what, and what a change does. No I/O.
//!
//! Map: `group` is what callers ask of a group and what the rules make of it; `settings` are a member's own, `user` is
//! who takes part; `limits` are the bounds of a deployment; `name` folds names for the search and for lists; `refusal`
//! says why something is refused.

mod group;
mod limits;
mod name;
mod refusal;
mod settings;
mod user;

use std::collections::BTreeMap;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

pub(crate) use group::{
    ConversationUpdate, Decision, Effects, GroupChange, GroupState, NewGroup, Removal, Subject, SystemEntry, decide,
    decide_creation, decide_inheritance, leaves_ownerless,
};
pub(crate) use limits::{
    AVATAR_BYTES_MAX, BATCH_MAX, DESCRIPTION_CHARS_MAX, EMAIL_CHARS_MAX, Limits, METADATA_BYTES_MAX,
    METADATA_NAME_BYTES_MAX, NAME_CHARS_MAX, NICKNAME_CHARS_MAX, PROFILE_NAME_CHARS_MAX, QUERY_CHARS_MAX,
};
pub(crate) use name::{SHORT_PREFIX_CHARS_MAX, search_prefix, search_words, short_prefixes, sort_key};
pub(crate) use refusal::{LimitKind, Refusal};
pub(crate) use settings::{MemberSettings, SettingsUpdate};
pub(crate) use user::{
    BlockState, Candidate, Profile, Standing, check_block, check_candidate, check_standing, takes_part,
};

/// Directs have exactly two users, one conversation per pair; groups have any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Direct,
    Group,
}

/// What a member may do, in ascending order. In a direct both are members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Member,
    Admin,
    Owner,
}

/// What those who join a group later see of what was before. The present value rules: once it is shared again, everybody
/// sees everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum History {
    #[default]
    Shared,
    SinceJoining,
}

/// What the host application keeps with a group: names and their values.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The newest message known here. A hint that may lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
}

/// What is the same for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) avatar_url: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Counts the changes that made a system entry.
    pub(crate) version: u64,
    pub(crate) member_count: u32,
    pub(crate) history: History,
    pub(crate) metadata: Metadata,
    pub(crate) activity: Option<Activity>,
}

impl Conversation {
    /// Changes with everything that an update could overwrite, and with nothing that is one member's own.
    pub(crate) fn etag(&self) -> String {
        etag(self.version, self.updated_at)
    }
}

pub(crate) fn etag(version: u64, updated_at: Timestamp) -> String {
    format!("{version:x}-{:x}", updated_at.millis())
}

/// A member's own side of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnSide {
    pub(crate) role: Role,
    pub(crate) settings: MemberSettings,
    /// The other user of a direct.
    pub(crate) peer: Option<UserId>,
    /// Whether this member has blocked the peer. What the peer has done is not theirs to know.
    pub(crate) peer_blocked: bool,
}

/// A conversation as its caller sees it. Services without a user have no side of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConversationView {
    pub(crate) conversation: Conversation,
    pub(crate) own: Option<OwnSide>,
}

/// Who looks: a user, who sees where they are a member, or a service, which sees everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    User(UserId),
    Service,
}

/// A user in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) joined_at: Timestamp,
    /// The version of the change by which the present stay began; the lower, the older.
    pub(crate) from_version: u64,
    /// The entry of joining; `None` while the log does not have it. 0 in a direct.
    pub(crate) from_seq: Option<u64>,
}

/// One stay, in seqs of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_seq: u64,
    /// `None`: still there.
    pub(crate) to_seq: Option<u64>,
}

/// What a user may do in a conversation, at one version of it. A stranger has no role and no spans, and neither has a
/// user who was deactivated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) version: u64,
    pub(crate) kind: Kind,
    pub(crate) role: Option<Role>,
    /// Stays of which the log has all that happened, oldest first.
    pub(crate) spans: Vec<Span>,
    /// Of a direct: whether somebody is at its other end.
    pub(crate) peer_present: bool,
    pub(crate) history: History,
    /// Entries up to this seq are hidden from the user.
    pub(crate) cleared_seq: u64,
    /// Of a direct: whether one of the two has blocked the other.
    pub(crate) blocked: bool,
    pub(crate) member_count: u32,
}

/// The two users of a direct, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DirectPair {
    low: UserId,
    high: UserId,
}

impl DirectPair {
    /// The same pair from both sides.
    pub(crate) fn of(one: &UserId, other: &UserId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self { low: low.clone(), high: high.clone() }
    }

    pub(crate) fn low(&self) -> &UserId {
        &self.low
    }

    pub(crate) fn high(&self) -> &UserId {
        &self.high
    }

    pub(crate) fn is_with_oneself(&self) -> bool {
        self.low == self.high
    }

    /// The peer of `user`.
    pub(crate) fn peer_of(&self, user: &UserId) -> &UserId {
        if &self.low == user { &self.high } else { &self.low }
    }
}

/// A conversation that a user belongs to and may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) conversation: ConversationId,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    pub(crate) version: u64,
}

#[cfg(test)]
mod tests;
