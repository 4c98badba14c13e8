//! Which store is configured. The one place that knows all engines.

use viberchat_kit::clock::Clock;
use viberchat_kit::doctor::{Finding, Verdict, causes};
use viberchat_kit::store::{Engine, SchemaReport};

use super::postgres::{self, PostgresStore};
use super::sqlite::{self, Options, SqliteStore};
use super::{BoxError, ConversationStore as _};
use crate::config::Config;

/// The store of a service.
pub(crate) enum Opened {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Opened {
    pub(crate) async fn open(config: &Config) -> Result<Self, BoxError> {
        Ok(match config.store {
            Engine::Sqlite => Self::Sqlite(SqliteStore::open(&file(config)).await?),
            Engine::Postgres => Self::Postgres(PostgresStore::open(&config.postgres).await?),
        })
    }

    /// Whether it answers.
    pub(crate) async fn is_ready(&self) -> bool {
        match self {
            Self::Sqlite(store) => store.newest_change().await.is_ok(),
            Self::Postgres(store) => store.newest_change().await.is_ok(),
        }
    }

    /// Waits for what runs, and closes.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// Brings the schema up to date, or only says what it would do.
pub(crate) async fn migrate(config: &Config, dry_run: bool) -> Result<SchemaReport, BoxError> {
    Ok(match config.store {
        Engine::Sqlite => sqlite::migrate_file(&file(config), dry_run).await?,
        Engine::Postgres => postgres::migrate(&config.postgres, dry_run).await?,
    })
}

/// What an operator should know of the engine and of the schema.
pub(crate) async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = match config.store {
        Engine::Sqlite => Vec::new(),
        Engine::Postgres => viberchat_kit::store::postgres::examine(&config.postgres, postgres::SERVICE, clock).await,
    };
    if findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        return findings;
    }
    let is_made_at_start = config.store == Engine::Sqlite || config.postgres.migrate_on_start;
    findings.push(match migrate(config, true).await {
        Ok(report) => Finding::schema(report.changes.is_empty() || is_made_at_start, report.to_string()),
        Err(error) => Finding::bad("schema", causes(&*error), "look at the store and at the release that made it"),
    });
    findings
}

/// Where the store is, for people.
pub(crate) fn place(config: &Config) -> String {
    match config.store {
        Engine::Sqlite => config.data_file.display().to_string(),
        Engine::Postgres => config.postgres.place(postgres::SERVICE),
    }
}

fn file(config: &Config) -> Options {
    Options { data_file: config.data_file.clone(), reader_connections: config.reader_connections }
}
