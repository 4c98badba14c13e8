//! What `viberchat doctor` says of a Cassandra.

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
    let advice =
        "look at contact_points, username and password, tls and its files, the network, and whether the nodes run";
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
    findings.extend(settings(&session, about, config).await?);
    let missing = schema::migrate(&session, config, true).await?;
    let said =
        if missing.is_empty() { "up to date".to_owned() } else { format!("{} statements are missing", missing.len()) };
    findings.push(match missing.is_empty() {
        true => Finding::good("schema", format!("{}: {said}", config.keyspace())),
        false => Finding::doubtful(
            "schema",
            format!("{}: {said}", config.keyspace()),
            "`viberchat migrate schema` runs them, or the first start, if the account may create",
        ),
    });
    Ok(findings)
}

/// Copies, and what the node syncs and how it decides conditions. ScyllaDB has no such settings to read.
async fn settings(session: &Session, about: &str, config: &CassandraConfig) -> Result<Vec<Finding>, OpenError> {
    let copies = config.replication_factor;
    let mut findings = vec![Finding::when(
        copies >= COPIES_MIN,
        about,
        format!("replication_factor {copies}"),
        Verdict::Doubtful,
        "three copies or more: with fewer an acknowledged message may be on one disk only",
    )];
    let setting = |name: &'static str| async move {
        let question = format!("SELECT value FROM system_views.settings WHERE name = '{name}'");
        // Other engines do not have the table.
        Ok::<_, OpenError>(row::<(Option<String>,)>(session, &question).await.ok().flatten().and_then(|(value,)| value))
    };
    if let Some(variant) = setting("paxos_variant").await? {
        let advice = "set paxos_variant: v2 on all nodes; others lose reads that have to be linear, or refuse writes";
        let is_good = variant.starts_with("v2");
        findings.push(Finding::when(is_good, about, format!("paxos_variant {variant}"), Verdict::Bad, advice));
    }
    if let Some(sync) = setting("commitlog_sync").await? {
        let advice = "one node that acknowledges before its disk has it loses that with its power: group or batch";
        let is_good = sync != "periodic" || copies >= COPIES_MIN;
        findings.push(Finding::when(is_good, about, format!("commitlog_sync {sync}"), Verdict::Doubtful, advice));
    }
    Ok(findings)
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
