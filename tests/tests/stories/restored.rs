//! PostgreSQL is restored from a backup that is older than the log: no change stands in the log twice, who runs it is told, and it goes on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use viberchat_proto::types::v1::HistoryVisibility;
use viberchat_tests::{
    client::{Attempt, Client},
    cluster::{Settings, Split},
    history::{Action, Answer, Body, Door, Entry, Found, Recorder, text_with},
};

/// What is not there by then never will be.
const PATIENCE: Duration = Duration::from_secs(20);

/// Entries that are read of a log's end to learn of its members.
const ENTRIES_READ: u64 = 256;

/// A copy of all tables of the conversation service, as a backup has them.
struct Backup {
    connection: PgConnection,
    schema: String,
    tables: Vec<String>,
}

impl Backup {
    async fn take(settings: &Settings) -> Result<Self> {
        let key = |key| settings.get(key).with_context(|| format!("{key} is set"));
        let mut connection = PgConnection::connect(key("CONVERSATION__POSTGRES__URL")?).await?;
        let namespace = key("CONVERSATION__POSTGRES__NAMESPACE")?;
        let found = sqlx::query(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'outbox' AND table_schema LIKE $1 || '%'",
        );
        let schema: String = found.bind(namespace).fetch_one(&mut connection).await?.get(0);
        let listed = sqlx::query(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE'",
        );
        let rows = listed.bind(&schema).fetch_all(&mut connection).await?;
        let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut backup = Self { connection, schema, tables };
        let copies = backup.tables.iter().map(|table| {
            format!("CREATE TABLE \"{0}_backup\".\"{table}\" AS TABLE \"{0}\".\"{table}\";", backup.schema)
        });
        let script =
            format!("BEGIN; CREATE SCHEMA \"{}_backup\"; {} COMMIT", backup.schema, copies.collect::<String>());
        backup.run(script).await?;
        Ok(backup)
    }

    async fn restore(&mut self) -> Result<()> {
        let schema = &self.schema;
        let names: Vec<String> = self.tables.iter().map(|table| format!("\"{schema}\".\"{table}\"")).collect();
        let copies = self.tables.iter().map(|table| {
            let to = format!("\"{schema}\".\"{table}\"");
            format!("INSERT INTO {to} OVERRIDING SYSTEM VALUE TABLE \"{schema}_backup\".\"{table}\";")
        });
        // As a replica does it: what refers to what was checked before the backup was taken.
        let script = format!(
            "BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE {}; {} COMMIT",
            names.join(", "),
            copies.collect::<String>()
        );
        self.run(script).await
    }

    async fn run(&mut self, script: String) -> Result<()> {
        self.connection.execute(AssertSqlSafe(script)).await?;
        Ok(())
    }
}

fn attempt(conversation: &str, request_id: &str, action: Action) -> Attempt {
    Attempt { conversation: conversation.to_owned(), request_id: request_id.to_owned(), known_seq: None, action }
}

