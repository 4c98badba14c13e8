//! What only the engine on PostgreSQL promises: its schema, its plans, who may start, what waits for whom.

use std::time::Duration;

use sqlx::Row as _;

use super::*;
use crate::store::conformance::for_tests::{LIMITS, NOW, pin};
use crate::testing::{postgres_settings, user};

async fn new_store() -> Option<(Settings, PostgresStore)> {
    let settings = postgres_settings()?;
    let store = PostgresStore::open(&settings).await.expect("the store opens");
    Some((settings, store))
}

/// A transaction that a test ends as it likes.
async fn begin(store: &PostgresStore) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let begun: Result<_, StoreError> = store.0.run(|attempt| async move { Ok(attempt.pool().begin().await?) }).await;
    begun.expect("the store answers")
}

/// Where a reader finds the schema of today. Written anew with `VIBERCHAT_GENERATE=1` (`make gen`).
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/postgres.sql");

#[tokio::test]
async fn the_generated_schema_file_of_postgres_is_what_the_migrations_make() {
    let Some((_, store)) = new_store().await else { return };
    let present = store.0.describe().await.unwrap();
    if std::env::var_os("VIBERCHAT_GENERATE").is_some() {
        std::fs::write(SCHEMA_FILE, &present).unwrap();
    }
    let written = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
    assert!(written == present, "schema/postgres.sql is out of date: make gen");
}

#[tokio::test]
async fn a_schema_that_is_not_up_to_date_stops_the_start() {
    let Some(settings) = postgres_settings() else { return };
    let settings = Settings { migrate_on_start: false, ..settings };
    let refusal = PostgresStore::open(&settings).await.err().unwrap();
    assert!(matches!(refusal, SchemaError::Behind { found: 0, .. }), "{refusal}");
    migrate(&settings, false).await.unwrap();
    PostgresStore::open(&settings).await.unwrap();
}

#[tokio::test]
async fn instances_that_start_together_on_nothing_all_come_up() {
    let Some(settings) = postgres_settings() else { return };
    let starts = futures::future::join_all((0..6).map(|_| PostgresStore::open(&settings))).await;
    for store in starts {
        assert_eq!(store.unwrap().newest_change().await.unwrap(), ChangeId(0));
    }
}

/// Whoever stops in the middle of a change holds up nobody but those who want the same.
#[tokio::test]
async fn a_change_that_is_not_committed_holds_up_no_other_and_no_reader() {
    let Some((settings, store)) = new_store().await else { return };
    let other = PostgresStore::open(&settings).await.unwrap();
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let id = ConversationId::from_bytes([1; 16]);
    let pair = DirectPair::of(&alice, &bob);
    store.get_or_create_direct(id, &pair, &alice, &LIMITS, NOW).await.unwrap();
    let mut stopped = begin(&store).await;
    sqlx::query(
        "INSERT INTO pending_change (conversation_id, kind, version, user_id, at_ms) VALUES ($1, 4, 0, 'x', 1)",
    )
    .bind(rows::uuid(&id))
    .execute(&mut *stopped)
    .await
    .unwrap();
    let before = other.newest_change().await.unwrap();
    let quick = async {
        let next = ConversationId::from_bytes([2; 16]);
        other.get_or_create_direct(next, &DirectPair::of(&alice, &carol), &alice, &LIMITS, NOW).await.unwrap();
        pin(&other, id, &alice).await;
        other.changes_after(before, 10).await.unwrap().unwrap().len()
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), quick).await.expect("nobody waits"), 2);
    // It comes after those that were committed before it, and none is skipped.
    stopped.commit().await.unwrap();
    let all = other.changes_after(before, 10).await.unwrap().unwrap();
    assert_eq!(all.iter().map(|change| change.id.0 - before.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_server_that_ends_every_session_is_an_error_of_a_moment() {
    let Some((_, store)) = new_store().await else { return };
    let alice = user("alice");
    let id = ConversationId::from_bytes([1; 16]);
    store.get_or_create_direct(id, &DirectPair::of(&alice, &user("bob")), &alice, &LIMITS, NOW).await.unwrap();
    for _ in 0..3 {
        let mut ending = begin(&store).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity, current_setting('search_path') s \
             WHERE pid <> pg_backend_pid() AND application_name = 'viberchat' AND state = 'idle' \
               AND query LIKE '%direct_pair%'",
        )
        .execute(&mut *ending)
        .await
        .unwrap();
        drop(ending);
        let found = store.get_or_create_direct(id, &DirectPair::of(&alice, &user("bob")), &alice, &LIMITS, NOW).await;
        assert!(!found.unwrap().1);
    }
}

/// What is asked often reads no more than it returns: every table is searched by an index, nothing is sorted.
#[tokio::test]
async fn hot_reads_go_by_indexes() {
    let Some((_, store)) = new_store().await else { return };
    let hot = [
        (authorize::AUTHORIZE, "ARRAY[]::uuid[], ARRAY[]::text[]"),
        (list::BY_ACTIVITY, "'a', NULL, false, true, 9, '00000000-0000-0000-0000-000000000000', 9"),
        (block::BLOCKS, "'a', '', 9"),
        (sharing::SHARING, "'a', ARRAY['b']"),
        (read::MEMBERS, "'00000000-0000-0000-0000-000000000000', '', 9"),
        (read::VIEWS_OF_USER, "ARRAY[]::uuid[], 'a'"),
        (read::VIEWS_OF_SERVICE, "ARRAY[]::uuid[]"),
        (watch::MEMBERSHIPS, "'a', NULL, 9"),
        (watch::CHANGES, "9, 9"),
        (outbox::ENTRIES, "'00000000-0000-0000-0000-000000000000', 9"),
        (direct::FIND, "'a', 'b'"),
        (user::SEARCH_SHORT, "'a', '', '', '', 9"),
    ];
    let mut connection = begin(&store).await;
    for setting in ["enable_seqscan", "enable_sort", "enable_incremental_sort", "enable_bitmapscan", "enable_hashjoin"]
    {
        // Small tables would be read from end to end. What is forbidden and done all the same cannot be avoided.
        let set = sqlx::AssertSqlSafe(format!("SET LOCAL {setting} = off"));
        sqlx::query(set).execute(&mut *connection).await.unwrap();
    }
    sqlx::query("SET LOCAL plan_cache_mode = force_generic_plan").execute(&mut *connection).await.unwrap();
    for (number, (statement, parameters)) in hot.iter().enumerate() {
        for sql in [
            format!("PREPARE hot_{number} AS {statement}"),
            format!("EXPLAIN (COSTS OFF) EXECUTE hot_{number} ({parameters})"),
        ] {
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
            for row in rows {
                let step: String = row.try_get(0).unwrap();
                assert!(!step.contains("Seq Scan") && !step.contains("Sort"), "{step} in {statement}");
            }
        }
    }
}
