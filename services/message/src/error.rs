//! What the domain and the store say, as callers see it. The one place where reasons and outcomes of this service are
//! chosen; `kit::error` makes statuses of them.

use viberchat_kit::error::{Error, Outcome, Reason};

use crate::domain::content::{PINS_MAX, REACTION_KINDS_MAX};
use crate::domain::rules::Refusal;
use crate::domain::text::InvalidText;
use crate::store::StoreError;

/// A refusal that was decided at the head, after the ids. `rejected` promises that the id never will be stored, so only
/// what holds for good says so: a block, a role or a full list may be gone when another try of the id is decided.
pub(crate) fn refused(refusal: Refusal) -> Error {
    let outcome = match refusal {
        Refusal::MessageNotFound
        | Refusal::NotOwnMessage
        | Refusal::AlreadyDeleted
        | Refusal::ReplyNotFound
        | Refusal::ReplyDeleted
        | Refusal::KeyReused => Outcome::Rejected,
        Refusal::NotMember
        | Refusal::MembershipPending
        | Refusal::PeerGone
        | Refusal::Blocked
        | Refusal::RoleRequired
        | Refusal::MentionNotMember
        | Refusal::TooManyReactions
        | Refusal::TooManyPins
        | Refusal::VersionGap { .. } => Outcome::NotAttempted,
    };
    of_refusal(refusal).with_outcome(outcome)
}

/// A refusal at the door, before the log was asked: an earlier try of the id may have been stored.
pub(crate) fn refused_at_door(refusal: Refusal) -> Error {
    of_refusal(refusal).with_outcome(Outcome::NotAttempted)
}

fn of_refusal(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotMember => Error::new(Reason::ConversationNotFound, "there is no such conversation for the caller"),
        Refusal::MembershipPending => {
            Error::new(Reason::MembershipPending, "the log does not have the entry of joining yet")
        }
        Refusal::PeerGone => Error::new(Reason::PeerGone, "the other user is gone"),
        Refusal::Blocked => Error::new(Reason::Blocked, "one of the two has blocked the other"),
        Refusal::RoleRequired => Error::new(Reason::RoleRequired, "only admins and owners pin in a group"),
        Refusal::MessageNotFound => message_not_found(),
        Refusal::NotOwnMessage => Error::new(Reason::PermissionDenied, "it is another user's message"),
        Refusal::AlreadyDeleted => Error::new(Reason::AlreadyDeleted, "the message was deleted"),
        Refusal::ReplyNotFound => message_not_found().with_field("reply_to_message_id", "names no message"),
        Refusal::ReplyDeleted => Error::new(Reason::AlreadyDeleted, "the message to answer was deleted")
            .with_field("reply_to_message_id", "names a deleted message"),
        Refusal::MentionNotMember => Error::invalid_argument("mentioned_user_ids", "names somebody who is no member"),
        Refusal::TooManyReactions => {
            Error::new(Reason::LimitExceeded, format!("a message has at most {REACTION_KINDS_MAX} different reactions"))
        }
        Refusal::TooManyPins => {
            Error::new(Reason::LimitExceeded, format!("a conversation has at most {PINS_MAX} pinned messages"))
        }
        Refusal::KeyReused => {
            Error::new(Reason::IdempotencyKeyReused, "the request id was used before, with another body")
        }
        Refusal::VersionGap { current } => Error::new(Reason::VersionGap, "an earlier version is not in the log yet")
            .with_metadata("current_version", current.to_string()),
    }
}

/// There is no such message in the conversation.
pub(crate) fn message_not_found() -> Error {
    Error::new(Reason::MessageNotFound, "there is no such message")
}

/// A place that is not there yet.
pub(crate) fn past_head(field: &str, head: u64) -> Error {
    Error::invalid_argument(field, format!("is past the head, which is {head}"))
}

/// A text that is none.
pub(crate) fn invalid_text(field: &str, invalid: InvalidText) -> Error {
    let reason = match invalid {
        InvalidText::Blank => Reason::TextEmpty,
        InvalidText::TooLong(_) => Reason::TextTooLong,
    };
    Error::new(reason, format!("{field} {invalid}")).with_field(field, invalid.to_string())
}

/// The caller's time is over, and its entry was in no append.
pub(crate) fn too_late_not_attempted() -> Error {
    too_late().with_outcome(Outcome::NotAttempted)
}

/// The caller's time is over while its entry is on its way to the store.
pub(crate) fn too_late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the time that the caller gave is over")
}

/// An earlier send of the chain failed.
pub(crate) fn predecessor_failed() -> Error {
    Error::new(Reason::PredecessorFailed, "an earlier send in the conversation failed")
}

/// Too many writes wait already.
pub(crate) fn overloaded() -> Error {
    Error::new(Reason::StoreUnavailable, "too many writes wait for the store")
}

/// Nobody knows whether it was stored.
pub(crate) fn outcome_unknown() -> Error {
    Error::new(Reason::OutcomeUnknown, "it could not be found out whether it was stored")
}

/// The conversation service cannot say who may do this.
pub(crate) fn membership_unavailable() -> Error {
    Error::new(Reason::StoreUnavailable, "it cannot be found out now who is a member")
}

/// Nothing was written: the store said so, or was only asked.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(cause, "store unavailable");
                Self::new(Reason::StoreUnavailable, "the store cannot be reached")
            }
            StoreError::OutcomeUnknown(cause) => {
                tracing::warn!(cause, "outcome of a write unknown");
                outcome_unknown()
            }
            StoreError::IdempotencyWindow => {
                Self::new(Reason::IdempotencyWindow, "the request id may be older than what can be looked up")
            }
            StoreError::Corrupt(cause) => Self::internal(cause).with_outcome(Outcome::NotAttempted),
        }
    }
}
