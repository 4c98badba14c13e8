use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Row as _;
use viberchat_engines::Server;

use super::*;
use crate::store::Migration;

#[derive(Debug)]
enum Failed {
    Nothing(BoxError),
    Unknown,
}

impl StoreFailure for Failed {
    fn unavailable(source: BoxError) -> Self {
        Self::Nothing(source)
    }

    fn outcome_unknown(_: BoxError) -> Self {
        Self::Unknown
    }

    fn not_applied(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Nothing(source) => Some(&**source),
            Self::Unknown => None,
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Nothing(error.into())
    }
}

const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_one", sql: "CREATE TABLE one (id bigint PRIMARY KEY); INSERT INTO one VALUES (1);" },
    Migration { name: "0002_two", sql: "ALTER TABLE one ADD COLUMN two text NOT NULL DEFAULT ''" },
];

/// A namespace that nobody has used. `None`: there is no server.
fn settings() -> Option<Settings> {
    let url = DatabaseUrl::parse(&Server::Postgres.address()?).expect("the address of a server");
    let namespace = viberchat_engines::namespace("kit");
    Some(Settings { url: Some(url), namespace, ..Settings::default() })
}

async fn migrated() -> Option<(Settings, Database)> {
    let settings = settings()?;
    migrate(&settings, "test", MIGRATIONS, false).await.unwrap();
    let database = Database::connect(&settings, "test").await.unwrap();
    Some((settings, database))
}

#[tokio::test]
async fn a_schema_is_brought_up_to_date_once_however_many_do_it_at_once() {
    let Some(settings) = settings() else { return };
    let dry = migrate(&settings, "test", MIGRATIONS, true).await.unwrap();
    assert_eq!((dry.found, dry.changes), (0, vec!["0001_one", "0002_two"]));
    let one = migrate(&settings, "test", &MIGRATIONS[..1], false).await.unwrap();
    assert_eq!((one.found, one.known, one.changes), (0, 1, vec!["0001_one"]));
    let reports = futures::future::join_all((0..8).map(|_| migrate(&settings, "test", MIGRATIONS, false))).await;
    let changes: Vec<_> = reports.into_iter().flat_map(|report| report.unwrap().changes).collect();
    assert_eq!(changes, ["0002_two"]);
    let again = migrate(&settings, "test", MIGRATIONS, true).await.unwrap();
    assert_eq!((again.found, again.changes), (2, vec![]));
    // Another namespace has none of it.
    let other = Settings { namespace: format!("{}_other", settings.namespace), ..settings };
    assert_eq!(migrate(&other, "test", MIGRATIONS, true).await.unwrap().found, 0);
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let Some(settings) = settings() else { return };
    let broken = [MIGRATIONS[0], Migration { name: "broken", sql: "CREATE TABLE two (); SELECT nonsense" }];
    assert!(matches!(migrate(&settings, "test", &broken, false).await, Err(SchemaError::Database(_))));
    assert_eq!(migrate(&settings, "test", MIGRATIONS, true).await.unwrap().found, 0);
}

#[tokio::test]
async fn who_does_not_migrate_refuses_what_is_behind_or_newer() {
    let Some(settings) = settings() else { return };
    let database = Database::connect(&settings, "test").await.unwrap();
    let refusal = require(&database, MIGRATIONS).await.unwrap_err().to_string();
    assert!(refusal.contains("version 0") && refusal.contains("viberchat migrate schema"), "{refusal}");
    migrate(&settings, "test", MIGRATIONS, false).await.unwrap();
    require(&database, MIGRATIONS).await.unwrap();
    let older = require(&database, &MIGRATIONS[..1]).await.unwrap_err();
    assert!(matches!(older, SchemaError::Newer { found: 2, known: 1, .. }), "{older}");
    let older = migrate(&settings, "test", &MIGRATIONS[..1], false).await.unwrap_err();
    assert!(matches!(older, SchemaError::Newer { .. }), "{older}");
}

#[tokio::test]
async fn a_session_has_its_schema_its_timeouts_and_durable_commits() {
    let Some((settings, database)) = migrated().await else { return };
    let show = async |name: &str| {
        let row = sqlx::query("SELECT current_setting($1)").bind(name).fetch_one(&database.pool).await.unwrap();
        row.try_get::<String, _>(0).unwrap()
    };
    assert_eq!(show("search_path").await, settings.schema("test"));
    assert_eq!((show("statement_timeout").await, show("lock_timeout").await), ("5s".into(), "2s".into()));
    assert_eq!(show("synchronous_commit").await, "on");
    let mut connection = database.pool.acquire().await.unwrap();
    sqlx::query("SET synchronous_commit = off").execute(&mut *connection).await.unwrap();
    set_session(&mut connection, &[]).await.unwrap();
    let row = sqlx::query("SHOW synchronous_commit").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "on");
}

