//! What only the engine on PostgreSQL promises: its schema, and who may start.

use viberchat_engines::Server;
use viberchat_kit::store::postgres::DatabaseUrl;

use super::*;

/// Of a schema that nobody has used, brought up to date on start. `None`: there is no PostgreSQL, which has been said.
pub(super) fn settings() -> Option<Settings> {
    let url = DatabaseUrl::parse(&Server::Postgres.address()?).expect("the address of a server");
    let namespace = viberchat_engines::namespace("t");
    Some(Settings { url: Some(url), namespace, connections_max: 4, migrate_on_start: true, ..Settings::default() })
}

/// Where a reader finds the schema of today. Written anew with `VIBERCHAT_GENERATE=1` (`make gen`).
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/postgres.sql");

#[tokio::test]
async fn the_generated_schema_file_of_postgres_is_what_the_migrations_make() {
    let Some(settings) = settings() else { return };
    let store = PostgresStore::open(&settings).await.unwrap();
    let present = store.0.describe().await.unwrap();
    if std::env::var_os("VIBERCHAT_GENERATE").is_some() {
        std::fs::write(SCHEMA_FILE, &present).unwrap();
    }
    let written = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
    assert!(written == present, "schema/postgres.sql is out of date: make gen");
}

#[tokio::test]
async fn a_schema_that_is_not_up_to_date_stops_the_start() {
    let Some(settings) = settings() else { return };
    let settings = Settings { migrate_on_start: false, ..settings };
    let refusal = PostgresStore::open(&settings).await.err().unwrap().to_string();
    assert!(refusal.contains("migrate schema"), "{refusal}");
    migrate(&settings, false).await.unwrap();
    PostgresStore::open(&settings).await.unwrap();
}

#[tokio::test]
async fn two_instances_that_write_the_same_users_both_succeed() {
    let Some(settings) = settings() else { return };
    let stores = [PostgresStore::open(&settings).await.unwrap(), PostgresStore::open(&settings).await.unwrap()];
    let user = |number: usize| UserId::parse(format!("user-{number}")).unwrap();
    let calls = (0..40_usize).map(|call| {
        let mut writes: Vec<_> = (0..60).map(|number| Write::LastSeen(user(number), Minute(7))).collect();
        writes.push(Write::Setting(user(call), Setting::Busy));
        writes.rotate_left(call);
        let store = &stores[call % 2];
        async move { store.write(&writes).await }
    });
    for written in futures::future::join_all(calls).await {
        written.unwrap();
    }
}
