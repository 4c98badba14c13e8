//! Errors of the drivers → errors of a store.

use std::error::Error;

use viberchat_kit::store::is_corruption;
use viberchat_kit::store::postgres::StoreFailure;

use super::{BoxError, StoreError};

impl From<sqlx::Error> for StoreError {
    /// Of everything but a commit: nothing was stored.
    fn from(error: sqlx::Error) -> Self {
        if is_corruption(&error) { Self::Corrupt(error.to_string()) } else { Self::Unavailable(Box::new(error)) }
    }
}

impl StoreFailure for StoreError {
    fn unavailable(source: BoxError) -> Self {
        Self::Unavailable(source)
    }

    fn outcome_unknown(source: BoxError) -> Self {
        Self::OutcomeUnknown(source)
    }

    fn not_applied(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(source) => Some(&**source),
            Self::OutcomeUnknown(_) | Self::Corrupt(_) => None,
        }
    }
}
