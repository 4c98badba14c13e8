//! What goes wrong inside → what callers see. The one mapping of this service.

use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::UserId;

use crate::domain::{LimitKind, Refusal, Role};
use crate::store::{ChangeError, StoreError};

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%source, "the store is unavailable");
                Self::new(Reason::StoreUnavailable, "the store cannot be reached")
            }
            StoreError::OutcomeUnknown(_) => {
                tracing::error!(%source, "the outcome of a commit is unknown");
                Self::new(Reason::OutcomeUnknown, "it is not known whether the change was stored")
            }
            StoreError::Corrupt(what) => Self::internal(what),
        }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ConversationNotFound => not_found(),
            Refusal::DirectIsFixed => Self::new(Reason::DirectIsFixed, "a direct conversation does not change"),
            Refusal::RoleRequired { needed } => {
                let needed = role_name(needed);
                Self::new(Reason::RoleRequired, format!("only {needed} may do this")).with_metadata("role", needed)
            }
            Refusal::MemberExists { user } => {
                Self::new(Reason::MemberExists, "the user is a member already").with_metadata("user_id", user.as_str())
            }
            Refusal::NotAMember { user } => {
                Self::new(Reason::UserNotFound, "the user is no member").with_metadata("user_id", user.as_str())
            }
            Refusal::LimitExceeded { limit, max, user } => {
                let error = Self::new(Reason::LimitExceeded, format!("at most {max} {}", limit_text(limit)))
                    .with_metadata("limit", limit_name(limit))
                    .with_metadata("max", max.to_string());
                match user {
                    Some(user) => error.with_metadata("user_id", user.as_str()),
                    None => error,
                }
            }
            Refusal::EtagMismatch { current } => {
                Self::new(Reason::EtagMismatch, "the conversation has changed").with_metadata("etag", current)
            }
            Refusal::UserNotFound { user } => user_not_found(&user),
            Refusal::Blocked => Self::new(Reason::Blocked, "one of the two has blocked the other"),
            Refusal::LastOwner => Self::invalid_argument("role", "would leave the group without an owner"),
            Refusal::RemovesOneself => Self::invalid_argument("user_id", "is the caller: leave with LeaveConversation"),
            Refusal::RequestIdReused => {
                Self::new(Reason::IdempotencyKeyReused, "the request id was used with another body")
                    .with_field("request_id", "was used with another body")
            }
        }
    }
}

/// For strangers too: no hint that it exists.
pub(crate) fn not_found() -> Error {
    Error::new(Reason::ConversationNotFound, "there is no such conversation")
}

/// Of a user who does not take part: deactivated, or not known to a strict directory.
pub(crate) fn user_not_found(user: &UserId) -> Error {
    Error::new(Reason::UserNotFound, "there is no such user").with_metadata("user_id", user.as_str())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

fn limit_name(limit: LimitKind) -> &'static str {
    match limit {
        LimitKind::GroupMembers => "group_members_max",
        LimitKind::UserConversations => "user_conversations_max",
        LimitKind::UserBlocks => "user_blocks_max",
    }
}

fn limit_text(limit: LimitKind) -> &'static str {
    match limit {
        LimitKind::GroupMembers => "members a group",
        LimitKind::UserConversations => "conversations a user",
        LimitKind::UserBlocks => "blocks a user",
    }
}
