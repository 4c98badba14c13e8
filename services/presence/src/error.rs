//! What goes wrong inside → what callers see. The one mapping of this service.

use viberchat_kit::error::{Error, Reason};

use crate::domain::registry::TooManyGateways;
use crate::store::StoreError;

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

impl From<TooManyGateways> for Error {
    fn from(TooManyGateways: TooManyGateways) -> Self {
        Self::new(Reason::LimitExceeded, "too many gateways are attached")
    }
}

/// For strangers too: no hint that it exists.
pub(crate) fn conversation_not_found() -> Error {
    Error::new(Reason::ConversationNotFound, "there is no such conversation")
}

/// Nobody can say who may see what.
pub(crate) fn conversation_service_unavailable() -> Error {
    Error::new(Reason::StoreUnavailable, "the conversation service cannot be reached")
}

/// The end of a stream when the service ends.
pub(crate) fn draining() -> Error {
    Error::new(Reason::Draining, "the service is shutting down")
}

/// A documented limit.
pub(crate) fn limit_exceeded(what: &str, max: usize) -> Error {
    Error::new(Reason::LimitExceeded, format!("at most {max} {what}")).with_metadata("max", max.to_string())
}
