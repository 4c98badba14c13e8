use super::*;
use crate::domain::{Activity, ConversationUpdate, Role, Viewer};
use crate::store::EntryRef;

fn add(ids: &[&str]) -> GroupChange {
    GroupChange::AddMembers(users(ids))
}

async fn roles<S: ConversationStore>(store: &S, id: ConversationId) -> Vec<(String, Role)> {
    let members = store.members(id, None, 1_000).await.unwrap();
    members.into_iter().map(|member| (member.user.to_string(), member.role)).collect()
}

async fn version<S: ConversationStore>(store: &S, id: ConversationId) -> u64 {
    store.conversations(&[id], &Viewer::Service).await.unwrap()[0].conversation.version
}

pub(crate) async fn a_group_begins_with_version_one<E: Engine>(engine: &E) {
    let store = engine.store();
    let group = new_group("alice", &["bob"]);
    let executed = store.create_group(&group, &request("alice"), &LIMITS, NOW, encode).await.unwrap();
    assert_eq!(executed.entry, Some(EntryRef { conversation: group.id, version: 1, seq: None }));
    assert!(!executed.replayed);
    let view = store.conversations(&[group.id], &Viewer::User(user("bob"))).await.unwrap().remove(0);
    assert_eq!((view.conversation.version, view.conversation.member_count), (1, 2));
    assert_eq!((view.conversation.name.as_str(), view.conversation.created_at), ("Plans", NOW));
    assert_eq!(roles(store, group.id).await, [("alice".to_owned(), Role::Owner), ("bob".to_owned(), Role::Member)]);
}

pub(crate) async fn versions_have_no_gap_and_an_outbox_row_each<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = pending_group(store, "alice", &["bob"]).await;
    let role = GroupChange::SetRole { user: user("bob"), role: Role::Admin };
    change(store, id, "alice", role.clone()).await.unwrap();
    // The same again makes no version.
    let again = change(store, id, "alice", role).await.unwrap();
    assert_eq!(again.entry, None);
    change(store, id, "bob", add(&["carol"])).await.unwrap();
    change(store, id, "carol", GroupChange::Leave).await.unwrap();
    let outbox = store.outbox(id, 10).await.unwrap();
    let rows: Vec<_> = outbox.iter().map(|entry| (entry.version, entry.actor.as_str())).collect();
    assert_eq!(rows, [(1, "alice"), (2, "alice"), (3, "bob"), (4, "carol")]);
    assert_eq!(version(store, id).await, 4);
    assert_eq!(store.outbox(id, 2).await.unwrap().len(), 2);
}

pub(crate) async fn concurrent_changes_through_two_processes_get_versions_of_their_own<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let id = pending_group(engine.store(), "alice", &[]).await;
    let calls = (0..40).map(|call| {
        let store = if call % 2 == 0 { engine.store() } else { &second };
        async move { change(store, id, "alice", add(&[&format!("user-{call}")])).await.unwrap().entry.unwrap().version }
    });
    let mut versions = futures::future::join_all(calls).await;
    versions.sort_unstable();
    assert_eq!(versions, (2..=41).collect::<Vec<_>>());
    assert_eq!(engine.store().outbox(id, 100).await.unwrap().len(), 41);
    let view = engine.store().conversations(&[id], &Viewer::Service).await.unwrap().remove(0);
    assert_eq!((view.conversation.version, view.conversation.member_count), (41, 41));
    assert_eq!(roles(&second, id).await.len(), 41);
}

pub(crate) async fn a_refused_change_leaves_nothing<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let asked = request("alice");
    let ask = async |change: GroupChange| store.change_group(id, &change, &asked, &LIMITS, NOW, encode).await;
    assert_eq!(refusal(ask(add(&["carol", "bob"])).await), Refusal::MemberExists { user: user("bob") });
    assert_eq!(version(store, id).await, 1);
    assert!(store.outbox(id, 10).await.unwrap().is_empty());
    assert_eq!(roles(store, id).await.len(), 2);
    // Its id is as good as new.
    assert!(!ask(add(&["carol"])).await.unwrap().replayed);
}

