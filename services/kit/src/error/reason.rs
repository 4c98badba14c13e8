use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tonic::Code;

/// What became of a write that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Decided at the head: this id is not stored and never will be.
    Rejected,
    /// This call stored nothing; an earlier try of the id may have.
    NotAttempted,
    /// May or may not be stored.
    Unknown,
}

impl Outcome {
    /// As it stands in the metadata of an error.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::NotAttempted => "not_attempted",
            Self::Unknown => "unknown",
        }
    }

    /// The inverse of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rejected, Self::NotAttempted, Self::Unknown].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the same request may succeed later without being changed.
const RETRY: bool = true;
const FINAL: bool = false;

/// Suggested to clients where the error itself does not name a time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_millis(500);

macro_rules! reasons {
    ($($variant:ident $name:literal $code:ident $outcome:ident $retry:ident $description:literal)*) => {
        /// Why something was refused: the one list, from which the documentation is made. Clients branch on these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $description] $variant,)*
        }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that clients see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The canonical gRPC code.
            pub const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)* }
            }

            /// What became of the write, unless the case decides otherwise.
            pub const fn outcome(self) -> Outcome {
                match self { $(Self::$variant => Outcome::$outcome,)* }
            }

            /// Whether the same request may succeed later without being changed.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// One sentence for the documentation.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
        }
    };
}

reasons! {
    Unauthenticated "UNAUTHENTICATED" Unauthenticated NotAttempted FINAL
        "The call carries no valid identity."
    TokenExpired "TOKEN_EXPIRED" Unauthenticated NotAttempted FINAL
        "The token was valid and is no longer: get a new one."
    PermissionDenied "PERMISSION_DENIED" PermissionDenied NotAttempted FINAL
        "The caller is known and may not do this."
    RoleRequired "ROLE_REQUIRED" PermissionDenied NotAttempted FINAL
        "Only an admin or an owner of the group may do this."
    Blocked "BLOCKED" PermissionDenied NotAttempted FINAL
        "One of the two users has blocked the other."
    PeerGone "PEER_GONE" FailedPrecondition NotAttempted FINAL
        "The other user of the direct conversation was deactivated."
    ConversationNotFound "CONVERSATION_NOT_FOUND" NotFound NotAttempted FINAL
        "There is no such conversation, or the caller is no member of it."
    MessageNotFound "MESSAGE_NOT_FOUND" NotFound Rejected FINAL
        "There is no such message in the conversation, or the caller may not see it."
    SessionNotFound "SESSION_NOT_FOUND" NotFound NotAttempted FINAL
        "There is no such session at this gateway."
    UserNotFound "USER_NOT_FOUND" NotFound NotAttempted FINAL
        "There is no such user."
    MemberExists "MEMBER_EXISTS" AlreadyExists NotAttempted FINAL
        "The user is a member already."
    DirectIsFixed "DIRECT_IS_FIXED" FailedPrecondition Rejected FINAL
        "The members of a direct conversation never change."
    SelfConversation "SELF_CONVERSATION" FailedPrecondition Rejected FINAL
        "This deployment has no conversations with oneself."
    InvalidArgument "INVALID_ARGUMENT" InvalidArgument Rejected FINAL
        "A field of the request is malformed or out of range."
    TextEmpty "TEXT_EMPTY" InvalidArgument Rejected FINAL
        "The text is empty or blank."
    TextTooLong "TEXT_TOO_LONG" InvalidArgument Rejected FINAL
        "The text has more bytes than allowed."
    LimitExceeded "LIMIT_EXCEEDED" ResourceExhausted NotAttempted FINAL
        "A documented limit would be passed."
    RateLimited "RATE_LIMITED" ResourceExhausted NotAttempted RETRY
        "Too many requests in too short a time."
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" AlreadyExists Rejected FINAL
        "The request id was used before, with another body."
    IdempotencyWindow "IDEMPOTENCY_WINDOW" FailedPrecondition Unknown FINAL
        "Without a known_seq the request id can no longer be looked up in bounded time."
    PredecessorFailed "PREDECESSOR_FAILED" Aborted NotAttempted RETRY
        "An earlier send of the same user in the same conversation failed while this one was under way."
    PageTokenInvalid "PAGE_TOKEN_INVALID" InvalidArgument NotAttempted FINAL
        "The page token is not one that was given to this caller for these filters."
    EtagMismatch "ETAG_MISMATCH" Aborted Rejected FINAL
        "What was to be changed has changed in the meantime: read it again."
    AlreadyDeleted "ALREADY_DELETED" FailedPrecondition Rejected FINAL
        "The message was deleted."
    Importing "IMPORTING" Unavailable NotAttempted RETRY
        "The conversation is being imported and read-only until that is done."
    SlowConsumer "SLOW_CONSUMER" ResourceExhausted NotAttempted RETRY
        "The stream was not read fast enough: connect again and resume."
    Draining "DRAINING" Unavailable NotAttempted RETRY
        "This instance is shutting down: another one takes the call."
    MembershipPending "MEMBERSHIP_PENDING" Unavailable NotAttempted RETRY
        "The user was added, and the log does not have the entry yet."
    VersionGap "VERSION_GAP" FailedPrecondition NotAttempted RETRY
        "A system entry came before its predecessor."
    MethodNotFound "METHOD_NOT_FOUND" Unimplemented NotAttempted FINAL
        "There is no such method here."
    StoreUnavailable "STORE_UNAVAILABLE" Unavailable NotAttempted RETRY
        "The store, or a service that is needed, cannot be reached."
    OutcomeUnknown "OUTCOME_UNKNOWN" Unknown Unknown RETRY
        "It could not be found out whether the write was stored: try again with the same id."
    DeadlineExceeded "DEADLINE_EXCEEDED" DeadlineExceeded Unknown RETRY
        "The time that the caller gave is over."
    Internal "INTERNAL" Internal Unknown FINAL
        "A defect of the service; its log says more."
}

impl Reason {
    /// The inverse of [`Reason::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// When to try again where the error does not say; `None` for what is not to be retried unchanged.
    pub const fn retry_after(self) -> Option<Duration> {
        if self.retryable() { Some(RETRY_AFTER_DEFAULT) } else { None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(name: &str) -> Result<Self, UnknownReason> {
        Self::parse(name).ok_or(UnknownReason)
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A name that is no [`Reason`], for example of a later release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known error reason")]
pub struct UnknownReason;
