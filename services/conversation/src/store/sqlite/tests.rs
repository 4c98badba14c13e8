//! What only the engine on SQLite promises: its schema, its plans, its file.

use sqlx::Row as _;
use tempfile::TempDir;

use super::*;
use crate::domain::{History, Role};

async fn new_store() -> (TempDir, Options, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_file: folder.path().join("conversation.sqlite"), reader_connections: 1 };
    let store = SqliteStore::open(&options).await.unwrap();
    (folder, options, store)
}

async fn text(store: &SqliteStore, sql: &'static str) -> Vec<String> {
    let rows = sqlx::query(sql).fetch_all(&store.readers).await.unwrap();
    rows.iter().map(|row| row.try_get_unchecked::<String, _>(0).unwrap()).collect()
}

/// Where a reader finds the schema of today. Written anew with `VIBERCHAT_GENERATE=1` (`make gen`).
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/sqlite.sql");

#[tokio::test]
async fn the_generated_schema_file_is_what_the_migrations_make() {
    let (_folder, _, store) = new_store().await;
    let statements = text(
        &store,
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, name",
    )
    .await;
    let present = format!(
        "-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.\n\n{};\n",
        statements.join(";\n\n")
    );
    if std::env::var_os("VIBERCHAT_GENERATE").is_some() {
        std::fs::write(SCHEMA_FILE, &present).unwrap();
    }
    let written = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
    assert!(written == present, "schema/sqlite.sql is out of date: make gen");
}

#[tokio::test]
async fn the_file_is_a_synced_write_ahead_log() {
    let (_folder, _, store) = new_store().await;
    assert_eq!(text(&store, "PRAGMA journal_mode").await, ["wal"]);
    let mut write = store.begin().await.unwrap();
    for (pragma, value) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 5_000)] {
        let row = sqlx::query(pragma).fetch_one(write.connection()).await.unwrap();
        assert_eq!(row.try_get::<i64, _>(0).unwrap(), value, "{pragma}");
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let (_folder, _, store) = new_store().await;
    sqlx::query("DELETE FROM member").execute(&store.readers).await.unwrap_err();
}

#[tokio::test]
async fn processes_that_start_together_on_a_new_file_both_come_up() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { data_file: folder.path().join("conversation.sqlite"), reader_connections: 1 };
        let starts = futures::future::join_all((0..6).map(|_| SqliteStore::open(&options))).await;
        for store in starts {
            assert_eq!(store.unwrap().newest_change().await.unwrap(), ChangeId(0));
        }
    }
}

#[tokio::test]
async fn a_file_of_a_later_release_is_left_alone() {
    let (_folder, options, store) = new_store().await;
    sqlx::query("PRAGMA user_version = 99").execute(&store.writer).await.unwrap();
    store.close().await;
    let refused = SqliteStore::open(&options).await.err();
    assert!(matches!(refused, Some(OpenError::NewerSchema { found: 99, .. })), "{refused:?}");
}

#[tokio::test]
async fn what_was_stored_before_a_migration_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_file: folder.path().join("conversation.sqlite"), reader_connections: 1 };
    let (id, alice) = (ConversationId::from_bytes([7; 16]), crate::testing::user("alice"));
    let before = sqlx::sqlite::SqliteConnectOptions::new().filename(&options.data_file).create_if_missing(true);
    let before = SqlitePool::connect_with(before).await.unwrap();
    for statement in [
        migrate::MIGRATIONS[0],
        "INSERT INTO conversation VALUES (unhex('07070707070707070707070707070707'), 2, 'Plans', '', '', 1, 1, 1, 1)",
        "INSERT INTO member VALUES (unhex('07070707070707070707070707070707'), 'alice', 2, 3, 1, 1, 1, 1, 5, NULL)",
        "INSERT INTO member_span VALUES (unhex('07070707070707070707070707070707'), 'alice', 1, 1, NULL, NULL)",
        "INSERT INTO user_profile VALUES ('alice', 'al', 'Alice', '', 'alice')",
        "PRAGMA user_version = 1",
    ] {
        sqlx::raw_sql(statement).execute(&before).await.unwrap();
    }
    before.close().await;
    let store = SqliteStore::open(&options).await.unwrap();
    let page = ListPage { limit: 10, ..ListPage::default() };
    let listed = store.list(&alice, &page).await.unwrap();
    assert_eq!((listed.len(), listed[0].0.conversation.id), (1, id));
    assert_eq!(listed[0].0.conversation.history, History::Shared);
    assert_eq!(
        listed[0].0.own.as_ref().unwrap().settings,
        MemberSettings { pinned: true, ..MemberSettings::default() }
    );
    let page = ListPage { limit: 10, ..ListPage::default() };
    assert_eq!(store.list_by_name(&alice, &page).await.unwrap()[0].1.name_key, "plans");
    let found = store.authorize(&[(id, alice.clone())]).await.unwrap().remove(0).unwrap();
    assert_eq!((found.role, found.spans.len(), found.cleared_seq), (Some(Role::Owner), 1, 0));
    let profile = Profile { username: "al".into(), display_name: "Alice".into(), ..Profile::bare(alice.clone()) };
    assert_eq!(store.users(&[alice]).await.unwrap(), [profile]);
}

