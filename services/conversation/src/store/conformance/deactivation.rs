use super::*;
use crate::domain::{Activity, DirectPair, Kind, Profile, Role};
use crate::store::{Audience, ChangeId, StoredChangeKind};

fn named(id: &str) -> Profile {
    Profile { display_name: format!("Name of {id}"), email: format!("{id}@x"), ..Profile::bare(user(id)) }
}

async fn upsert<S: ConversationStore>(store: &S, ids: &[&str]) {
    store.upsert_users(&ids.iter().map(|id| named(id)).collect::<Vec<_>>(), NOW).await.unwrap();
}

async fn deactivate<S: ConversationStore>(store: &S, id: &str) -> bool {
    store.deactivate_user(&user(id), &LIMITS, NOW).await.expect("an open directory knows everybody")
}

pub(crate) async fn who_is_deactivated_has_no_role_and_is_not_found<E: Engine>(engine: &E) {
    let store = engine.store();
    upsert(store, &["alice", "bob"]).await;
    let direct_id = direct(store, "alice", "bob").await;
    let group_id = group(store, "alice", &["bob"]).await;
    let second = engine.second().await;
    let authorize = async |id: ConversationId, of: &str| {
        let found = second.authorize(&[(id, user(of))]).await.unwrap().remove(0).unwrap();
        (found.role, found.spans.len(), found.peer_present)
    };
    let found = async || store.search_users("name of b", None, 10).await.unwrap().len();
    assert_eq!(found().await, 1);
    assert!(deactivate(store, "bob").await);
    assert!(!deactivate(store, "bob").await);
    assert_eq!(authorize(direct_id, "bob").await, (None, 0, true));
    assert_eq!(authorize(direct_id, "alice").await, (Some(Role::Member), 1, false));
    assert_eq!(authorize(group_id, "bob").await, (None, 0, false));
    assert_eq!(found().await, 0);
    assert_eq!(store.search_users("nam", None, 10).await.unwrap().len(), 1);
    let profile = store.users(&[user("bob")]).await.unwrap().remove(0);
    assert_eq!(profile, Profile { deactivated: true, ..named("bob") });
    let readers = second.readers(group_id, &Audience::Everybody).await.unwrap().unwrap();
    assert_eq!(readers.members, [(user("alice"), Role::Owner)]);
    // Somebody without a profile, too.
    assert!(deactivate(store, "carol").await);
    assert!(store.users(&[user("carol")]).await.unwrap()[0].deactivated);
    // Active again, with another name.
    upsert(store, &["bob", "carol"]).await;
    assert_eq!(authorize(direct_id, "bob").await, (Some(Role::Member), 1, true));
    assert_eq!(authorize(direct_id, "alice").await, (Some(Role::Member), 1, true));
    assert_eq!(found().await, 1);
    assert_eq!(store.users(&[user("bob")]).await.unwrap(), [named("bob")]);
}

pub(crate) async fn a_deactivation_takes_the_memberships_from_those_who_watch<E: Engine>(engine: &E) {
    use StoredChangeKind::{Added, ChangedFor, Removed};
    let store = engine.store();
    let group_id = group(store, "alice", &["bob"]).await;
    let direct_id = direct(store, "alice", "bob").await;
    store.record_activity(&[(direct_id, Activity { seq: 1, at: NOW })], NOW).await.unwrap();
    let heard_since = async |before: ChangeId| {
        let changes = store.changes_after(before, 10).await.unwrap().expect("nothing was pruned");
        let mut heard: Vec<_> = changes.into_iter().map(|c| (c.conversation, format!("{:?}", c.kind))).collect();
        heard.sort();
        heard
    };
    let expected = |all: [(ConversationId, StoredChangeKind); 3]| {
        let mut all: Vec<_> = all.into_iter().map(|(id, kind)| (id, format!("{kind:?}"))).collect();
        all.sort();
        all
    };
    let (alice, bob) = (user("alice"), user("bob"));
    let before = store.newest_change().await.unwrap();
    deactivate(store, "bob").await;
    deactivate(store, "bob").await;
    let gone = expected([
        (group_id, Removed(bob.clone(), Role::Member, Kind::Group)),
        (direct_id, Removed(bob.clone(), Role::Member, Kind::Direct)),
        (direct_id, ChangedFor(alice.clone())),
    ]);
    assert_eq!(heard_since(before).await, gone);
    let before = store.newest_change().await.unwrap();
    upsert(store, &["bob"]).await;
    let back = expected([(group_id, Added(bob.clone())), (direct_id, Added(bob)), (direct_id, ChangedFor(alice))]);
    assert_eq!(heard_since(before).await, back);
    // Another write of an active profile is no change.
    let before = store.newest_change().await.unwrap();
    upsert(store, &["bob"]).await;
    assert_eq!(store.newest_change().await.unwrap(), before);
}

