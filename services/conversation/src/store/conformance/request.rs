use super::*;
use crate::store::EntryRef;

fn add(id: &str) -> GroupChange {
    GroupChange::AddMembers(users(&[id]))
}

pub(crate) async fn a_repeated_request_gets_the_first_result_whatever_has_changed<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let asked = request("bob");
    let leave = async || store.change_group(id, &GroupChange::Leave, &asked, &LIMITS, later(1), encode).await.unwrap();
    let first = leave().await;
    // Bob is a stranger now, and gets his answer all the same.
    let again = leave().await;
    assert!(!first.replayed && again.replayed);
    assert_eq!((&first.response, first.entry), (&again.response, again.entry));
    assert_eq!(first.entry, Some(EntryRef { conversation: id, version: 2, seq: None }));
    assert_eq!(store.outbox(id, 10).await.unwrap().len(), 1);
}

pub(crate) async fn another_body_with_the_same_id_is_refused<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &[]).await;
    let asked = request("alice");
    store.change_group(id, &add("bob"), &asked, &LIMITS, NOW, encode).await.unwrap();
    let other = RequestKey { fingerprint: [8; 32], ..asked };
    let refused = store.change_group(id, &add("carol"), &other, &LIMITS, NOW, encode).await;
    assert_eq!(refusal(refused), Refusal::RequestIdReused);
}

pub(crate) async fn an_expired_request_id_is_new<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &[]).await;
    let asked = request("alice");
    store.change_group(id, &add("bob"), &asked, &LIMITS, NOW, encode).await.unwrap();
    let tomorrow = later(DAY_MS);
    let next = RequestKey { fingerprint: [8; 32], expires_at: later(2 * DAY_MS), ..asked };
    let executed = store.change_group(id, &add("carol"), &next, &LIMITS, tomorrow, encode).await.unwrap();
    assert!(!executed.replayed);
    assert!(store.change_group(id, &add("carol"), &next, &LIMITS, tomorrow, encode).await.unwrap().replayed);
}

pub(crate) async fn request_ids_are_spaces_of_callers_and_methods<E: Engine>(engine: &E) {
    let store = engine.store();
    let asked = request("alice");
    let of_bob = RequestKey { caller: user("bob"), ..asked.clone() };
    let of_another_method = RequestKey { method: "Another", ..asked.clone() };
    for key in [asked, of_bob, of_another_method] {
        let group = new_group(key.caller.as_str(), &[]);
        assert!(!store.create_group(&group, &key, &LIMITS, NOW, encode).await.unwrap().replayed);
    }
}

pub(crate) async fn concurrent_repetitions_do_it_once<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let asked = request("alice");
    let calls = (0..16).map(|call| {
        let store = if call % 2 == 0 { engine.store() } else { &second };
        let asked = &asked;
        async move {
            let group = new_group("alice", &["bob"]);
            store.create_group(&group, asked, &LIMITS, NOW, encode).await.unwrap()
        }
    });
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|executed| !executed.replayed).count(), 1);
    assert!(answers.iter().all(|executed| executed.response == answers[0].response));
    assert_eq!(engine.store().outbox_conversations(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn the_seq_of_an_entry_is_found_by_its_request<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &[]).await;
    let asked = request("alice");
    store.change_group(id, &add("bob"), &asked, &LIMITS, NOW, encode).await.unwrap();
    assert_eq!(store.entry_seq(&asked).await.unwrap(), None);
    store.write_back(id, 2, 17, NOW).await.unwrap();
    assert_eq!(store.entry_seq(&asked).await.unwrap(), Some(17));
    let replayed = store.change_group(id, &add("bob"), &asked, &LIMITS, NOW, encode).await.unwrap();
    assert_eq!(replayed.entry, Some(EntryRef { conversation: id, version: 2, seq: Some(17) }));
    assert_eq!(store.entry_seq(&request("alice")).await.unwrap(), None);
}