pub(crate) async fn a_stranger_finds_no_group<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let mallory = Viewer::User(user("mallory"));
    assert!(store.conversations(&[id], &mallory).await.unwrap().is_empty());
    assert_eq!(refusal(change(store, id, "mallory", add(&["eve"])).await), Refusal::ConversationNotFound);
    assert_eq!(refusal(change(store, new_id(), "alice", GroupChange::Leave).await), Refusal::ConversationNotFound);
    assert!(!set_pinned(store, id, &user("mallory"), true).await);
    let nowhere = [(new_id(), Activity { seq: 1, at: NOW }), (id, Activity { seq: 1, at: NOW })];
    assert_eq!(store.record_activity(&nowhere, NOW).await.unwrap(), [false, true]);
    // One who is gone is a stranger.
    change(store, id, "bob", GroupChange::Leave).await.unwrap();
    assert!(store.conversations(&[id], &Viewer::User(user("bob"))).await.unwrap().is_empty());
    assert_eq!(refusal(change(store, id, "bob", GroupChange::Leave).await), Refusal::ConversationNotFound);
}

pub(crate) async fn what_a_change_says_is_done<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob", "carol"]).await;
    let update = ConversationUpdate {
        name: Some("New".to_owned()),
        description: None,
        avatar_url: Some("https://x/y.png".to_owned()),
        history: Some(History::SinceJoining),
        metadata: Some([("a \"b\"".to_owned(), "日".to_owned())].into()),
    };
    let at = later(9);
    let rename = GroupChange::Update { update, etag: None };
    store.change_group(id, &rename, &request("alice"), &LIMITS, at, encode).await.unwrap();
    change(store, id, "alice", GroupChange::RemoveMember(user("bob"))).await.unwrap();
    let admin = GroupChange::SetRole { user: user("carol"), role: Role::Admin };
    change(store, id, "alice", admin).await.unwrap();
    change(store, id, "carol", add(&["dave", "eve"])).await.unwrap();
    let view = store.conversations(&[id], &Viewer::User(user("dave"))).await.unwrap().remove(0);
    let conversation = view.conversation;
    assert_eq!((conversation.name.as_str(), conversation.description.as_str()), ("New", ""));
    assert_eq!((conversation.avatar_url.as_str(), conversation.member_count), ("https://x/y.png", 4));
    assert_eq!(conversation.history, History::SinceJoining);
    assert_eq!(conversation.metadata, [("a \"b\"".to_owned(), "日".to_owned())].into());
    assert_eq!(
        store.authorize(&[(id, user("dave"))]).await.unwrap()[0].as_ref().unwrap().history,
        History::SinceJoining
    );
    // What is not named stays.
    let update = ConversationUpdate { description: Some("Why".to_owned()), ..ConversationUpdate::default() };
    change(store, id, "alice", GroupChange::Update { update, etag: None }).await.unwrap();
    let after = store.conversations(&[id], &Viewer::Service).await.unwrap().remove(0).conversation;
    assert_eq!(
        (&after.name, after.history, &after.metadata),
        (&conversation.name, conversation.history, &conversation.metadata)
    );
    let expected = [("alice", Role::Owner), ("carol", Role::Admin), ("dave", Role::Member), ("eve", Role::Member)];
    assert_eq!(roles(store, id).await, expected.map(|(user, role)| (user.to_owned(), role)));
}

pub(crate) async fn who_inherits_is_an_owner<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob", "carol"]).await;
    let admin = GroupChange::SetRole { user: user("carol"), role: Role::Admin };
    change(store, id, "alice", admin).await.unwrap();
    change(store, id, "alice", GroupChange::Leave).await.unwrap();
    assert_eq!(roles(store, id).await, [("bob".to_owned(), Role::Member), ("carol".to_owned(), Role::Owner)]);
    change(store, id, "carol", GroupChange::Leave).await.unwrap();
    assert_eq!(roles(store, id).await, [("bob".to_owned(), Role::Owner)]);
    // The last one leaves an empty group behind.
    change(store, id, "bob", GroupChange::Leave).await.unwrap();
    assert_eq!(roles(store, id).await, []);
    assert_eq!(version(store, id).await, 5);
}

