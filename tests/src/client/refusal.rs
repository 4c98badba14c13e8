//! Why a call did not succeed, the same from every door.

use std::fmt;

use viberchat_kit::error::{Error, Outcome};
use viberchat_proto::types::v1 as wire;

use crate::history::Answer;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The documented reason, or a word of ours for a lost connection.
    pub reason: String,
    /// What became of the write.
    pub outcome: Outcome,
}

impl Refusal {
    /// The connection was lost, or no answer came in time.
    #[must_use]
    pub fn lost(how: impl fmt::Display) -> Self {
        Self { reason: format!("lost: {how}"), outcome: Outcome::Unknown }
    }

    /// Nothing could be sent.
    #[must_use]
    pub fn unreachable(how: impl fmt::Display) -> Self {
        Self { reason: format!("unreachable: {how}"), outcome: Outcome::NotAttempted }
    }

    /// As a history has it.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self.outcome {
            Outcome::Rejected => Answer::Rejected(self.reason.clone()),
            Outcome::NotAttempted => Answer::NotAttempted(self.reason.clone()),
            Outcome::Unknown => Answer::Unknown(self.reason.clone()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:?})", self.reason, self.outcome)
    }
}

impl std::error::Error for Refusal {}

impl From<wire::Error> for Refusal {
    fn from(error: wire::Error) -> Self {
        let outcome = match error.outcome() {
            wire::Outcome::Rejected => Outcome::Rejected,
            wire::Outcome::NotAttempted => Outcome::NotAttempted,
            wire::Outcome::Unknown | wire::Outcome::Unspecified => Outcome::Unknown,
        };
        Self { reason: error.reason, outcome }
    }
}

impl From<&tonic::Status> for Refusal {
    fn from(status: &tonic::Status) -> Self {
        let error = Error::from_status(status);
        Self { reason: error.reason.as_str().to_owned(), outcome: error.outcome }
    }
}
