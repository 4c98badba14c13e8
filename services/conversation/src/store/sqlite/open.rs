use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use viberchat_kit::fault;

use super::migrate;

/// How long a writer waits for another process, and a call for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of the log file before SQLite writes it back into the database.
const CHECKPOINT_PAGES: &str = "1000";

/// Where and how to open.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) data_file: PathBuf,
    pub(crate) reader_connections: u32,
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("could not open the database file")]
    Open(#[from] sqlx::Error),
    /// Of a later release; we would not understand what is in it.
    #[error("the schema is of version {found}, this release knows up to {known}")]
    NewerSchema { found: i64, known: i64 },
}

pub(super) async fn open(options: &Options) -> Result<(SqlitePool, SqlitePool), OpenError> {
    let connect = connect_options(options)?;
    let writer = pool(1).connect_with(connect.clone()).await?;
    migrate::migrate(&writer).await?;
    let read_only = connect.create_if_missing(false).pragma("query_only", "ON");
    let readers = pool(options.reader_connections).connect_with(read_only).await?;
    Ok((writer, readers))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale: no ping before use, no end of life.
    SqlitePoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn connect_options(options: &Options) -> Result<SqliteConnectOptions, sqlx::Error> {
    let connect = SqliteConnectOptions::new()
        .filename(&options.data_file)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::from_str(fault::sqlite_synchronous())?)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
    Ok(match fault::sqlite_vfs() {
        Some(vfs) => connect.vfs(vfs),
        None => connect,
    })
}
