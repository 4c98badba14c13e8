use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::Instant;
use viberchat_kit::fault;
use viberchat_kit::store::SchemaReport;

use super::migrate;

/// How long a writer waits for another process, and a call for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Pages of the log file before SQLite writes it back into the database.
const CHECKPOINT_PAGES: &str = "1000";
/// What a reader keeps of the file, in KiB: each commit empties it, and the system has the file's pages in its own cache.
const READER_CACHE: &str = "-512";

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
    let writer = open_writer(&connect).await?;
    migrate::migrate(&writer).await?;
    let read_only = connect.create_if_missing(false).pragma("query_only", "ON").pragma("cache_size", READER_CACHE);
    let readers = pool(options.reader_connections).connect_with(read_only).await?;
    Ok((writer, readers))
}

/// Brings the schema of a file up to date and closes it; in a dry run only says what it would do, and makes no file.
pub(crate) async fn migrate_file(options: &Options, dry_run: bool) -> Result<SchemaReport, OpenError> {
    let connect = connect_options(options)?;
    let found = if !dry_run {
        let writer = open_writer(&connect).await?;
        let found = migrate::migrate(&writer).await;
        writer.close().await;
        found?
    } else if options.data_file.exists() {
        let mut reader = connect.create_if_missing(false).read_only(true).connect().await?;
        migrate::version(&mut reader).await?
    } else {
        0
    };
    Ok(SchemaReport {
        place: format!("SQLite file {}", options.data_file.display()),
        found: found as u64,
        known: migrate::MIGRATIONS.len() as u64,
        changes: migrate::MIGRATIONS[found..].iter().map(|migration| migration.name).collect(),
        dry_run,
    })
}

/// Making a new file a write-ahead log needs it exclusively, and SQLite does not wait for that: of processes that start
/// together all but one are told that it is locked.
async fn open_writer(connect: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool(1).connect_with(connect.clone()).await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

fn is_busy(error: &dyn DatabaseError) -> bool {
    const SQLITE_BUSY: i32 = 5;
    // The low byte of an extended code is the code.
    let code = error.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
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
