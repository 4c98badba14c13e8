use sqlx::error::DatabaseError as _;
use sqlx::sqlite::SqliteError;

/// Whether what was read cannot be what was stored, on each engine.
pub fn is_corruption(error: &sqlx::Error) -> bool {
    // PostgreSQL's data_corrupted and index_corrupted.
    const POSTGRES_CODES: [&str; 2] = ["XX001", "XX002"];
    // SQLITE_CORRUPT and SQLITE_NOTADB; the low byte of an extended code is the code.
    const SQLITE_CODES: [i32; 2] = [11, 26];
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => true,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<SqliteError>() {
            Some(error) => {
                let code = error.code().and_then(|code| code.parse::<i32>().ok());
                code.is_some_and(|code| SQLITE_CODES.contains(&(code & 0xff)))
            }
            None => error.code().is_some_and(|code| POSTGRES_CODES.contains(&&*code)),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_is_corrupt_and_what_cannot_be_reached_is_not() {
        assert!(is_corruption(&sqlx::Error::Decode("not a number".into())));
        assert!(!is_corruption(&sqlx::Error::PoolTimedOut));
        assert!(!is_corruption(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())));
    }
}
