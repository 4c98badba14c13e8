use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;
use rusqlite::{Connection, StatementStatus};
use viberchat_kit::telemetry::Metrics;

use super::stamp::SqliteFile;
use super::*;
use crate::store::conformance::{Writer, bodies, id, in_space};
use crate::store::{Appended, Store};

/// The present schema, for people: migrations alone do not show it. `make gen` writes it anew.
#[test]
fn the_generated_schema_file_shows_the_present_schema() {
    let file = SqliteFile::new();
    drop(file.store());
    let connection = Connection::open(file.path()).unwrap();
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
    let parts: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let header = format!("-- Generated from migrations/sqlite (version {version}). Do not edit.\n\n");
    let present = header + &parts.join(";\n\n") + ";\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/sqlite.sql");
    if std::env::var_os("VIBERCHAT_GENERATE").is_some() {
        std::fs::write(&path, &present).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        present,
        "schema/sqlite.sql is out of date: make gen"
    );
}

#[test]
fn a_file_of_a_later_release_is_refused() {
    let file = SqliteFile::new();
    drop(file.store());
    Connection::open(file.path()).unwrap().pragma_update(None, "user_version", 900).unwrap();
    let options = SqliteOptions { readers: 1, queue: 1 };
    let metrics = StoreMetrics::new(&Metrics::new());
    let error = SqliteStore::open(&file.path(), options, metrics).err().unwrap();
    assert!(matches!(error, OpenError::TooNew { found: 900, .. }), "{error}");
}

#[test]
fn commits_are_synced_and_what_is_overwritten_is_wiped() {
    let file = SqliteFile::new();
    let connection = connection::open_writer(&file.path()).unwrap();
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, String>(0));
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    assert_eq!(number("synchronous").unwrap(), 2, "FULL");
    assert_eq!(number("secure_delete").unwrap(), 1);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let file = SqliteFile::new();
    let store = file.store();
    let written = store.readers.read(|connection| connection.execute("DELETE FROM position", [])).await;
    assert!(written.is_err());
    assert!(store.heads(Vec::new()).await.is_ok(), "a connection that failed is replaced");
}

/// A plan that looks at bound values is made anew whenever one is bound.
#[test]
fn a_kept_statement_is_planned_once() {
    let file = SqliteFile::new();
    drop(file.store());
    let connection = connection::open_reader(&file.path()).unwrap();
    let mut statement = connection.prepare_cached("SELECT seq FROM log ORDER BY seq LIMIT ?1").unwrap();
    for limit in 1..10 {
        assert_eq!(statement.query_map([limit], |row| row.get::<_, i64>(0)).unwrap().count(), 0);
    }
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}

/// All members of a group want the page that nobody has read yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_one_page_cost_one_read() {
    let file = SqliteFile::new();
    let metrics = StoreMetrics::new(&Metrics::new());
    let options = SqliteOptions { readers: 3, queue: 64 };
    let store = SqliteStore::open(&file.path(), options, metrics.clone()).unwrap();
    let conversation_id = ConversationId::from_bytes([1; 16]);
    let user = |name: &str| UserId::parse(name).unwrap();
    let sql = Connection::open(file.path()).unwrap();
    sql.execute_batch(
        "WITH RECURSIVE place(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM place WHERE seq < 100)
         INSERT INTO log (conversation_id, seq, message_no, last_message_seq, conversation_version, create_time_ms, kind,
                          actor_user_id, request_id, fingerprint, erased, body)
         SELECT x'01010101010101010101010101010101', seq, seq, seq, 0, 1000, 1, 'alice', 'm' || seq, zeroblob(16), 0, x'00'
         FROM place;",
    )
    .unwrap();
    let range = MessageRange::Before(u64::MAX);
    let limit = ReadLimit { items: 50, bytes: 100_000 };
    let reading = (0..1_000).map(|index| store.messages(conversation_id, user(&format!("u{index}")), range, limit));
    for slice in join_all(reading).await {
        assert_eq!(slice.unwrap().messages.len(), 50);
    }
    assert_eq!((metrics.pages_read.get(), metrics.pages_known.get()), (1, 999));
}

/// The second net under the service's own look-up: an engine with an index over the ids has one.
#[tokio::test]
async fn a_taken_id_writes_nothing() {
    in_space(async {
        let file = SqliteFile::new();
        let handle: Arc<dyn Store> = Arc::new(file.store());
        let mut log = Writer::new(id(1));
        assert_eq!(handle.append(log.message("alice", "m1", "one")).await.unwrap(), Appended::Stored);
        let mut again = log.message("bob", "m1", "of bob");
        again.records.extend(log.message("alice", "m1", "again").records);
        // Others that wait at the same time are not concerned.
        let others = (2..6).map(|n| {
            let (handle, mut other) = (&handle, Writer::new(id(n)));
            async move { handle.append(other.message("carol", "m1", "elsewhere")).await }
        });
        let (taken, others) = futures::join!(handle.append(again), join_all(others));
        assert_eq!(taken.unwrap(), Appended::IdTaken);
        assert!(others.into_iter().all(|other| other.unwrap() == Appended::Stored));
        assert_eq!(bodies(&handle, 1).await, ["one"]);
        assert_eq!(bodies(&handle, 5).await, ["elsewhere"]);
    })
    .await;
}

/// One file's versions tell exactly who wrote.
#[tokio::test]
async fn own_writes_are_none_of_another_handle() {
    in_space(async {
        let file = SqliteFile::new();
        let handle: Arc<dyn Store> = Arc::new(file.store());
        let mut log = Writer::new(id(1));
        handle.written_elsewhere().await.unwrap();
        handle.append(log.message("alice", "m1", "one")).await.unwrap();
        assert!(!handle.written_elsewhere().await.unwrap());
    })
    .await;
}
