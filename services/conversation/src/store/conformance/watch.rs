use super::*;
use crate::domain::{Activity, Kind, Membership, Role};
use crate::store::{Audience, ChangeId, Pruned, Readers, StoredChange, StoredChangeKind};

async fn changes<S: ConversationStore>(store: &S, after: ChangeId) -> Vec<StoredChange> {
    store.changes_after(after, 100).await.unwrap().expect("nothing was pruned")
}

fn add(id: &str) -> GroupChange {
    GroupChange::AddMembers(users(&[id]))
}

pub(crate) async fn every_change_is_numbered_and_says_what_happened<E: Engine>(engine: &E) {
    use StoredChangeKind::{Added, Changed, ChangedFor, Joined, Removed};
    let store = engine.store();
    assert_eq!(store.newest_change().await.unwrap(), ChangeId(0));
    let group_id = group(store, "alice", &["bob"]).await;
    change(store, group_id, "alice", add("carol")).await.unwrap();
    store.write_back(group_id, 2, 5, NOW).await.unwrap();
    change(store, group_id, "alice", GroupChange::RemoveMember(user("carol"))).await.unwrap();
    store.write_back(group_id, 3, 6, NOW).await.unwrap();
    let direct_id = direct(store, "alice", "bob").await;
    for seq in 1..4 {
        store.record_activity(&[(direct_id, Activity { seq, at: NOW })], NOW).await.unwrap();
    }
    for pinned in [true, true, false] {
        set_pinned(store, group_id, &user("bob"), pinned).await;
    }
    let seen = changes(store, ChangeId(0)).await;
    assert!(seen.iter().zip(1..).all(|(change, id)| change.id == ChangeId(id)));
    let seen: Vec<_> = seen.into_iter().map(|c| (c.conversation, c.version, c.kind)).collect();
    let expected = [
        (group_id, 1, Joined),
        (group_id, 2, Changed),
        (group_id, 2, Joined),
        (group_id, 3, Removed(user("carol"), Role::Member, Kind::Group)),
        (group_id, 3, Changed),
        (direct_id, 0, Added(user("alice"))),
        (direct_id, 0, Added(user("bob"))),
        (group_id, 3, ChangedFor(user("bob"))),
        (group_id, 3, ChangedFor(user("bob"))),
    ];
    assert_eq!(seen, expected);
    assert_eq!(changes(store, ChangeId(8)).await.len(), 1);
    assert_eq!(store.changes_after(ChangeId(0), 2).await.unwrap().unwrap().len(), 2);
}

pub(crate) async fn changes_of_another_process_are_seen<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let before = engine.store().newest_change().await.unwrap();
    let id = group(&second, "alice", &[]).await;
    let seen = changes(engine.store(), before).await;
    assert_eq!((seen.len(), seen[0].conversation), (1, id));
    assert_eq!(engine.store().newest_change().await.unwrap(), seen[0].id);
}

pub(crate) async fn pruned_changes_are_said<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    for pinned in [true, false, true] {
        set_pinned(store, id, &user("bob"), pinned).await;
    }
    let newest = store.newest_change().await.unwrap();
    assert_eq!(newest, ChangeId(4));
    assert_eq!(store.prune(NOW, later(1), 2).await.unwrap(), Pruned { requests: 0, changes: 2 });
    assert_eq!(store.changes_after(ChangeId(0), 10).await.unwrap(), None);
    assert_eq!(store.changes_after(ChangeId(1), 10).await.unwrap(), None);
    assert_eq!(changes(store, ChangeId(2)).await.len(), 2);
    store.prune(NOW, later(1), 10).await.unwrap();
    assert_eq!(store.changes_after(ChangeId(3), 10).await.unwrap(), None);
    assert_eq!(changes(store, newest).await, []);
    // Numbers go on where they were.
    set_pinned(store, id, &user("bob"), false).await;
    assert_eq!(changes(store, newest).await[0].id, ChangeId(5));
}

pub(crate) async fn memberships_are_what_may_be_read_in_pages<E: Engine>(engine: &E) {
    let store = engine.store();
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(group(store, "alice", &["bob"]).await);
    }
    expected.push(direct(store, "bob", "carol").await);
    // Not these: not in the log yet, left, a direct of somebody else's without a message.
    pending_group(store, "alice", &["bob"]).await;
    let left = group(store, "alice", &["bob"]).await;
    change(store, left, "bob", GroupChange::Leave).await.unwrap();
    direct(store, "dave", "bob").await;
    expected.sort();
    let (mut met, mut after): (Vec<Membership>, _) = (Vec::new(), None);
    loop {
        let page = store.memberships(&user("bob"), after, 3).await.unwrap();
        let done = page.len() < 3;
        met.extend(page);
        after = met.last().map(|membership| membership.conversation);
        if done {
            break;
        }
    }
    assert_eq!(met.iter().map(|membership| membership.conversation).collect::<Vec<_>>(), expected);
    assert_eq!(met.iter().filter(|m| m.kind == Kind::Group && m.version == 1).count(), 7);
    assert!(met.iter().all(|membership| membership.role == Role::Member));
}

pub(crate) async fn readers_are_who_may_read_now<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    change(store, id, "alice", add("carol")).await.unwrap();
    let readers = async |audience: Audience| store.readers(id, &audience).await.unwrap().expect("it is there");
    let ids = |readers: Readers| readers.members.into_iter().map(|(user, _)| user.to_string()).collect::<Vec<_>>();
    let everybody = readers(Audience::Everybody).await;
    assert_eq!((everybody.kind, everybody.version), (Kind::Group, 2));
    assert!(everybody.members.contains(&(user("alice"), Role::Owner)));
    assert_eq!(ids(everybody), ["alice", "bob"]);
    assert_eq!(ids(readers(Audience::JoinedAt(2)).await), Vec::<String>::new());
    store.write_back(id, 2, 8, NOW).await.unwrap();
    assert_eq!(ids(readers(Audience::JoinedAt(2)).await), ["carol"]);
    assert_eq!(ids(readers(Audience::JoinedAt(1)).await), ["alice", "bob"]);
    assert_eq!(ids(readers(Audience::Everybody).await), ["alice", "bob", "carol"]);
    assert_eq!(ids(readers(Audience::User(user("carol"))).await), ["carol"]);
    assert_eq!(ids(readers(Audience::User(user("dave"))).await), Vec::<String>::new());
    assert_eq!(store.readers(new_id(), &Audience::Everybody).await.unwrap(), None);
}

pub(crate) async fn only_what_has_expired_is_thrown_away<E: Engine>(engine: &E) {
    let store = engine.store();
    for (number, expires_at) in [(0, later(10)), (1, later(20)), (2, later(30)), (3, later(40))] {
        let key = RequestKey { expires_at, ..request("alice") };
        let group = new_group("alice", &[&format!("user-{number}")]);
        store.create_group(&group, &key, &LIMITS, NOW, encode).await.unwrap();
    }
    let none = Timestamp::from_millis(0);
    assert_eq!(store.prune(later(9), none, 10).await.unwrap(), Pruned::default());
    assert_eq!(store.prune(later(30), none, 2).await.unwrap().requests, 2);
    assert_eq!(store.prune(later(30), none, 2).await.unwrap().requests, 1);
    assert_eq!(store.prune(later(30), none, 2).await.unwrap().requests, 0);
}
