//! Plain SQL files, each applied once, in order, by whichever process comes first. `user_version` counts them.

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _};

use super::open::OpenError;

/// Never changed once released; a new one is added at the end.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_conversations.sql"),
    include_str!("../../../migrations/sqlite/0002_history_settings_blocks.sql"),
];

pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    // Takes the lock first: of two processes that start together, the second finds the work done.
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await?.try_get(0)?;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    let applied = usize::try_from(found).unwrap_or(0);
    for migration in &MIGRATIONS[applied..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the number is ours.
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {known}"))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
