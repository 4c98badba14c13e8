use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use crate::store::StoreError;

/// Of a read, or of a write that repeats without harm: nothing is told but that it did not work.
pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// A row that cannot be.
pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Of an append. Whatever may have reached a replica may still be written, however the log looks now: a request may sit in
/// a queue. Only what never left, or was refused before it was begun, is not written.
pub(super) fn of_append(error: &ExecutionError) -> StoreError {
    let text = error.to_string();
    let not_written = match error {
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(attempt) => matches!(
            attempt,
            RequestAttemptError::SerializationError(_)
                | RequestAttemptError::CqlRequestSerialization(_)
                | RequestAttemptError::UnableToAllocStreamId
                | RequestAttemptError::DbError(
                    DbError::SyntaxError
                        | DbError::Invalid
                        | DbError::AuthenticationError
                        | DbError::Unauthorized
                        | DbError::ConfigError
                        | DbError::IsBootstrapping
                        | DbError::Unprepared { .. },
                    _
                )
        ),
        _ => false,
    };
    if not_written { StoreError::Unavailable(text) } else { StoreError::OutcomeUnknown(text) }
}
