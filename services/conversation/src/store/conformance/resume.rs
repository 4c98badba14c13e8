use std::collections::BTreeMap;

use viberchat_kit::id::SeededEntropy;

use super::*;
use crate::domain::{Activity, Kind, Membership, Role};
use crate::store::{ChangeId, MembershipChangeKind};

async fn missed<S: ConversationStore>(
    store: &S,
    of: &str,
    after: ChangeId,
) -> Vec<(MembershipChangeKind, ConversationId, u64)> {
    let (missed, newest) = store.missed_changes(&user(of), after, 100).await.unwrap().expect("all of it is known");
    assert_eq!(newest, store.newest_change().await.unwrap());
    assert!(missed.windows(2).all(|two| two[0].id < two[1].id), "{missed:?}");
    assert!(missed.iter().all(|change| after < change.id && change.id <= newest));
    missed.into_iter().map(|change| (change.kind, change.membership.conversation, change.membership.version)).collect()
}

fn add(id: &str) -> GroupChange {
    GroupChange::AddMembers(users(&[id]))
}

pub(crate) async fn what_was_missed_is_what_those_who_watched_heard<E: Engine>(engine: &E) {
    use MembershipChangeKind::{Added, Changed, Removed};
    let store = engine.store();
    let kept = group(store, "alice", &["bob"]).await;
    let left = group(store, "alice", &["bob"]).await;
    let back = group(store, "alice", &["bob"]).await;
    let begin = store.newest_change().await.unwrap();
    assert_eq!(missed(store, "bob", begin).await, []);
    // What others hear is none of Bob's.
    change(store, kept, "alice", add("carol")).await.unwrap();
    store.write_back(kept, 2, 20, NOW).await.unwrap();
    set_pinned(store, kept, &user("alice"), true).await;
    group(store, "alice", &["carol"]).await;
    change(store, left, "bob", GroupChange::Leave).await.unwrap();
    change(store, back, "bob", GroupChange::Leave).await.unwrap();
    store.write_back(back, 2, 20, NOW).await.unwrap();
    change(store, back, "alice", add("bob")).await.unwrap();
    store.write_back(back, 3, 30, NOW).await.unwrap();
    let new = group(store, "bob", &[]).await;
    // Not in the log yet: not heard of.
    pending_group(store, "bob", &[]).await;
    let peer = direct(store, "alice", "bob").await;
    store.record_activity(&[(peer, Activity { seq: 1, at: NOW })], NOW).await.unwrap();
    set_pinned(store, kept, &user("bob"), true).await;
    let expected = [
        (Changed, kept, 2),
        (Removed, left, 2),
        (Removed, back, 2),
        // What changed before Bob was back is none of his.
        (Added, back, 3),
        (Added, new, 1),
        (Added, peer, 0),
        (Changed, kept, 2),
    ];
    assert_eq!(missed(&engine.second().await, "bob", begin).await, expected);
    // From the middle on.
    let (all, newest) = store.missed_changes(&user("bob"), begin, 100).await.unwrap().unwrap();
    assert_eq!(missed(store, "bob", all[4].id).await, expected[5..]);
    assert_eq!(missed(store, "bob", newest).await, []);
    let membership = &all[1].membership;
    assert_eq!((membership.kind, membership.role), (Kind::Group, Role::Member));
    assert_eq!((all[5].membership.kind, all[5].membership.role), (Kind::Direct, Role::Member));
}

