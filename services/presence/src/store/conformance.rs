//! The promises of [`PresenceStore`], one function each, for every engine alike.
//!
//! [`for_each_promise`] lists them; an engine stamps them onto itself with [`stamp`], in a file of its own.

use std::collections::HashMap;

use viberchat_kit::id::UserId;
use viberchat_kit::telemetry::Metrics;

use super::instrumented::Instrumented;
use super::{PresenceStore, Row, Write};
use crate::domain::status::{Minute, Setting};
use crate::metrics::StoreMetrics;

/// An engine under test: an empty store, ended when dropped.
pub(crate) trait Engine {
    type Store: PresenceStore + Clone;

    /// `None`: it is not installed, which has been said.
    async fn start() -> Option<Self>
    where
        Self: Sized;

    fn store(&self) -> &Self::Store;

    /// The same data through another process.
    async fn second(&self) -> Self::Store;
}

/// An engine with its operations measured.
pub(crate) struct Measured<E: Engine> {
    engine: E,
    store: Instrumented<E::Store>,
}

fn measured<S>(store: S) -> Instrumented<S> {
    Instrumented::new(store, StoreMetrics::register(&Metrics::new()))
}

impl<E: Engine> Engine for Measured<E> {
    type Store = Instrumented<E::Store>;

    async fn start() -> Option<Self> {
        let engine = E::start().await?;
        Some(Self { store: measured(engine.store().clone()), engine })
    }

    fn store(&self) -> &Self::Store {
        &self.store
    }

    async fn second(&self) -> Self::Store {
        measured(self.engine.second().await)
    }
}

/// Hands the name of every promise to a macro.
macro_rules! for_each_promise {
    ($stamp:ident!($engine:ty)) => {
        $stamp! { $engine;
            who_was_never_written_of_is_missing
            every_status_comes_back
            the_parts_are_apart
            the_last_status_and_the_latest_minute_win
            two_processes_write_the_same_rows_at_once
            another_process_sees_what_was_written
            a_write_of_many_is_there_whole
            users_are_the_same_only_by_every_byte
            every_minute_comes_back
        }
    };
}
pub(crate) use for_each_promise;

/// A test for each promise on one engine.
macro_rules! stamp {
    ($engine:ty; $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let started = <$engine as $crate::store::conformance::Engine>::start().await;
                let Some(engine) = started else { return };
                $crate::store::conformance::$promise(&engine).await;
            }
        )*
    };
}
pub(crate) use stamp;

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a good id")
}

fn setting(id: &str, setting: Setting) -> Write {
    Write::Setting(user(id), setting)
}

fn last_seen(id: &str, minute: i64) -> Write {
    Write::LastSeen(user(id), Minute(minute))
}

fn row(setting: Setting, minute: Option<i64>) -> Row {
    Row { setting, last_seen: minute.map(Minute) }
}

async fn load(store: &impl PresenceStore, ids: &[&str]) -> HashMap<UserId, Row> {
    let users: Vec<_> = ids.iter().map(|id| user(id)).collect();
    store.load(&users).await.expect("the store answers")
}

pub(crate) async fn who_was_never_written_of_is_missing<E: Engine>(engine: &E) {
    let store = engine.store();
    store.ping().await.unwrap();
    assert!(load(store, &[]).await.is_empty());
    store.write(&[]).await.unwrap();
    store.write(&[setting("ann", Setting::Busy)]).await.unwrap();
    let rows = load(store, &["ann", "bob", "Ann"]).await;
    assert_eq!(rows, [(user("ann"), row(Setting::Busy, None))].into());
}

pub(crate) async fn every_status_comes_back<E: Engine>(engine: &E) {
    let store = engine.store();
    let all = [Setting::Online, Setting::Away, Setting::Busy, Setting::Invisible];
    for one in all {
        let id = format!("it's \"{one:?}\" 🎉");
        store.write(&[setting(&id, one)]).await.unwrap();
        assert_eq!(load(store, &[&id]).await, [(user(&id), row(one, None))].into());
    }
}

