//! What `viberchat doctor` says of a PostgreSQL.

use sqlx::postgres::PgRow;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::Settings;
use crate::clock::{Clock, Timestamp};
use crate::doctor::{Finding, PATIENCE, Verdict, causes};

/// The first release whose answers the tests have seen.
const VERSION_MIN: i32 = 150_000;
/// Connections that are for people and their tools.
const SPARE_CONNECTIONS: i32 = 10;

const QUESTION: &str = "SELECT current_setting('server_version') AS version, \
        current_setting('server_version_num')::int AS version_number, \
        pg_is_in_recovery() AS is_replica, \
        current_setting('fsync') = 'on' AS is_synced, \
        current_setting('max_connections')::int AS connections, \
        has_database_privilege(current_database(), 'CREATE') AS may_create, \
        to_regnamespace($1) IS NOT NULL AS is_made, \
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";

/// What is good and bad about the server of these settings, for a service. Whether the schema is that of this release is
/// another question.
pub async fn examine(settings: &Settings, service: &str, clock: &dyn Clock) -> Vec<Finding> {
    let about = settings.place(service);
    let before = clock.now();
    let asked = tokio::time::timeout(PATIENCE, ask(settings, &settings.schema(service))).await;
    let row = match asked {
        Ok(Ok(row)) => row,
        Ok(Err(error)) => {
            let advice = "look at url, tls and the files of certificates, at the network, and whether the server runs";
            return vec![Finding::bad(about, causes(&error), advice)];
        }
        Err(_) => return vec![Finding::bad(about, "does not answer", "look at the address and the network between")],
    };
    judge(&row, settings, &about, before, clock.now())
        .unwrap_or_else(|error| vec![Finding::bad(about, causes(&error), "this answer is not PostgreSQL's")])
}

async fn ask(settings: &Settings, schema: &str) -> Result<PgRow, sqlx::Error> {
    let mut connection = settings.connect_options()?.connect().await?;
    let row = sqlx::query(QUESTION).bind(schema).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(row)
}

fn judge(
    row: &PgRow,
    settings: &Settings,
    about: &str,
    before: Timestamp,
    after: Timestamp,
) -> Result<Vec<Finding>, sqlx::Error> {
    let version: String = row.try_get("version")?;
    let is_recent = row.try_get::<i32, _>("version_number")? >= VERSION_MIN;
    let is_primary = !row.try_get::<bool, _>("is_replica")?;
    let may_make = row.try_get::<bool, _>("may_create")? || row.try_get::<bool, _>("is_made")?;
    let connections: i32 = row.try_get("connections")?;
    let ours = i32::try_from(settings.connections_max).unwrap_or(i32::MAX);
    let has_room = connections.saturating_sub(SPARE_CONNECTIONS) >= ours;
    let theirs = Timestamp::from_millis(row.try_get("now_ms")?);
    Ok(vec![
        Finding::when(is_recent, about, format!("version {version}"), Verdict::Bad, "take PostgreSQL 15 or later"),
        Finding::when(
            is_primary,
            about,
            if is_primary { "the primary" } else { "a replica" },
            Verdict::Bad,
            "connect to the primary: reading what changed writes too",
        ),
        Finding::when(
            row.try_get("is_synced")?,
            about,
            "fsync",
            Verdict::Doubtful,
            "fsync is off: a loss of power takes acknowledged changes, or the database",
        ),
        Finding::when(
            may_make,
            about,
            "rights for the schema",
            Verdict::Bad,
            "grant CREATE on the database, or make the schema for the account",
        ),
        Finding::when(
            has_room,
            about,
            format!("max_connections {connections}, {ours} of them for each instance"),
            Verdict::Doubtful,
            "raise max_connections, or lower connections_max",
        ),
        Finding::clock(about, before, theirs, after),
    ])
}
