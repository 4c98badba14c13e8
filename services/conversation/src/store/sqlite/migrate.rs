//! Plain SQL files, each applied once, in order, by whichever process comes first. `user_version` counts them.

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use viberchat_kit::store::Migration;

use super::open::OpenError;

/// Never changed once released; a new one is added at the end.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_conversations", sql: include_str!("../../../migrations/sqlite/0001_conversations.sql") },
    Migration {
        name: "0002_history_settings_blocks",
        sql: include_str!("../../../migrations/sqlite/0002_history_settings_blocks.sql"),
    },
];

/// The version that the file had.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<usize, OpenError> {
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
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<usize, OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)?;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    Ok(usize::try_from(found).unwrap_or(0))
}
