//! The keyspace and its tables. Every statement may be run again, and by several at once.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};

use super::OpenError;
use crate::config::CassandraConfig;

/// All migrations, oldest first. A released one never changes. `schema_version` says which a keyspace has.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/cassandra/0001_log.cql")];

/// How tables are compacted, by the engine.
const CASSANDRA_COMPACTION: &str = "{'class': 'UnifiedCompactionStrategy'}";
const SCYLLA_COMPACTION: &str = "{'class': 'IncrementalCompactionStrategy'}";

/// How often it is begun anew where others make the same schema.
const TRIES_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// Brings the schema up to date and returns the statements that it ran, or would run.
pub(super) async fn migrate(
    session: &Session,
    config: &CassandraConfig,
    dry_run: bool,
) -> Result<Vec<String>, OpenError> {
    for _ in 1..TRIES_MAX {
        match try_to_migrate(session, config, dry_run).await {
            // A table that another one makes at this moment is listed, or found there, before it can be asked.
            Err(OpenError::TooEarly(error)) => tracing::debug!(error, "the schema is being made by another one"),
            migrated => return migrated,
        }
        tokio::time::sleep(PAUSE).await;
    }
    try_to_migrate(session, config, dry_run).await
}

/// Refuses a keyspace that is not as this release has it.
pub(super) async fn require(session: &Session, config: &CassandraConfig) -> Result<(), OpenError> {
    let keyspace = config.keyspace();
    match applied(session, &keyspace).await? {
        found if found < MIGRATIONS.len() => Err(OpenError::Behind { keyspace, found, known: MIGRATIONS.len() }),
        _ => Ok(()),
    }
}

async fn try_to_migrate(session: &Session, config: &CassandraConfig, dry_run: bool) -> Result<Vec<String>, OpenError> {
    let keyspace = config.keyspace();
    let is_scylla = is_scylla(session).await?;
    let applied = applied(session, &keyspace).await?;
    let mut statements = Vec::new();
    if applied == 0 {
        statements.push(create_keyspace(config, &keyspace, is_scylla));
        statements
            .push(format!("CREATE TABLE IF NOT EXISTS {keyspace}.schema_version (name text PRIMARY KEY, version int)"));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(applied) {
        statements.extend(split(migration, &keyspace, is_scylla));
        // After its statements: who ends in between runs them again.
        let version = index + 1;
        statements.push(format!("INSERT INTO {keyspace}.schema_version (name, version) VALUES ('message', {version})"));
    }
    if !dry_run {
        for statement in &statements {
            run(session, statement).await?;
        }
    }
    Ok(statements)
}

async fn run(session: &Session, text: &str) -> Result<(), OpenError> {
    let mut statement = Statement::new(text);
    statement.set_is_idempotent(true);
    // Changes of a schema take their time.
    statement.set_request_timeout(Some(Duration::from_secs(60)));
    session.query_unpaged(statement, ()).await.map(drop).map_err(|error| failed(&error, text))
}

fn failed(error: &ExecutionError, statement: &str) -> OpenError {
    let text = format!("{error}: {statement}");
    match error {
        // A table that is being made is unknown, to the parser or, a moment later, to the tables' own registry.
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid | DbError::ServerError, _)) => {
            OpenError::TooEarly(text)
        }
        _ => OpenError::Engine(text),
    }
}

/// How many migrations the keyspace has: no more than are known.
async fn applied(session: &Session, keyspace: &str) -> Result<usize, OpenError> {
    let engine = |error: String| OpenError::Engine(error);
    let mut tables = Statement::new(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_version'",
    );
    tables.set_consistency(Consistency::LocalOne);
    let found = session.query_unpaged(tables, (keyspace,)).await.map_err(|error| engine(error.to_string()))?;
    if found.into_rows_result().map_err(|error| engine(error.to_string()))?.rows_num() == 0 {
        return Ok(0);
    }
    let mut version = Statement::new(format!("SELECT version FROM {keyspace}.schema_version WHERE name = 'message'"));
    version.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    let found =
        session.query_unpaged(version, ()).await.map_err(|error| failed(&error, "the version of the schema"))?;
    let rows = found.into_rows_result().map_err(|error| engine(error.to_string()))?;
    let version = rows.maybe_first_row::<(i32,)>().map_err(|error| engine(error.to_string()))?;
    let found = version.map_or(0, |(version,)| usize::try_from(version).unwrap_or(0));
    let known = MIGRATIONS.len();
    if found > known { Err(OpenError::TooNew { keyspace: keyspace.to_owned(), found, known }) } else { Ok(found) }
}

async fn is_scylla(session: &Session) -> Result<bool, OpenError> {
    let engine = |error: String| OpenError::Engine(error);
    let mut statement = Statement::new(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system' AND table_name = 'scylla_local'",
    );
    statement.set_consistency(Consistency::LocalOne);
    let found = session.query_unpaged(statement, ()).await.map_err(|error| engine(error.to_string()))?;
    Ok(found.into_rows_result().map_err(|error| engine(error.to_string()))?.rows_num() > 0)
}

fn create_keyspace(config: &CassandraConfig, keyspace: &str, is_scylla: bool) -> String {
    let CassandraConfig { data_center, replication_factor, .. } = config;
    // Conditional writes need it so.
    let tablets = if is_scylla { " AND tablets = {'enabled': false}" } else { "" };
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{data_center}': {replication_factor}}}{tablets}"
    )
}

/// The statements of a file, without comments, with the names of the keyspace.
fn split(file: &str, keyspace: &str, is_scylla: bool) -> Vec<String> {
    let lines = file.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let compaction = if is_scylla { SCYLLA_COMPACTION } else { CASSANDRA_COMPACTION };
    text.split(";\n")
        .chain(None)
        .map(|statement| statement.trim().trim_end_matches(';'))
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            let named = statement.replacen("IF NOT EXISTS ", &format!("IF NOT EXISTS {keyspace}."), 1);
            let named = named.replace("{compaction}", compaction);
            // ScyllaDB repairs on reads always, and knows no such option.
            if is_scylla { named.replace("\n   AND read_repair = 'BLOCKING'", "") } else { named }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_may_be_run_again_and_names_its_keyspace() {
        for is_scylla in [false, true] {
            for statement in MIGRATIONS.iter().flat_map(|file| split(file, "chat_message", is_scylla)) {
                assert!(statement.starts_with("CREATE TABLE IF NOT EXISTS chat_message."), "{statement}");
                assert!(statement.contains("CompactionStrategy"), "{statement}");
                assert!(!statement.contains(';') && !statement.contains("--"), "{statement}");
                assert!(!(is_scylla && statement.contains("read_repair")), "{statement}");
            }
        }
    }
}
