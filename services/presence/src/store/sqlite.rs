//! The store on SQLite: WAL, synced at each commit; one connection writes, a few read.
//!
//! Map: `open` makes connections and brings the schema up to date.

#[cfg(test)]
mod conformance;
mod open;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use futures::FutureExt as _;
use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use viberchat_kit::id::UserId;

pub(crate) use open::{OpenError, Options, migrate_file};

use super::{Answer, PresenceStore, Row, StoreError, Write};
use crate::domain::status::Minute;
use crate::store::rows::{setting_of, status_of};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, makes it if need be, and brings its schema up to date.
    pub(crate) async fn open(options: &Options) -> Result<Self, OpenError> {
        let (writer, readers) = open::open(options).await?;
        Ok(Self { writer, readers })
    }

    /// Waits for what runs, writes the log file back and closes.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn read(&self, users: &[UserId]) -> Result<HashMap<UserId, Row>, StoreError> {
        let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let ids = serde_json::to_string(&ids).map_err(|error| StoreError::Unavailable(error.into()))?;
        let rows = sqlx::query(
            "SELECT user_id, status, last_seen_minute FROM user_presence \
             WHERE user_id IN (SELECT value FROM json_each(?1))",
        )
        .bind(ids)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(row).collect()
    }

    async fn transact(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for write in writes {
            let query = match write {
                Write::Setting(user, setting) => sqlx::query(
                    "INSERT INTO user_presence (user_id, status) VALUES (?1, ?2) \
                     ON CONFLICT (user_id) DO UPDATE SET status = excluded.status",
                )
                .bind(user.as_str())
                .bind(status_of(*setting)),
                Write::LastSeen(user, minute) => sqlx::query(
                    "INSERT INTO user_presence (user_id, last_seen_minute) VALUES (?1, ?2) \
                     ON CONFLICT (user_id) DO UPDATE SET \
                        last_seen_minute = max(ifnull(last_seen_minute, excluded.last_seen_minute), excluded.last_seen_minute)",
                )
                .bind(user.as_str())
                .bind(minute.0),
            };
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await.map_err(|error| StoreError::OutcomeUnknown(Box::new(error)))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM user_presence LIMIT 1").fetch_optional(&self.readers).await?;
        Ok(())
    }
}

impl PresenceStore for SqliteStore {
    fn load<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, HashMap<UserId, Row>> {
        self.read(users).boxed()
    }

    fn write<'a>(&'a self, writes: &'a [Write]) -> Answer<'a, ()> {
        self.transact(writes).boxed()
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.probe().boxed()
    }
}

fn row(row: &SqliteRow) -> Result<(UserId, Row), StoreError> {
    let user: &str = row.try_get("user_id")?;
    let user = UserId::parse(user).map_err(|invalid| StoreError::Corrupt(format!("a user id {invalid}")))?;
    let status: i64 = row.try_get("status")?;
    let setting = setting_of(status).ok_or_else(|| StoreError::Corrupt(format!("status {status}")))?;
    let last_seen: Option<i64> = row.try_get("last_seen_minute")?;
    Ok((user, Row { setting, last_seen: last_seen.map(Minute) }))
}