pub(crate) async fn what_was_missed_is_said_whole_or_not_at_all<E: Engine>(engine: &E) {
    let store = engine.store();
    let missed_changes = async |after: u64, limit: usize| {
        let missed = store.missed_changes(&user("bob"), ChangeId(after), limit).await.unwrap();
        missed.map(|(missed, newest)| (missed.len(), newest.0))
    };
    assert_eq!(missed_changes(0, 10).await, Some((0, 0)));
    // A number that was never given.
    assert_eq!(missed_changes(1, 10).await, None);
    let id = group(store, "alice", &["bob"]).await;
    for pinned in [true, false, true] {
        set_pinned(store, id, &user("bob"), pinned).await;
    }
    assert_eq!(missed_changes(0, 4).await, Some((4, 4)));
    assert_eq!(missed_changes(0, 3).await, None);
    assert_eq!(missed_changes(5, 10).await, None);
    store.prune(NOW, later(1), 2).await.unwrap();
    assert_eq!(missed_changes(1, 10).await, None);
    assert_eq!(missed_changes(2, 10).await, Some((2, 4)));
    store.prune(NOW, later(1), 10).await.unwrap();
    assert_eq!(missed_changes(3, 10).await, None);
    assert_eq!(missed_changes(4, 10).await, Some((0, 4)));
}

/// Whatever happens: the memberships at some moment and what was missed since make the memberships of now.
pub(crate) async fn what_was_missed_leads_from_any_moment_to_now<E: Engine>(engine: &E) {
    let store = engine.store();
    let mut seed = [0; 8];
    SystemEntropy.fill(&mut seed);
    let seed = u64::from_le_bytes(seed);
    let entropy = SeededEntropy::new(seed);
    let pick = |count: usize| {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize % count
    };
    let bob = user("bob");
    let (mut moments, mut ids) = (Vec::new(), vec![group(store, "alice", &["bob"]).await]);
    for _ in 0..120 {
        moments.push((store.newest_change().await.unwrap(), present(store).await));
        let id = ids[pick(ids.len())];
        let active = !is_deactivated(store).await;
        // Most are refused where they do not fit: all the better.
        match pick(12) {
            0 if active => ids.push(pending_group(store, "alice", &["bob"]).await),
            1 if active => ids.push(direct(store, "alice", "bob").await),
            2 if active => ids.push(direct(store, "bob", &format!("peer-{}", ids.len())).await),
            3 => drop(change(store, id, "alice", add("bob")).await),
            4 => drop(change(store, id, "alice", GroupChange::RemoveMember(bob.clone())).await),
            5 => drop(change(store, id, "bob", GroupChange::Leave).await),
            6 => drop(change(store, id, "alice", GroupChange::SetRole { user: bob.clone(), role: Role::Admin }).await),
            7 if pick(4) == 0 => drop(change(store, id, "alice", GroupChange::Delete).await),
            8 if pick(3) == 0 => drop(store.deactivate_user(&bob, &LIMITS, NOW, encode_entry).await.unwrap()),
            9 => store.upsert_users(&[crate::domain::Profile::bare(bob.clone())], NOW, encode_entry).await.unwrap(),
            10 => drop(store.record_activity(&[(id, Activity { seq: 1, at: NOW })], NOW).await.unwrap()),
            _ => {
                for entry in store.outbox(id, 1 + pick(3)).await.unwrap() {
                    store.write_back(id, entry.version, 10 * entry.version, NOW).await.unwrap();
                }
            }
        }
    }
    let now = present(store).await;
    for (since, mut known) in moments {
        let (missed, _) = store.missed_changes(&bob, since, 1_000).await.unwrap().expect("all of it is known");
        for change in missed {
            let membership = change.membership;
            known.remove(&membership.conversation);
            if change.kind != MembershipChangeKind::Removed {
                known.insert(membership.conversation, membership);
            }
        }
        assert_eq!(known, now, "since {since:?}, seed {seed}");
    }
}

async fn is_deactivated<S: ConversationStore>(store: &S) -> bool {
    store.users(&[user("bob")]).await.unwrap().first().is_some_and(|profile| profile.deactivated)
}

/// What Bob belongs to, as those who watch know it.
async fn present<S: ConversationStore>(store: &S) -> BTreeMap<ConversationId, Membership> {
    if is_deactivated(store).await {
        return BTreeMap::new();
    }
    let all = store.memberships(&user("bob"), None, 1_000).await.unwrap();
    all.into_iter().map(|membership| (membership.conversation, membership)).collect()
}
