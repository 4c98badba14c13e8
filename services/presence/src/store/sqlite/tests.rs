//! What only the engine on SQLite promises: its schema and its file.

use tempfile::TempDir;

use super::*;

async fn new_store() -> (TempDir, Options, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_file: folder.path().join("presence.sqlite"), reader_connections: 1 };
    let store = SqliteStore::open(&options).await.unwrap();
    (folder, options, store)
}

async fn text(store: &SqliteStore, sql: &'static str) -> Vec<String> {
    let rows = sqlx::query(sql).fetch_all(&store.writer).await.unwrap();
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
    let row = sqlx::query("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!(row.try_get::<i64, _>(0).unwrap(), 2, "FULL");
}

#[tokio::test]
async fn readers_cannot_write() {
    let (_folder, _, store) = new_store().await;
    sqlx::query("DELETE FROM user_presence").execute(&store.readers).await.unwrap_err();
}

#[tokio::test]
async fn a_file_of_a_later_release_is_refused() {
    let (_folder, options, store) = new_store().await;
    sqlx::raw_sql("PRAGMA user_version = 900").execute(&store.writer).await.unwrap();
    let error = SqliteStore::open(&options).await.err().unwrap();
    assert!(matches!(error, OpenError::NewerSchema { found: 900, .. }), "{error}");
}