pub(crate) async fn a_strict_directory_takes_known_users_only<E: Engine>(engine: &E) {
    let store = engine.store();
    let strict = Limits { known_users_only: true, ..LIMITS };
    let nobody = |id: &str| Refusal::UserNotFound { user: user(id) };
    assert_eq!(refusal(store.deactivate_user(&user("bob"), &strict, NOW).await), nobody("bob"));
    upsert(store, &["alice", "carol"]).await;
    let (alice, bob) = (user("alice"), user("bob"));
    let new_direct = async |peer: &UserId, limits: &Limits| {
        store.get_or_create_direct(new_id(), &DirectPair::of(&alice, peer), &alice, limits, NOW).await
    };
    let create = async |members: &[&str], limits: &Limits| {
        store.create_group(&new_group("alice", members), &request("alice"), limits, NOW, encode).await
    };
    assert_eq!(refusal(new_direct(&bob, &strict).await), nobody("bob"));
    assert_eq!(refusal(create(&["carol", "bob"], &strict).await), nobody("bob"));
    assert_eq!(refusal(store.block_user(&alice, &bob, &strict, NOW).await), nobody("bob"));
    create(&["carol"], &strict).await.unwrap();
    let id = group(store, "alice", &[]).await;
    let add = GroupChange::AddMembers(users(&["bob"]));
    let added = store.change_group(id, &add, &request("alice"), &strict, NOW, encode).await;
    assert_eq!(refusal(added), nobody("bob"));
    // Those who were deactivated are refused everywhere.
    deactivate(store, "carol").await;
    let carol = user("carol");
    for limits in [LIMITS, strict] {
        assert_eq!(refusal(new_direct(&carol, &limits).await), nobody("carol"));
        assert_eq!(refusal(create(&["carol"], &limits).await), nobody("carol"));
        assert_eq!(refusal(store.block_user(&alice, &carol, &limits, NOW).await), nobody("carol"));
    }
    // In an open one everybody else is somebody.
    new_direct(&bob, &LIMITS).await.unwrap();
}

pub(crate) async fn who_shares_a_conversation<E: Engine>(engine: &E) {
    let store = engine.store();
    group(store, "alice", &["bob", "carol", "dave"]).await;
    let unwritten = direct(store, "alice", "eve").await;
    direct(store, "bob", "frank").await;
    deactivate(store, "dave").await;
    let others: Vec<_> = ["bob", "carol", "dave", "eve", "frank", "nobody"].map(user).into();
    let sharing = async |of: &str| {
        let mut found = engine.store().sharing(&user(of), &others).await.unwrap();
        found.sort();
        found.into_iter().map(|user| user.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sharing("alice").await, ["bob", "carol"]);
    assert_eq!(sharing("stranger").await, Vec::<String>::new());
    store.record_activity(&[(unwritten, Activity { seq: 1, at: NOW })], NOW).await.unwrap();
    assert_eq!(sharing("alice").await, ["bob", "carol", "eve"]);
    assert!(store.sharing(&user("alice"), &[]).await.unwrap().is_empty());
    assert_eq!(sharing("dave").await, Vec::<String>::new());
}
