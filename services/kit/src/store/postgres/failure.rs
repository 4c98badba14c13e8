//! What an error of PostgreSQL says about the write.

use std::error::Error;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a store.
pub trait StoreFailure: Sized {
    /// Nothing was stored.
    fn unavailable(source: BoxError) -> Self;

    /// The commit was under way.
    fn outcome_unknown(source: BoxError) -> Self;

    /// Why nothing was stored. `None`: something may have been, or a rule refused it.
    fn not_applied(&self) -> Option<&(dyn Error + 'static)>;
}

/// Another transaction was faster, and what it did decides this one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("another transaction was faster")]
pub struct LostRace;

/// Whether the next attempt may go well at once.
pub(super) fn is_transient(cause: &(dyn Error + 'static)) -> bool {
    // Serialization failure, deadlock, lock not had in time; the server ends or starts; too many connections.
    const CODES: [&str; 7] = ["40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300"];
    if cause.is::<LostRace>() {
        return true;
    }
    match cause.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| CODES.contains(&&*code)),
        // The connection broke in the middle; a new one may be had.
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
        _ => false,
    }
}

/// Whether a commit that failed so may have happened.
///
/// A server that answers with an error has not committed. One that ends the session, or says nothing, may have.
pub(super) fn commit_is_unknown(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => error.severity() != PgSeverity::Error || error.code().starts_with("08"),
            None => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_off_is_tried_again_and_what_was_refused_is_not() {
        let io = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(is_transient(&LostRace) && is_transient(&io()));
        assert!(!is_transient(&sqlx::Error::PoolTimedOut) && !is_transient(&sqlx::Error::RowNotFound));
        assert!(commit_is_unknown(&io()));
    }
}
