//! PostgreSQL 15 or later, as every service uses it: one pool, one schema of its own, plain SQL migrations.
//!
//! Map: [`Settings`] the section of the configuration; [`Database`] the pool, and how a call is bounded and tried again;
//! [`Attempt`] one try of a call and its transaction; `schema` migrations; `describe` what they have
//! made; `examine` what an operator should know of the server; `failure` what an error says.
//!
//! Invariants:
//! - Every connection looks into the one schema only, and has the timeouts of the settings on the server, too; a call
//!   ends in time even when the server is silent.
//! - A commit is durable, whatever the server's default for `synchronous_commit` is.
//! - A call is tried again only when it certainly changed nothing. What broke off while it was being committed is
//!   unknown.

mod describe;
mod examine;
mod failure;
mod schema;
mod settings;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{Connection as _, Transaction};

pub use examine::examine;
pub use failure::{BoxError, LostRace, StoreFailure};
pub use schema::{SchemaError, migrate, require};
pub use settings::{DatabaseUrl, Settings, Tls};

use failure::{commit_is_unknown, is_transient};

/// A call is tried this often at most.
const ATTEMPTS_MAX: u32 = 5;
/// Before the second attempt; then twice as long each.
const PAUSE: Duration = Duration::from_millis(2);
/// A connection that was used a moment ago is taken without a ping.
const PING_AFTER: Duration = Duration::from_secs(1);
/// What a call gets beyond the time of its statements before it is given up here: the server ends it first.
const CALL_MARGIN: Duration = Duration::from_secs(2);
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A pool of connections to the schema of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    schema: Arc<str>,
    call_timeout: Duration,
}

impl Database {
    /// Connects. Does not look whether the schema is there: see [`require`].
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn connect(settings: &Settings, service: &str) -> Result<Self, sqlx::Error> {
        let schema = settings.schema(service);
        let session = Arc::new(session_settings(settings, &schema));
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max)
            .acquire_timeout(Duration::from_millis(settings.connect_timeout_ms))
            .max_lifetime(MAX_LIFETIME)
            .idle_timeout(IDLE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for >= PING_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move { set_session(connection, &*session).await })
            })
            .connect_with(settings.connect_options()?)
            .await?;
        let call_timeout = Duration::from_millis(settings.statement_timeout_ms) + CALL_MARGIN;
        Ok(Self { pool, schema: schema.into(), call_timeout })
    }

    /// The schema that all statements are about.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The tables of the schema as text, the same for the same schema.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn describe(&self) -> Result<String, sqlx::Error> {
        describe::describe(&self.pool).await
    }

    /// Waits for what runs, and closes.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Makes the call, in time, and again while it changed nothing and may go well the next time: after a deadlock, a
    /// lost race, a lost connection. Dropped, it leaves nothing half done.
    ///
    /// # Errors
    /// As the call, and when it takes too long.
    pub async fn run<T, E, F, Fut>(&self, mut call: F) -> Result<T, E>
    where
        E: StoreFailure,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS_MAX {
            match self.once(&mut call).await {
                Err(error) if error.not_applied().is_some_and(is_transient) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        self.once(&mut call).await
    }

    async fn once<T, E, F, Fut>(&self, call: &mut F) -> Result<T, E>
    where
        E: StoreFailure,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let committing = Arc::new(AtomicBool::new(false));
        let attempt = Attempt { pool: self.pool.clone(), committing: committing.clone() };
        match tokio::time::timeout(self.call_timeout, call(attempt)).await {
            Ok(result) => result,
            Err(_) if committing.load(Ordering::Acquire) => Err(E::outcome_unknown("no answer to a commit".into())),
            Err(_) => Err(E::unavailable("PostgreSQL did not answer in time".into())),
        }
    }
}

/// One try of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Attempt {
    pool: PgPool,
    /// Written before the commit, read when the time is over.
    committing: Arc<AtomicBool>,
}

impl Attempt {
    /// For a statement that is a transaction by itself.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection for several of them.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// A transaction in which each statement sees what is committed when it begins. Rolled back when dropped.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub async fn begin(&self) -> Result<Write, sqlx::Error> {
        let transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        Ok(Write { transaction, committing: self.committing.clone() })
    }

    /// A transaction in which all statements see one moment.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }
}

/// A transaction that writes.
pub struct Write {
    transaction: Transaction<'static, Postgres>,
    committing: Arc<AtomicBool>,
}

impl Write {
    /// Where its statements run.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Commits.
    ///
    /// # Errors
    /// [`StoreFailure::outcome_unknown`] if the connection broke; [`StoreFailure::unavailable`] if the server refused.
    pub async fn commit<E: StoreFailure>(self) -> Result<(), E> {
        self.committing.store(true, Ordering::Release);
        self.transaction.commit().await.map_err(|error| {
            if commit_is_unknown(&error) { E::outcome_unknown(error.into()) } else { E::unavailable(error.into()) }
        })
    }
}

fn session_settings(settings: &Settings, schema: &str) -> [(&'static str, String); 5] {
    [
        ("search_path", schema.to_owned()),
        // Of statements that are a transaction by themselves.
        ("default_transaction_isolation", "read committed".to_owned()),
        ("statement_timeout", format!("{}ms", settings.statement_timeout_ms)),
        ("lock_timeout", format!("{}ms", settings.lock_timeout_ms)),
        // Whoever stops in the middle of a transaction must not hold its locks for long.
        ("idle_in_transaction_session_timeout", format!("{}ms", settings.statement_timeout_ms)),
    ]
}

async fn set_session(connection: &mut PgConnection, session: &[(&'static str, String)]) -> Result<(), sqlx::Error> {
    let (names, values): (Vec<_>, Vec<_>) = session.iter().map(|(name, value)| (*name, value.as_str())).unzip();
    sqlx::query("SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)")
        .bind(names)
        .bind(values)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    )
    .execute(connection)
    .await?;
    Ok(())
}