/// Both ways of looking find the same.
#[tokio::test]
async fn the_busy_and_the_idle_share_with_the_same() {
    let (_folder, _, store) = new_store().await;
    let users = ["alice", "bob", "carol", "dave", "eve"].map(crate::testing::user);
    let conversation = |number: u8| ConversationId::from_bytes([number; 16]);
    let now = Timestamp::from_millis(1);
    let mut write = store.begin().await.unwrap();
    for (number, members) in [(1, &[0_usize, 1][..]), (2, &[2, 3]), (3, &[0, 1, 3])] {
        let statement = "INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, \
                         updated_at_ms, version, member_count) VALUES (?1, 2, '', '', '', 1, 1, 1, 2)";
        sqlx::query(statement).bind(&[number; 16][..]).execute(write.connection()).await.unwrap();
        let members: Vec<_> = members.iter().map(|index| (users[*index].clone(), Role::Member)).collect();
        group::insert_members(write.connection(), conversation(number), 1, &members, now).await.unwrap();
    }
    write.commit().await.unwrap();
    for (of, expected) in [(0, &[1_usize, 3][..]), (1, &[0, 3]), (2, &[3]), (3, &[0, 1, 2]), (4, &[])] {
        let others: Vec<_> = users.iter().enumerate().filter(|(index, _)| *index != of).map(|(_, user)| user).collect();
        let expected: Vec<_> = expected.iter().map(|index| users[*index].to_string()).collect();
        for statement in [sharing::BY_OWN_GROUPS, sharing::BY_OTHERS_GROUPS] {
            let query = sqlx::query(statement).bind(users[of].as_str()).bind(rows::json(&others));
            let found = query.fetch_all(&store.readers).await.unwrap();
            let found: Vec<String> = found.iter().map(|row| row.try_get("user_id").unwrap()).collect();
            assert_eq!(found, expected);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_corrupt_and_what_cannot_be_reached_unavailable() {
    let error = StoreError::from(sqlx::Error::Decode("not a number".into()));
    assert!(matches!(error, StoreError::Corrupt(_)));
    let error = StoreError::from(sqlx::Error::PoolTimedOut);
    assert!(matches!(error, StoreError::Unavailable(_)));
}

/// What is asked often reads no more than it returns: every table is searched by an index, nothing is sorted.
#[tokio::test]
async fn hot_reads_go_by_indexes() {
    let (_folder, _, store) = new_store().await;
    let alice = crate::testing::user("alice");
    store.seed_groups(&alice, 1_000).await;
    let hot = [
        authorize::AUTHORIZE,
        list::BY_ACTIVITY,
        block::BLOCKS,
        sharing::BY_OWN_GROUPS,
        sharing::BY_OTHERS_GROUPS,
        read::MEMBERS,
        inherit::OWNERLESS,
        read::VIEWS_OF_USER,
        read::VIEWS_OF_SERVICE,
        watch::MEMBERSHIPS,
        watch::CHANGES,
        watch::READERS,
        outbox::CONVERSATIONS,
        outbox::ENTRIES,
        direct::FIND,
        user::SEARCH_SHORT,
    ];
    for statement in hot {
        let plan = format!("EXPLAIN QUERY PLAN {statement}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(plan)).fetch_all(&store.readers).await.unwrap();
        for row in rows {
            let step: String = row.try_get("detail").unwrap();
            // The ids of a batch come from a parameter.
            let scans = step.starts_with("SCAN") && !step.starts_with("SCAN json_each");
            assert!(!scans && !step.contains("TEMP B-TREE"), "{step} in {statement}");
        }
    }
}
