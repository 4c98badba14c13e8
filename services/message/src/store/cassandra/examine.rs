//! What `viberchat doctor` says of a Cassandra.

use std::collections::HashMap;

use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use viberchat_kit::clock::{Clock, Timestamp};
use viberchat_kit::doctor::{Finding, PATIENCE, Verdict, causes};

use super::{OpenError, schema, session};
use crate::config::CassandraConfig;

/// Fewer copies do not outlive a node.
const COPIES_MIN: u32 = 3;

/// What is good and bad about the cluster of these settings.
pub(crate) async fn examine(config: &CassandraConfig, clock: &dyn Clock) -> Vec<Finding> {
    let about = format!("Cassandra {}", config.contact_points.join(","));
    let advice = "look at contact_points, data_center, username and password, tls and its files, the network, and whether the nodes run";
    match tokio::time::timeout(PATIENCE * 2, ask(config, clock, &about)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::bad(about, causes(&error), advice)],
        Err(_) => vec![Finding::bad(about, "does not answer", advice)],
    }
}

async fn ask(config: &CassandraConfig, clock: &dyn Clock, about: &str) -> Result<Vec<Finding>, OpenError> {
    let session = session::connect(config).await?;
    let before = clock.now();
    let (version, data_center, now): (String, String, i64) =
        row(&session, "SELECT release_version, data_center, toUnixTimestamp(now()) FROM system.local")
            .await?
            .ok_or_else(|| OpenError::Engine("system.local is empty".to_owned()))?;
    let mut findings = vec![
        Finding::good(about, format!("version {version}, data center {data_center}")),
        Finding::clock(about, before, Timestamp::from_millis(now), clock.now()),
        Finding::when(
            data_center == config.data_center,
            about,
            format!("message.cassandra.data_center is {}", config.data_center),
            Verdict::Doubtful,
            "name the data center of the nodes: writes go to it",
        ),
    ];
    findings.extend(engine(&session, about, config).await?);
    let missing = schema::migrate(&session, config, true).await?.len();
    let said = if missing == 0 { "up to date".to_owned() } else { format!("{missing} statements are missing") };
    findings.push(Finding::schema(missing == 0 || config.migrate_on_start, format!("{}: {said}", config.keyspace())));
    Ok(findings)
}

/// Copies, how conditions are decided, what is synced. ScyllaDB has no such settings to read, and tablets instead.
async fn engine(session: &Session, about: &str, config: &CassandraConfig) -> Result<Vec<Finding>, OpenError> {
    let keyspace = config.keyspace();
    let copies = copies(session, config, &keyspace).await?;
    let mut findings = vec![Finding::when(
        copies >= COPIES_MIN,
        about,
        format!("copies in {}: {copies}", config.data_center),
        if copies == 0 { Verdict::Bad } else { Verdict::Doubtful },
        "three copies or more: ALTER KEYSPACE, then repair; with fewer an acknowledged message may be on one disk only",
    )];
    let setting = |name: &'static str| async move {
        text(session, &format!("SELECT value FROM system_views.settings WHERE name = '{name}'")).await
    };
    if let Some(variant) = setting("paxos_variant").await {
        let advice = "set paxos_variant: v2 on all nodes; others lose reads that have to be linear, or refuse writes";
        // Not its variants, which give up what we need of it.
        findings.push(Finding::when(variant == "v2", about, format!("paxos_variant {variant}"), Verdict::Bad, advice));
    }
    if let Some(sync) = setting("commitlog_sync").await {
        let advice = "one node that acknowledges before its disk has it loses that with its power: group or batch";
        let is_good = sync != "periodic" || copies >= COPIES_MIN;
        findings.push(Finding::when(is_good, about, format!("commitlog_sync {sync}"), Verdict::Doubtful, advice));
    }
    let of_log = format!("WHERE keyspace_name = '{keyspace}' AND table_name = 'conversation_log'");
    if let Some(repair) = text(session, &format!("SELECT read_repair FROM system_schema.tables {of_log}")).await {
        let advice = "ALTER TABLE conversation_log WITH read_repair = 'BLOCKING': else what was read may be gone again";
        findings.push(Finding::when(
            repair == "BLOCKING",
            about,
            format!("read_repair {repair}"),
            Verdict::Bad,
            advice,
        ));
    }
    let tablets =
        format!("SELECT initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name = '{keyspace}'");
    if let Ok(Some((Some(_),))) = row::<(Option<i32>,)>(session, &tablets).await {
        let advice = "make the keyspace anew WITH tablets = {'enabled': false}: conditional writes need it";
        findings.push(Finding::bad(about, format!("{keyspace} has tablets"), advice));
    }
    Ok(findings)
}

/// In the data center that is written to: of the keyspace, or of the one that would be made.
async fn copies(session: &Session, config: &CassandraConfig, keyspace: &str) -> Result<u32, OpenError> {
    type Replication = HashMap<String, String>;
    let question = format!("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'");
    Ok(match row::<(Replication,)>(session, &question).await? {
        Some((replication,)) => {
            replication.get(&config.data_center).and_then(|copies| copies.parse().ok()).unwrap_or_default()
        }
        None => config.replication_factor,
    })
}

/// One value. `None`: the engine has none, or no such table.
async fn text(session: &Session, question: &str) -> Option<String> {
    row::<(Option<String>,)>(session, question).await.ok().flatten().and_then(|(value,)| value)
}

async fn row<T>(session: &Session, question: &str) -> Result<Option<T>, OpenError>
where
    T: for<'frame, 'metadata> scylla::deserialize::row::DeserializeRow<'frame, 'metadata>,
{
    let mut statement = Statement::new(question);
    statement.set_consistency(Consistency::LocalOne);
    let failed = |error: String| OpenError::Engine(error);
    let answer = session.query_unpaged(statement, ()).await.map_err(|error| failed(error.to_string()))?;
    let rows = answer.into_rows_result().map_err(|error| failed(error.to_string()))?;
    rows.maybe_first_row::<T>().map_err(|error| failed(error.to_string()))
}