/// Tries until it is acknowledged, and its entry, if it makes one, is in the log.
async fn carry_through(client: &Client, attempt: &Attempt) -> Result<()> {
    let start = Instant::now();
    loop {
        match client.attempt(Door::Grpc, attempt).await {
            Answer::Stored { .. } => return Ok(()),
            other => ensure!(start.elapsed() < PATIENCE, "{}: {other:?}", attempt.request_id),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn change(client: &Client, group: &str, request_id: &str, action: Action) -> Result<()> {
    carry_through(client, &attempt(group, request_id, action)).await
}

async fn add(client: &Client, group: &str, member: &str) -> Result<()> {
    change(client, group, &format!("add {member}"), Action::AddMembers { members: vec![member.to_owned()] }).await
}

/// Answers about members serve for a second: then who is none any more is refused.
async fn wait_until_refused(client: &Client, group: &str) -> Result<()> {
    let start = Instant::now();
    for number in 100.. {
        let send = attempt(group, &format!("gone {number}"), Action::send(text_with(number, 20)));
        match client.attempt(Door::Grpc, &send).await {
            Answer::Stored { .. } => ensure!(start.elapsed() < PATIENCE, "nobody has added {}", client.user()),
            _ => break,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The log as a member reads it, page by page.
async fn log_of(client: &Client, group: &str) -> Result<Vec<Entry>> {
    let before = client.recorder().history().reads.len();
    client.read_whole_log(Door::Grpc, group).await?;
    let pages = client.recorder().history().reads.split_off(before);
    let entries = pages.into_iter().flat_map(|page| match page.found {
        Found::Log { entries, .. } => entries,
        _ => Vec::new(),
    });
    Ok(entries.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_store_from_before_the_last_changes_doubles_none_and_goes_on() -> Result<()> {
    let Some(settings) = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines() else {
        return Ok(());
    };
    let (mut split, recorder) = (Split::start(&settings).await?, Recorder::default());
    let user = |name| Client::new(&split.gateway, name, &recorder);
    let (ann, bob, dan, eve) = (user("ann")?, user("bob")?, user("dan")?, user("eve")?);
    let members = ["bob".to_owned(), "cid".to_owned()];
    let group = ann.create_group_with(Door::Grpc, &members, "group", HistoryVisibility::Shared).await?;
    let text = |number| Action::send(text_with(number, 20));
    change(&bob, &group, "before", text(1)).await?;

    let mut backup = Backup::take(&settings).await?;
    // What the backup does not have: versions 2 to 4.
    add(&ann, &group, "dan").await?;
    change(&ann, &group, "rename", Action::Update).await?;
    change(&ann, &group, "remove", Action::RemoveMember { member: "cid".to_owned() }).await?;
    change(&dan, &group, "after", text(2)).await?;
    let before = log_of(&ann, &group).await?;
    ensure!(before.last().is_some_and(|last| last.version == 4), "{before:?}");
    split.conversation.stop(&recorder).await?;
    backup.restore().await?;
    split.conversation.restart().await?;

    // Who is a member in the backup writes on at once, and new changes are made. The log has others of their versions.
    change(&bob, &group, "restored", text(3)).await?;
    for number in 0..3 {
        change(&ann, &group, &format!("swallowed {number}"), Action::Update).await?;
    }
    wait_until_refused(&dan, &group).await?;
    // From here on the versions are new to the log.
    add(&ann, &group, "eve").await?;
    change(&eve, &group, "joined", text(4)).await?;

    let after = log_of(&ann, &group).await?;
    ensure!(after.starts_with(&before), "what was in the log is in it: {after:?}");
    ensure!(after.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "no hole: {after:?}");
    let is_change = |entry: &&Entry| !matches!(entry.body, Body::Message { .. });
    let versions: Vec<u64> = after.iter().filter(is_change).map(|entry| entry.version).collect();
    ensure!(versions == [1, 2, 3, 4, 5], "each change once: {versions:?}");
    let added = after.iter().find(|entry| entry.version == 5).map(|entry| &entry.body);
    ensure!(added == Some(&Body::Added { members: vec!["eve".to_owned()] }), "{added:?}");

    let metrics = split.message.metrics().await?;
    ensure!(metrics.contains("viberchat_message_versions_reused_total 3"), "counted: {metrics}");
    let said = std::fs::read_to_string(settings.folder().join("message.log"))?;
    ensure!(said.contains("was the conversation store restored?"), "who runs it is told");
    for server in &mut split.into_servers() {
        server.stop(&recorder).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_end_tells_no_members_waits_until_the_conversation_store_has_caught_up() -> Result<()> {
    let Some(settings) = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines() else {
        return Ok(());
    };
    let (mut split, recorder) = (Split::start(&settings).await?, Recorder::default());
    let ann = Client::new(&split.gateway, "ann", &recorder)?;
    let group = ann.create_group(Door::Grpc, &["bob".to_owned()], "group").await?;
    let mut backup = Backup::take(&settings).await?;
    change(&ann, &group, "lost", Action::Update).await?;
    let sends: Vec<Attempt> = (0..ENTRIES_READ + 1)
        .map(|number| attempt(&group, &format!("send {number}"), Action::send(text_with(number, 20))))
        .collect();
    try_join_all(sends.iter().map(|send| carry_through(&ann, send))).await?;
    split.conversation.stop(&recorder).await?;
    backup.restore().await?;
    split.conversation.restart().await?;
    // What it remembers of members ends with it.
    split.message.stop(&recorder).await?;
    split.message.restart().await?;

    let send = attempt(&group, "after", Action::send(text_with(1_000, 20)));
    let start = Instant::now();
    loop {
        match ann.attempt(Door::Grpc, &send).await {
            Answer::NotAttempted(reason) if reason == "STORE_UNAVAILABLE" => break,
            Answer::Stored { .. } => bail!("nobody knows who is a member"),
            // The restarted ones have to find each other.
            other => ensure!(start.elapsed() < PATIENCE, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    change(&ann, &group, "renamed", Action::Update).await?;
    carry_through(&ann, &send).await?;
    for server in &mut split.into_servers() {
        server.stop(&recorder).await?;
    }
    Ok(())
}
