use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// All migrations, oldest first. A released one never changes. `user_version` says how many a file has.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_log.sql"),
    include_str!("../../../migrations/sqlite/0002_reactions_pins_delivered.sql"),
];

/// Why a schema is not the present one.
#[derive(Debug)]
pub(super) enum MigrationError {
    Sqlite(rusqlite::Error),
    TooNew(usize),
}

impl MigrationError {
    pub(super) fn at(self, path: &Path) -> OpenError {
        let path = path.display().to_string();
        match self {
            Self::Sqlite(source) => OpenError::Sqlite { path, source },
            Self::TooNew(found) => OpenError::TooNew { path, found, known: MIGRATIONS.len() },
        }
    }
}

impl From<rusqlite::Error> for MigrationError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Brings the schema up to date, each step in a transaction. Several processes may do so at once.
pub(super) fn run(connection: &mut Connection) -> Result<(), MigrationError> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let applied = version as usize;
        if applied > MIGRATIONS.len() {
            return Err(MigrationError::TooNew(applied));
        }
        let Some(migration) = MIGRATIONS.get(applied) else { return Ok(()) };
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}
