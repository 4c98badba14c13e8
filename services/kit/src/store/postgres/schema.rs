//! Plain SQL files, each applied once, in order, by whichever process comes first; the table `schema_version` counts them.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::{Database, Settings};
use crate::store::{Migration, SchemaReport};

/// Why a schema is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The server.
    #[error("PostgreSQL refuses or cannot be reached")]
    Database(#[from] sqlx::Error),
    /// Nobody has brought it up to date.
    #[error("schema {schema} is of version {found}, this release needs {known}: run `viberchat migrate schema`")]
    Behind {
        /// Its name.
        schema: String,
        /// The version that is there; 0: nothing.
        found: u64,
        /// The version of this release.
        known: u64,
    },
    /// Of a later release; we would not understand what is in it.
    #[error("schema {schema} is of version {found}, this release knows up to {known}: it belongs to a later release")]
    Newer {
        /// Its name.
        schema: String,
        /// The version that is there.
        found: u64,
        /// The version of this release.
        known: u64,
    },
}

/// Brings the schema of a service up to date; only says what it would do in a dry run. Any number of processes may do it
/// at once: one does it, the others find it done.
///
/// # Errors
/// [`SchemaError`]; nothing was changed then.
pub async fn migrate(
    settings: &Settings,
    service: &str,
    migrations: &[Migration],
    dry_run: bool,
) -> Result<SchemaReport, SchemaError> {
    let schema = settings.schema(service);
    // A connection of its own: a change of a large table takes longer than a statement of a call may.
    let timeout = Duration::from_millis(settings.connect_timeout_ms);
    let connecting = settings.connect_options()?;
    let connecting = tokio::time::timeout(timeout, connecting.connect()).await;
    let mut connection = connecting.map_err(|_| sqlx::Error::PoolTimedOut)??;
    let mut transaction = connection.begin().await?;
    if !dry_run {
        // Until the end of the transaction; whoever waits for it sees below what the one before has done.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('viberchat schema ' || $1, 0))")
            .bind(&schema)
            .execute(&mut *transaction)
            .await?;
    }
    let found = version(&mut transaction, &schema).await?;
    let pending = pending(&schema, found, migrations)?;
    if !dry_run && !pending.is_empty() {
        apply(&mut transaction, &schema, found, pending).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    connection.close().await?;
    let changes = pending.iter().map(|migration| migration.name).collect();
    Ok(SchemaReport { place: settings.place(service), found, known: migrations.len() as u64, changes, dry_run })
}

/// Whether the schema is the one of this release.
///
/// # Errors
/// [`SchemaError`].
pub async fn require(database: &Database, migrations: &[Migration]) -> Result<(), SchemaError> {
    let mut connection = database.pool.acquire().await?;
    let found = version(&mut connection, database.schema()).await?;
    match pending(database.schema(), found, migrations)? {
        [] => Ok(()),
        _ => {
            let known = migrations.len() as u64;
            Err(SchemaError::Behind { schema: database.schema().to_owned(), found, known })
        }
    }
}

fn pending<'a>(schema: &str, found: u64, migrations: &'a [Migration]) -> Result<&'a [Migration], SchemaError> {
    let known = migrations.len() as u64;
    let applied = usize::try_from(found).unwrap_or(usize::MAX);
    migrations.get(applied..).ok_or_else(|| SchemaError::Newer { schema: schema.to_owned(), found, known })
}

/// 0: there is none.
async fn version(connection: &mut PgConnection, schema: &str) -> Result<u64, sqlx::Error> {
    let there: bool = sqlx::query("SELECT to_regclass(quote_ident($1) || '.schema_version') IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !there {
        return Ok(0);
    }
    // A name takes no parameter; it is of letters that need no quoting.
    let newest = AssertSqlSafe(format!("SELECT coalesce(max(version), 0) FROM {schema}.schema_version"));
    let newest: i64 = sqlx::query(newest).fetch_one(connection).await?.try_get(0)?;
    Ok(u64::try_from(newest).unwrap_or(0))
}

async fn apply(
    connection: &mut PgConnection,
    schema: &str,
    found: u64,
    migrations: &[Migration],
) -> Result<(), sqlx::Error> {
    // To make one needs a right that an account with a schema of its own may not have.
    let there: bool = sqlx::query("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !there {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL search_path TO {schema}"))).execute(&mut *connection).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (
            version bigint PRIMARY KEY,
            name text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )",
    )
    .execute(&mut *connection)
    .await?;
    for (version, migration) in (found + 1..).zip(migrations) {
        sqlx::raw_sql(migration.sql).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO schema_version (version, name) VALUES ($1, $2)")
            .bind(i64::try_from(version).expect("there are few migrations"))
            .bind(migration.name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