#[tokio::test]
async fn a_deadlock_is_tried_again_until_both_are_done() {
    let Some((_, database)) = migrated().await else { return };
    sqlx::query("INSERT INTO one VALUES (2)").execute(&database.pool).await.unwrap();
    let barrier = tokio::sync::Barrier::new(2);
    let tries = AtomicU32::new(0);
    let swap = |rows: [i64; 2]| {
        let (database, barrier, tries) = (&database, &barrier, &tries);
        let first = AtomicU32::new(0);
        async move {
            let first = &first;
            let done: Result<(), Failed> = database
                .run(|attempt| async move {
                    tries.fetch_add(1, Ordering::Relaxed);
                    let mut write = attempt.begin().await?;
                    for row in rows {
                        let update = sqlx::query("UPDATE one SET two = two || 'x' WHERE id = $1").bind(row);
                        update.execute(write.connection()).await?;
                        // Both have their first row before they want the other one.
                        if first.fetch_add(1, Ordering::Relaxed) == 0 {
                            barrier.wait().await;
                        }
                    }
                    write.commit().await
                })
                .await;
            done.unwrap();
        }
    };
    tokio::join!(swap([1, 2]), swap([2, 1]));
    let rows = sqlx::query("SELECT two FROM one").fetch_all(&database.pool).await.unwrap();
    assert!(rows.iter().all(|row| row.try_get::<&str, _>("two").unwrap() == "xx"));
    assert_eq!(tries.load(Ordering::Relaxed), 3, "one of the two was tried again");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_commit_is_tried_again_and_one_in_it_is_unknown() {
    let Some((_, database)) = migrated().await else { return };
    let end = async |write: &mut Write| {
        let row = sqlx::query("SELECT pg_backend_pid()").fetch_one(write.connection()).await.unwrap();
        let pid: i32 = row.try_get(0).unwrap();
        sqlx::query("SELECT pg_terminate_backend($1, 5000)").bind(pid).execute(&database.pool).await.unwrap();
    };
    let tries = AtomicU32::new(0);
    let insert = async |id: i64, in_commit: bool| -> Result<(), Failed> {
        let (tries, end) = (&tries, &end);
        database
            .run(|attempt| async move {
                let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
                let mut write = attempt.begin().await?;
                if first && !in_commit {
                    end(&mut write).await;
                }
                sqlx::query("INSERT INTO one VALUES ($1)").bind(id).execute(write.connection()).await?;
                if first && in_commit {
                    end(&mut write).await;
                }
                write.commit().await
            })
            .await
    };
    insert(10, false).await.unwrap();
    assert_eq!(tries.swap(0, Ordering::Relaxed), 2);
    let unknown = insert(11, true).await.unwrap_err();
    assert!(matches!(unknown, Failed::Unknown), "{unknown:?}");
    assert_eq!(tries.load(Ordering::Relaxed), 1, "what may be stored is not stored again");
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_given_up() {
    let Some((settings, database)) = migrated().await else { return };
    let mut held = database.pool.begin().await.unwrap();
    sqlx::query("UPDATE one SET two = 'x'").execute(&mut *held).await.unwrap();
    let impatient = Settings { lock_timeout_ms: 20, ..settings };
    let impatient = Database::connect(&impatient, "test").await.unwrap();
    let given_up: Result<(), Failed> = impatient
        .run(|attempt| async move {
            sqlx::query("UPDATE one SET two = 'y'").execute(attempt.pool()).await?;
            Ok(())
        })
        .await;
    assert!(given_up.unwrap_err().not_applied().is_some());
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_an_error_in_time() {
    let url = DatabaseUrl::parse("postgres://nobody@127.0.0.1:1/none").unwrap();
    let settings = Settings { url: Some(url), connect_timeout_ms: 200, ..Settings::default() };
    let begin = tokio::time::Instant::now();
    Database::connect(&settings, "test").await.unwrap_err();
    migrate(&settings, "test", MIGRATIONS, false).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(5));
}
