//! The store on PostgreSQL, shared by any number of instances.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use futures::FutureExt as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use viberchat_kit::id::UserId;
use viberchat_kit::store::postgres::{self, Attempt, Database, SchemaError, Settings};
use viberchat_kit::store::{Migration, SchemaReport};

use super::rows::{setting_of, status_of};
use super::{Answer, PresenceStore, Row, StoreError, Write};
use crate::domain::status::{Minute, Setting};

/// What the name of the schema ends with.
pub(crate) const SERVICE: &str = "presence";

/// Never changed once released; a new one is added at the end.
const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_presence", sql: include_str!("../../migrations/postgres/0001_presence.sql") }];

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct PostgresStore(Database);

impl PostgresStore {
    /// Connects. Brings the schema up to date where that is configured, and else refuses one that is not.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, SchemaError> {
        if settings.migrate_on_start {
            migrate(settings, false).await?;
        }
        let database = Database::connect(settings, SERVICE).await?;
        postgres::require(&database, MIGRATIONS).await?;
        Ok(Self(database))
    }

    /// Waits for what runs, and closes.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// Brings the schema up to date.
pub(crate) async fn migrate(settings: &Settings, dry_run: bool) -> Result<SchemaReport, SchemaError> {
    postgres::migrate(settings, SERVICE, MIGRATIONS, dry_run).await
}

impl PresenceStore for PostgresStore {
    fn load<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, HashMap<UserId, Row>> {
        self.0.run(move |attempt| async move { load(&attempt, users).await }).boxed()
    }

    fn write<'a>(&'a self, writes: &'a [Write]) -> Answer<'a, ()> {
        self.0.run(move |attempt| async move { write(&attempt, writes).await }).boxed()
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.0.run(|attempt| async move { ping(&attempt).await }).boxed()
    }
}

async fn load(attempt: &Attempt, users: &[UserId]) -> Result<HashMap<UserId, Row>, StoreError> {
    let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query("SELECT user_id, status, last_seen_minute FROM user_presence WHERE user_id = ANY($1)")
        .bind(ids)
        .fetch_all(attempt.pool())
        .await?;
    rows.iter().map(row).collect()
}

/// What a write makes of one user: the last status, the latest minute.
#[derive(Clone, Copy, Default)]
struct Parts {
    status: Option<i64>,
    minute: Option<i64>,
}

async fn write(attempt: &Attempt, writes: &[Write]) -> Result<(), StoreError> {
    // In the order of their ids, so that two instances do not wait for each other.
    let mut users: BTreeMap<&str, Parts> = BTreeMap::new();
    for write in writes {
        match write {
            Write::Setting(user, setting) => {
                users.entry(user.as_str()).or_default().status = Some(status_of(*setting));
            }
            Write::LastSeen(user, minute) => {
                let parts = users.entry(user.as_str()).or_default();
                parts.minute = parts.minute.max(Some(minute.0));
            }
        }
    }
    let mut transaction = attempt.begin().await?;
    sqlx::query(
        "INSERT INTO user_presence AS p (user_id, status, last_seen_minute) \
         SELECT n.user_id, n.status, n.minute FROM unnest($1::text[], $2::bigint[], $3::bigint[]) \
            AS n (user_id, status, minute) \
         ON CONFLICT (user_id) DO UPDATE SET status = coalesce(excluded.status, p.status), \
            last_seen_minute = greatest(excluded.last_seen_minute, p.last_seen_minute)",
    )
    .bind(users.keys().copied().collect::<Vec<_>>())
    .bind(users.values().map(|parts| parts.status).collect::<Vec<_>>())
    .bind(users.values().map(|parts| parts.minute).collect::<Vec<_>>())
    .execute(transaction.connection())
    .await?;
    transaction.commit().await
}

async fn ping(attempt: &Attempt) -> Result<(), StoreError> {
    sqlx::query("SELECT 1 FROM user_presence LIMIT 1").fetch_optional(attempt.pool()).await?;
    Ok(())
}

fn row(row: &PgRow) -> Result<(UserId, Row), StoreError> {
    let user: &str = row.try_get("user_id")?;
    let user = UserId::parse(user).map_err(|invalid| StoreError::Corrupt(format!("a user id {invalid}")))?;
    let setting = match row.try_get::<Option<i16>, _>("status")? {
        None => Setting::Online,
        Some(status) => setting_of(status.into()).ok_or_else(|| StoreError::Corrupt(format!("status {status}")))?,
    };
    let last_seen: Option<i64> = row.try_get("last_seen_minute")?;
    Ok((user, Row { setting, last_seen: last_seen.map(Minute) }))
}
