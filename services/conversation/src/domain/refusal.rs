use viberchat_kit::id::UserId;

use super::Role;

/// Which bound would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    GroupMembers,
    UserConversations,
    UserBlocks,
}

/// Why a rule refuses something. `error.rs` says what callers see of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is none, or it is none of the caller's.
    #[error("no such conversation")]
    ConversationNotFound,
    #[error("a direct conversation does not change")]
    DirectIsFixed,
    #[error("the role does not allow it")]
    RoleRequired { needed: Role },
    #[error("a member already")]
    MemberExists { user: UserId },
    #[error("not a member")]
    NotAMember { user: UserId },
    /// A deactivated user, or in a strict directory one that it does not know.
    #[error("no such user")]
    UserNotFound { user: UserId },
    #[error("one of the two has blocked the other")]
    Blocked,
    #[error("a limit would be passed")]
    LimitExceeded { limit: LimitKind, max: u32, user: Option<UserId> },
    #[error("changed in the meantime")]
    EtagMismatch { current: String },
    #[error("a group keeps at least one owner")]
    LastOwner,
    #[error("one leaves by leaving")]
    RemovesOneself,
    /// The request id was used with another body.
    #[error("the request id was used with another body")]
    RequestIdReused,
}
