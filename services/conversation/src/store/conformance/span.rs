use super::*;
use crate::domain::{Authorization, Role, Span};

async fn authorize<S: ConversationStore>(store: &S, id: ConversationId, of: &str) -> Authorization {
    store.authorize(&[(id, user(of))]).await.unwrap().remove(0).expect("the conversation is there")
}

fn open(from_seq: u64) -> Span {
    Span { from_seq, to_seq: None }
}

fn closed(from_seq: u64, to_seq: u64) -> Span {
    Span { from_seq, to_seq: Some(to_seq) }
}

fn add(id: &str) -> GroupChange {
    GroupChange::AddMembers(users(&[id]))
}

fn remove(id: &str) -> GroupChange {
    GroupChange::RemoveMember(user(id))
}

pub(crate) async fn a_stay_begins_when_the_log_has_it<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = pending_group(store, "alice", &["bob"]).await;
    let pending = authorize(store, id, "bob").await;
    assert_eq!((pending.role, pending.spans, pending.version), (Some(Role::Member), vec![], 1));
    store.write_back(id, 1, 1, NOW).await.unwrap();
    assert_eq!(authorize(store, id, "bob").await.spans, [open(1)]);
    change(store, id, "alice", add("carol")).await.unwrap();
    assert_eq!(authorize(store, id, "carol").await.spans, []);
    assert_eq!(authorize(store, id, "bob").await.spans, [open(1)]);
    // Through another process at once.
    store.write_back(id, 2, 40, NOW).await.unwrap();
    assert_eq!(authorize(&engine.second().await, id, "carol").await.spans, [open(40)]);
}

pub(crate) async fn a_removal_stops_at_once<E: Engine>(engine: &E) {
    let store = engine.store();
    let second = engine.second().await;
    let id = group(store, "alice", &["bob"]).await;
    change(store, id, "alice", remove("bob")).await.unwrap();
    let gone = authorize(&second, id, "bob").await;
    assert_eq!((gone.role, gone.spans, gone.version), (None, vec![], 2));
    assert_eq!(store.authorize(&[(new_id(), user("bob"))]).await.unwrap(), [None]);
}

pub(crate) async fn a_stay_whose_end_is_pending_is_left_out<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    change(store, id, "alice", remove("bob")).await.unwrap();
    change(store, id, "alice", add("bob")).await.unwrap();
    assert_eq!(authorize(store, id, "bob").await.spans, []);
    store.write_back(id, 2, 20, NOW).await.unwrap();
    assert_eq!(authorize(store, id, "bob").await.spans, [closed(1, 20)]);
    store.write_back(id, 3, 30, NOW).await.unwrap();
    assert_eq!(authorize(store, id, "bob").await.spans, [closed(1, 20), open(30)]);
}

pub(crate) async fn a_write_back_repeats_without_harm<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let newest = store.newest_change().await.unwrap();
    store.write_back(id, 1, 1, NOW).await.unwrap();
    store.write_back(id, 9, 99, NOW).await.unwrap();
    assert_eq!(store.newest_change().await.unwrap(), newest);
    assert_eq!(authorize(store, id, "bob").await.spans, [open(1)]);
}

pub(crate) async fn what_is_left_is_found_by_conversation_and_version<E: Engine>(engine: &E) {
    let store = engine.store();
    let mut left = Vec::new();
    for _ in 0..5 {
        left.push(pending_group(store, "alice", &["bob"]).await);
    }
    change(store, left[0], "alice", remove("bob")).await.unwrap();
    left.sort();
    let first = store.outbox_conversations(None, 3).await.unwrap();
    let rest = store.outbox_conversations(first.last().copied(), 3).await.unwrap();
    assert_eq!([first, rest].concat(), left);
    for id in &left {
        for entry in store.outbox(*id, 10).await.unwrap() {
            store.write_back(*id, entry.version, entry.version, NOW).await.unwrap();
        }
        assert!(store.outbox(*id, 10).await.unwrap().is_empty());
    }
    assert!(store.outbox_conversations(None, 3).await.unwrap().is_empty());
}
