//! Errors of the drivers → errors of a store.

use std::error::Error;

use sqlx::sqlite::SqliteError;
use viberchat_kit::store::postgres::{StoreFailure, is_corruption};

use super::{BoxError, ChangeError, StoreError};

impl From<sqlx::Error> for StoreError {
    /// Of everything but a commit: nothing was stored.
    fn from(error: sqlx::Error) -> Self {
        if is_corruption(&error) || is_broken_file(&error) {
            return Self::Corrupt(error.to_string());
        }
        Self::Unavailable(Box::new(error))
    }
}

fn is_broken_file(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT and SQLITE_NOTADB; the low byte of an extended code is the code.
    const CODES: [i32; 2] = [11, 26];
    let sqlx::Error::Database(error) = error else { return false };
    let Some(error) = error.try_downcast_ref::<SqliteError>() else { return false };
    let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| CODES.contains(&(code & 0xff)))
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
