use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio::time::Instant;
use viberchat_kit::fault;
use viberchat_kit::store::{Migration, SchemaReport};

/// How long a writer waits for another process, and a call for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
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
    let writer = open_writer(&connect).await?;
    migrate(&writer).await?;
    let read_only = connect.create_if_missing(false).pragma("query_only", "ON");
    let readers = pool(options.reader_connections).connect_with(read_only).await?;
    Ok((writer, readers))
}

/// Brings the schema of a file up to date and closes it; in a dry run only says what it would do, and makes no file.
pub(crate) async fn migrate_file(options: &Options, dry_run: bool) -> Result<SchemaReport, OpenError> {
    let connect = connect_options(options)?;
    let found = if !dry_run {
        let writer = open_writer(&connect).await?;
        let found = migrate(&writer).await;
        writer.close().await;
        found?
    } else if options.data_file.exists() {
        let mut reader = connect.create_if_missing(false).read_only(true).connect().await?;
        version(&mut reader).await?
    } else {
        0
    };
    Ok(SchemaReport {
        place: format!("SQLite file {}", options.data_file.display()),
        found: found as u64,
        known: MIGRATIONS.len() as u64,
        changes: MIGRATIONS[found..].iter().map(|migration| migration.name).collect(),
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

/// Plain SQL files, each applied once, in order, by whichever process comes first; `user_version` counts them. Never
/// changed once released; a new one is added at the end.
const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_presence", sql: include_str!("../../../migrations/sqlite/0001_presence.sql") }];

/// The version that the file had.
async fn migrate(writer: &SqlitePool) -> Result<usize, OpenError> {
    // Takes the lock first: of two processes that start together, the second finds the work done.
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let found = version(&mut transaction).await?;
    for migration in &MIGRATIONS[found..] {
        sqlx::raw_sql(migration.sql).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the number is ours.
    let set = AssertSqlSafe(format!("PRAGMA user_version = {}", MIGRATIONS.len()));
    sqlx::raw_sql(set).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// How many of the migrations a file has.
async fn version(connection: &mut SqliteConnection) -> Result<usize, OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)?;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    Ok(usize::try_from(found).unwrap_or(0))
}