pub(crate) async fn a_deletion_ends_every_stay_and_leaves_nobody<E: Engine>(engine: &E) {
    use crate::store::StoredChangeKind::{Changed, Removed};
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    change(store, id, "alice", add(&["carol"])).await.unwrap();
    let before = store.newest_change().await.unwrap();
    assert_eq!(
        refusal(change(store, id, "bob", GroupChange::Delete).await),
        Refusal::RoleRequired { needed: Role::Owner }
    );
    let executed = change(store, id, "alice", GroupChange::Delete).await.unwrap();
    assert_eq!(executed.entry, Some(EntryRef { conversation: id, version: 3, seq: None }));
    let second = engine.second().await;
    assert!(roles(&second, id).await.is_empty());
    for viewer in [Viewer::User(user("alice")), Viewer::User(user("bob")), Viewer::Service] {
        assert!(second.conversations(&[id], &viewer).await.unwrap().is_empty(), "{viewer:?}");
    }
    let pairs = ["alice", "bob", "carol"].map(|of| (id, user(of)));
    for found in second.authorize(&pairs).await.unwrap() {
        let found = found.expect("the conversation is known");
        assert_eq!((found.role, found.spans.len(), found.version, found.member_count), (None, 0, 3, 0));
    }
    assert!(second.memberships(&user("bob"), None, 10).await.unwrap().is_empty());
    assert_eq!(refusal(change(store, id, "alice", GroupChange::Leave).await), Refusal::ConversationNotFound);
    let heard = store.changes_after(before, 10).await.unwrap().unwrap();
    let heard: Vec<_> = heard.into_iter().map(|change| (change.version, change.kind)).collect();
    let gone = |of: &str, role| (3, Removed(user(of), role, crate::domain::Kind::Group));
    let expected = [gone("alice", Role::Owner), gone("bob", Role::Member), gone("carol", Role::Member), (3, Changed)];
    assert_eq!(heard, expected);
    // The entries go their way: the one by which Carol joined, and the last one.
    let left: Vec<_> = store.outbox(id, 10).await.unwrap().into_iter().map(|entry| entry.version).collect();
    assert_eq!(left, [2, 3]);
    for version in left {
        store.write_back(id, version, 10 * version, NOW).await.unwrap();
    }
    assert!(store.outbox_conversations(None, 10).await.unwrap().is_empty());
    // Nobody is back because the log has everything.
    assert!(store.authorize(&pairs).await.unwrap().iter().flatten().all(|found| found.role.is_none()));
}

pub(crate) async fn a_deletion_is_repeated_by_its_request_only<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let asked = request("alice");
    let delete = async || store.change_group(id, &GroupChange::Delete, &asked, &LIMITS, NOW, encode).await.unwrap();
    let first = delete().await;
    store.write_back(id, 2, 9, NOW).await.unwrap();
    let again = delete().await;
    assert!(!first.replayed && again.replayed);
    assert_eq!(again.entry, Some(EntryRef { conversation: id, version: 2, seq: Some(9) }));
    assert_eq!(refusal(change(store, id, "alice", GroupChange::Delete).await), Refusal::ConversationNotFound);
}

pub(crate) async fn nobody_is_added_to_what_is_deleted_at_once<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let id = group(engine.store(), "alice", &[]).await;
    let calls = (0..20).map(|call| {
        let store = if call % 2 == 0 { engine.store() } else { &second };
        let what = if call == 9 { GroupChange::Delete } else { add(&[&format!("user-{call}")]) };
        async move { change(store, id, "alice", what).await.is_ok() }
    });
    let done = futures::future::join_all(calls).await;
    assert!(done[9], "the owner deletes");
    assert!(roles(engine.store(), id).await.is_empty());
    // Each change that was made has its entry, and the closing one is the last.
    let versions = done.into_iter().filter(|done| *done).count() as u64;
    let outbox = second.outbox(id, 100).await.unwrap();
    assert_eq!(outbox.iter().map(|entry| entry.version).collect::<Vec<_>>(), (2..=versions + 1).collect::<Vec<_>>());
    assert_eq!(outbox.last().unwrap().entry, encode_entry(&crate::domain::SystemEntry::Closed));
}