pub(crate) async fn the_parts_are_apart<E: Engine>(engine: &E) {
    let store = engine.store();
    store.write(&[last_seen("ann", 7)]).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")], row(Setting::Online, Some(7)));
    store.write(&[setting("ann", Setting::Invisible)]).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")], row(Setting::Invisible, Some(7)));
    store.write(&[last_seen("ann", 8)]).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")], row(Setting::Invisible, Some(8)));
}

pub(crate) async fn the_last_status_and_the_latest_minute_win<E: Engine>(engine: &E) {
    let store = engine.store();
    let writes =
        [setting("ann", Setting::Busy), last_seen("ann", 9), setting("ann", Setting::Away), last_seen("ann", 3)];
    store.write(&writes).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")], row(Setting::Away, Some(9)));
    let second = engine.second().await;
    second.write(&[last_seen("ann", 8)]).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")].last_seen, Some(Minute(9)), "never back");
    second.write(&[last_seen("ann", 10)]).await.unwrap();
    store.write(&[last_seen("ann", 7), setting("ann", Setting::Busy)]).await.unwrap();
    assert_eq!(load(store, &["ann"]).await[&user("ann")], row(Setting::Busy, Some(10)));
}

pub(crate) async fn two_processes_write_the_same_rows_at_once<E: Engine>(engine: &E) {
    const ROUNDS: i64 = 20;
    let second = engine.second().await;
    let names: Vec<_> = (0..100).map(|number| format!("user{number}")).collect();
    // Each in another order, and each later for half of the users.
    let writes = |round: i64, parity: usize| -> Vec<_> {
        let later = |index: usize| 2 * round + i64::from(index % 2 == parity);
        let mut writes: Vec<_> = names.iter().enumerate().map(|(index, name)| last_seen(name, later(index))).collect();
        if parity == 1 {
            writes.reverse();
        }
        writes
    };
    for round in 0..ROUNDS {
        let (even, odd) = (writes(round, 0), writes(round, 1));
        let (one, other) = tokio::join!(engine.store().write(&even), second.write(&odd));
        one.unwrap();
        other.unwrap();
        let ids: Vec<_> = names.iter().map(String::as_str).collect();
        let rows = load(engine.store(), &ids).await;
        assert!(rows.values().all(|row| row.last_seen == Some(Minute(2 * round + 1))), "{round}: {rows:?}");
    }
}

pub(crate) async fn another_process_sees_what_was_written<E: Engine>(engine: &E) {
    let second = engine.second().await;
    engine.store().write(&[setting("ann", Setting::Invisible)]).await.unwrap();
    assert_eq!(load(&second, &["ann"]).await[&user("ann")].setting, Setting::Invisible);
    second.write(&[setting("ann", Setting::Online)]).await.unwrap();
    assert_eq!(load(engine.store(), &["ann"]).await[&user("ann")].setting, Setting::Online);
}

pub(crate) async fn a_write_of_many_is_there_whole<E: Engine>(engine: &E) {
    let names: Vec<_> = (0..500).map(|n| format!("user{n}")).collect();
    let writes: Vec<_> = names.iter().map(|name| last_seen(name, 5)).collect();
    engine.store().write(&writes).await.unwrap();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(load(engine.store(), &names).await.len(), 500);
}

pub(crate) async fn users_are_the_same_only_by_every_byte<E: Engine>(engine: &E) {
    let alike = ["a", "A", "ä", "a\u{308}", "ß", "ss", "\u{200b}a", "a "];
    let writes: Vec<_> = alike.iter().zip(1..).map(|(id, minute)| last_seen(id, minute)).collect();
    engine.store().write(&writes).await.unwrap();
    let rows = load(engine.store(), &alike).await;
    for (id, minute) in alike.iter().zip(1..) {
        assert_eq!(rows[&user(id)], row(Setting::Online, Some(minute)));
    }
}

pub(crate) async fn every_minute_comes_back<E: Engine>(engine: &E) {
    for minute in [-1, 0, 28_333_333, i64::MAX] {
        engine.store().write(&[last_seen("ann", minute)]).await.unwrap();
        assert_eq!(load(engine.store(), &["ann"]).await[&user("ann")].last_seen, Some(Minute(minute)));
    }
}
