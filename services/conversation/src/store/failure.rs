//! Errors of the drivers → errors of a store.

use std::error::Error;

use viberchat_kit::store::is_corruption;
use viberchat_kit::store::postgres::StoreFailure;

use super::{BoxError, ChangeError, StoreError};

impl From<sqlx::Error> for StoreError {
    /// Of everything but a commit: nothing was stored.
    fn from(error: sqlx::Error) -> Self {
        if is_corruption(&error) {
            return Self::Corrupt(error.to_string());
        }
        Self::Unavailable(Box::new(error))
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl StoreFailure for StoreError {
    fn unavailable(source: BoxError) -> Self {
        match source.downcast::<sqlx::Error>() {
            Ok(error) => (*error).into(),
            Err(source) => Self::Unavailable(source),
        }
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

impl StoreFailure for ChangeError {
    fn unavailable(source: BoxError) -> Self {
        Self::Store(StoreError::unavailable(source))
    }

    fn outcome_unknown(source: BoxError) -> Self {
        Self::Store(StoreError::outcome_unknown(source))
    }

    fn not_applied(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Store(error) => error.not_applied(),
        }
    }
}
