//! The error model: one reason, what became of the write, and one mapping to and from gRPC.
//!
//! Map: `reason` is the one list of reasons with their codes and outcomes; `status` is the one mapping to
//! [`tonic::Status`] and to `viberchat.types.v1.Error`, and back.
//! Invariant: what a service says about its inside goes to the log, never to a caller.

mod reason;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use reason::{Outcome, Reason, UnknownReason};
pub use status::DOMAIN;

/// The result of whatever may be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request, for example `text`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// A refusal, as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Why; clients branch on it.
    pub reason: Reason,
    /// What became of the write.
    pub outcome: Outcome,
    /// For people; never parsed. Holds no token and no message text.
    pub message: String,
    /// The wrong fields, if the reason is about the request.
    pub violations: Vec<FieldViolation>,
    /// Details by name, documented with the reason. `outcome` is no name for one.
    pub metadata: BTreeMap<String, String>,
    /// When to try again; `None`: as the reason says.
    pub retry_after: Option<Duration>,
}

const INTERNAL_MESSAGE: &str = "an internal error occurred";

impl Error {
    /// With the default outcome of the reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            outcome: reason.outcome(),
            message: message.into(),
            violations: Vec::new(),
            metadata: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// `INVALID_ARGUMENT` about one field.
    pub fn invalid_argument(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        Self::new(Reason::InvalidArgument, format!("{field} {description}")).with_field(field, description)
    }

    /// `INTERNAL`. The source goes to the log; the caller gets a fixed sentence.
    pub fn internal(source: impl fmt::Display) -> Self {
        tracing::error!(error = %source, "internal error");
        Self::new(Reason::Internal, INTERNAL_MESSAGE)
    }

    /// Says what became of the write, where the case decides.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Names a wrong field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.violations.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// When to try again: as said, or as the reason says. `None`: not unchanged.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after.or(self.reason.retry_after())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
