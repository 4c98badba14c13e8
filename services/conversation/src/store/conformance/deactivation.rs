use super::*;
use crate::domain::{Activity, DirectPair, Kind, Profile, Role, SystemEntry};
use crate::store::{Audience, ChangeId, StoredChangeKind};

fn named(id: &str) -> Profile {
    Profile { display_name: format!("Name of {id}"), email: format!("{id}@x"), ..Profile::bare(user(id)) }
}

async fn upsert<S: ConversationStore>(store: &S, ids: &[&str]) {
    store.upsert_users(&ids.iter().map(|id| named(id)).collect::<Vec<_>>(), NOW, encode_entry).await.unwrap();
}

async fn deactivate<S: ConversationStore>(store: &S, id: &str) -> bool {
    store.deactivate_user(&user(id), &LIMITS, NOW, encode_entry).await.expect("an open directory knows everybody")
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
    // Who reads it now has heard of the removals already.
    assert!(store.memberships(&bob, None, 10).await.unwrap().is_empty());
    let before = store.newest_change().await.unwrap();
    upsert(store, &["bob"]).await;
    let back = expected([(group_id, Added(bob.clone())), (direct_id, Added(bob)), (direct_id, ChangedFor(alice))]);
    assert_eq!(heard_since(before).await, back);
    // As whoever watches asks after the store was restored from a backup.
    let newest = store.newest_change().await.unwrap();
    assert!(store.changes_after(newest, 10).await.unwrap().is_some_and(|changes| changes.is_empty()));
    assert!(store.changes_after(ChangeId(newest.0 + 3), 10).await.unwrap().is_none());
    // Another write of an active profile is no change.
    let before = store.newest_change().await.unwrap();
    upsert(store, &["bob"]).await;
    assert_eq!(store.newest_change().await.unwrap(), before);
}

async fn roles<S: ConversationStore>(store: &S, id: ConversationId) -> Vec<(String, Role)> {
    let members = store.members(id, None, 10).await.unwrap();
    members.into_iter().map(|member| (member.user.to_string(), member.role)).collect()
}

fn named_roles<const N: usize>(of: [(&str, Role); N]) -> Vec<(String, Role)> {
    of.map(|(user, role)| (user.to_owned(), role)).into()
}

fn now_owner(id: &str) -> Vec<u8> {
    encode_entry(&SystemEntry::RoleChanged { user: user(id), role: Role::Owner })
}

pub(crate) async fn a_group_of_deactivated_owners_is_inherited<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob", "carol", "dave"]).await;
    let others = group(store, "dave", &["alice"]).await;
    let admin = GroupChange::SetRole { user: user("carol"), role: Role::Admin };
    change(store, id, "alice", admin).await.unwrap();
    // A plain member and an admin who are away leave nothing to inherit.
    deactivate(store, "dave").await;
    deactivate(store, "carol").await;
    assert_eq!(roles(store, others).await, named_roles([("alice", Role::Owner), ("dave", Role::Owner)]));
    let before = store.newest_change().await.unwrap();
    deactivate(store, "alice").await;
    // The oldest admin is away: the oldest active member inherits. Whoever is away keeps their role.
    let expected = [("alice", Role::Owner), ("bob", Role::Owner), ("carol", Role::Admin), ("dave", Role::Member)];
    assert_eq!(roles(&engine.second().await, id).await, named_roles(expected));
    let outbox = store.outbox(id, 10).await.unwrap();
    let last = outbox.last().expect("an entry");
    assert_eq!((last.version, last.actor.as_str(), &last.entry), (3, "alice", &now_owner("bob")));
    let found = store.authorize(&[(id, user("bob"))]).await.unwrap().remove(0).unwrap();
    assert_eq!((found.role, found.version), (Some(Role::Owner), 3));
    let heard = store.changes_after(before, 10).await.unwrap().unwrap();
    let changed = heard.iter().find(|change| change.kind == StoredChangeKind::Changed).expect("members hear of it");
    assert_eq!((changed.conversation, changed.version), (id, 3));
    // Again, and back again, it is nothing new.
    deactivate(store, "alice").await;
    upsert(store, &["alice", "carol"]).await;
    assert_eq!(roles(store, id).await, named_roles(expected));
    assert_eq!(store.outbox(id, 10).await.unwrap().len(), outbox.len());
}

pub(crate) async fn who_leaves_last_of_the_active_leaves_the_group_to_who_comes_back<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob", "carol"]).await;
    let admin = GroupChange::SetRole { user: user("carol"), role: Role::Admin };
    change(store, id, "alice", admin).await.unwrap();
    deactivate(store, "bob").await;
    deactivate(store, "carol").await;
    // Nobody could take a role away from the last one who is active.
    let demote = GroupChange::SetRole { user: user("alice"), role: Role::Member };
    assert_eq!(refusal(change(store, id, "alice", demote).await), Refusal::LastOwner);
    change(store, id, "alice", GroupChange::Leave).await.unwrap();
    assert_eq!(roles(store, id).await, named_roles([("bob", Role::Member), ("carol", Role::Admin)]));
    upsert(store, &["bob"]).await;
    assert_eq!(roles(store, id).await, named_roles([("bob", Role::Owner), ("carol", Role::Admin)]));
    let outbox = store.outbox(id, 10).await.unwrap();
    let last = outbox.last().expect("an entry");
    assert_eq!((last.version, last.actor.as_str(), &last.entry), (4, "bob", &now_owner("bob")));
    // Somebody looks after it: who comes back later is what they were.
    upsert(store, &["carol"]).await;
    assert_eq!(roles(store, id).await, named_roles([("bob", Role::Owner), ("carol", Role::Admin)]));
}

pub(crate) async fn a_strict_directory_takes_known_users_only<E: Engine>(engine: &E) {
    let store = engine.store();
    let strict = Limits { known_users_only: true, ..LIMITS };
    let nobody = |id: &str| Refusal::UserNotFound { user: user(id) };
    assert_eq!(refusal(store.deactivate_user(&user("bob"), &strict, NOW, encode_entry).await), nobody("bob"));
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

pub(crate) async fn owners_who_go_at_once_leave_the_group_to_somebody<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    for round in 0..10 {
        let [one, other, heir] = ["one", "other", "heir"].map(|name| format!("{name}-{round}"));
        let id = group(store, &one, &[&other, &heir]).await;
        let promoted = GroupChange::SetRole { user: user(&other), role: Role::Owner };
        change(store, id, &one, promoted).await.unwrap();
        let gone = async |store: &E::Store, id: &str| deactivate(store, id).await;
        assert_eq!(tokio::join!(gone(store, &one), gone(&second, &other)), (true, true));
        let found = roles(store, id).await.into_iter().find(|(user, _)| *user == heir);
        assert_eq!(found, Some((heir, Role::Owner)), "round {round}");
    }
}
