//! What a caller can rely on when a call fails, before it was done or after.

use super::*;
use crate::domain::{Activity, DirectPair, Profile};
use crate::store::decorated::Decorated;
use crate::store::{ListPage, StoreError};
use crate::testing::{Fault, Faults};

fn failing<E: Engine>(engine: &E, fault: Fault) -> Decorated<E::Store, Faults> {
    let faults = Faults::default();
    faults.set_every(Some(fault));
    Decorated::new(engine.store().clone(), faults)
}

/// Each call that writes, once; which of them failed so.
async fn ask_everything<S: ConversationStore>(store: &S, asked: &Asked) -> Vec<ChangeError> {
    let Asked { group, create, add, grown, pair, .. } = asked;
    let (alice, bob) = (user("alice"), user("bob"));
    let pinned = SettingsUpdate { pinned: Some(true), ..SettingsUpdate::default() };
    let members = GroupChange::AddMembers(users(&["dave"]));
    let profile = Profile { display_name: "Bob".to_owned(), ..Profile::bare(bob.clone()) };
    let results = [
        store.create_group(group, create, &LIMITS, NOW, encode).await.map(drop),
        store.change_group(*grown, &members, add, &LIMITS, NOW, encode).await.map(drop),
        store.get_or_create_direct(new_id(), pair, &alice, &LIMITS, NOW).await.map(drop),
        store.block_user(&alice, &bob, &LIMITS, NOW).await.map(drop),
        store.update_settings(*grown, &alice, &pinned, NOW).await.map(drop).map_err(ChangeError::from),
        store
            .record_activity(&[(*grown, Activity { seq: 9, at: NOW })], NOW)
            .await
            .map(drop)
            .map_err(ChangeError::from),
        store.write_back(*grown, 1, 1, NOW).await.map_err(ChangeError::from),
        store.upsert_users(&[profile], NOW, encode_entry).await.map_err(ChangeError::from),
        store.deactivate_user(&user("carol"), &LIMITS, NOW, encode_entry).await.map(drop),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

struct Asked {
    group: NewGroup,
    create: RequestKey,
    add: RequestKey,
    /// A group whose first entry the log does not have.
    grown: ConversationId,
    pair: DirectPair,
}

impl Asked {
    async fn of<E: Engine>(engine: &E) -> Self {
        Self {
            group: new_group("alice", &["bob"]),
            create: request("alice"),
            add: request("alice"),
            grown: pending_group(engine.store(), "alice", &["bob"]).await,
            pair: DirectPair::of(&user("alice"), &user("carla")),
        }
    }
}

/// What the calls change, as far as it can be seen.
async fn seen<S: ConversationStore>(store: &S, asked: &Asked) -> String {
    let alice = user("alice");
    let page = ListPage { limit: 10, ..ListPage::default() };
    let outbox = store.outbox(asked.grown, 10).await.unwrap().into_iter().map(|entry| entry.version);
    let outbox = outbox.collect::<Vec<_>>();
    let newest = store.newest_change().await.unwrap();
    let listed = store.list(&alice, &page).await.unwrap().len();
    let members = store.members(asked.grown, None, 10).await.unwrap().len();
    let blocks = store.blocks(&alice, None, 10).await.unwrap().len();
    let profiles = store.users(&[user("bob"), user("carol")]).await.unwrap().len();
    format!("{outbox:?} {newest:?} {listed} {members} {blocks} {profiles}")
}

pub(crate) async fn what_fails_before_it_is_done_leaves_nothing<E: Engine>(engine: &E) {
    let asked = Asked::of(engine).await;
    let before = seen(engine.store(), &asked).await;
    let failed = ask_everything(&failing(engine, Fault::Unavailable), &asked).await;
    assert!(failed.iter().all(|e| matches!(e, ChangeError::Store(StoreError::Unavailable(_)))), "{failed:?}");
    assert_eq!(failed.len(), 9);
    assert_eq!(seen(engine.store(), &asked).await, before);
    // The next attempt is the first.
    let executed = engine.store().create_group(&asked.group, &asked.create, &LIMITS, NOW, encode).await.unwrap();
    assert!(!executed.replayed);
}

pub(crate) async fn what_fails_after_it_was_done_is_found_by_asking_again<E: Engine>(engine: &E) {
    let asked = Asked::of(engine).await;
    let failed = ask_everything(&failing(engine, Fault::OutcomeUnknown), &asked).await;
    assert!(failed.iter().all(|e| matches!(e, ChangeError::Store(StoreError::OutcomeUnknown(_)))), "{failed:?}");
    assert_eq!(failed.len(), 9);
    let once = seen(engine.store(), &asked).await;
    let second = engine.second().await;
    // Through another process, as a retry may go.
    assert!(ask_everything(&second, &asked).await.is_empty());
    assert_eq!(seen(&second, &asked).await, once, "nothing was done twice");
    let executed = second.create_group(&asked.group, &asked.create, &LIMITS, NOW, encode).await.unwrap();
    assert!(executed.replayed);
    let (_, created) = second.get_or_create_direct(new_id(), &asked.pair, &user("alice"), &LIMITS, NOW).await.unwrap();
    assert!(!created);
}
