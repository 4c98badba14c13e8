//! What happens at once, through two processes.

use futures::future::join_all;

use super::*;
use crate::domain::{Activity, DirectPair, Profile, Role, Viewer};
use crate::store::{ChangeId, StoredChangeKind};

/// Writers of changes that are read meanwhile.
const WRITERS: usize = 10;
const WRITES: usize = 6;

pub(crate) async fn changes_read_while_others_commit_are_whole_and_in_order<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    let mut groups = Vec::new();
    for writer in 0..WRITERS {
        groups.push(group(store, &format!("user-{writer}"), &[]).await);
    }
    let begin = store.newest_change().await.unwrap();
    let writers = groups.iter().enumerate().map(|(writer, id)| {
        let (store, of) = (if writer % 2 == 0 { store } else { &second }, user(&format!("user-{writer}")));
        async move {
            for write in 0..WRITES {
                assert!(set_pinned(store, *id, &of, write % 2 == 0).await);
            }
        }
    });
    // Each reads on from where it was, as those who watch do, and asks for the newest now and then, as streams do.
    let reader = async |store: &E::Store| {
        let (mut after, mut seen) = (begin, Vec::new());
        while seen.len() < WRITERS * WRITES {
            let newest = store.newest_change().await.unwrap();
            let changes = store.changes_after(after, 7).await.unwrap().expect("nothing was pruned");
            assert!(!changes.is_empty() || newest <= after, "{newest:?} was given and is not there");
            for change in changes {
                assert_eq!(change.id, ChangeId(after.0 + 1), "a number is missing");
                after = change.id;
                seen.push((change.conversation, change.kind));
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let patience = std::time::Duration::from_secs(60);
    let race = async { tokio::join!(join_all(writers), reader(store), reader(&second)) };
    let (_, one, other) = tokio::time::timeout(patience, race).await.expect("every change is read");
    assert_eq!(one, other, "a number means the same to both");
    for (writer, id) in groups.iter().enumerate() {
        let of = StoredChangeKind::ChangedFor(user(&format!("user-{writer}")));
        let count = one.iter().filter(|(conversation, kind)| conversation == id && *kind == of).count();
        assert_eq!(count, WRITES);
    }
}

pub(crate) async fn a_reader_sees_a_change_whole<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    let id = pending_group(store, "alice", &[]).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let writer = async {
        for number in 0..30 {
            let add = GroupChange::AddMembers(users(&[&format!("user-{number}")]));
            change(store, id, "alice", add).await.unwrap();
        }
        done.store(true, Ordering::SeqCst);
    };
    // Each change adds one member: the version counts them.
    let reader = async {
        while !done.load(Ordering::SeqCst) {
            let found = second.authorize(&[(id, user("alice"))]).await.unwrap().remove(0).unwrap();
            assert_eq!(found.version, u64::from(found.member_count));
            let outbox = second.outbox(id, 100).await.unwrap().len() as u64;
            let view = second.conversations(&[id], &Viewer::Service).await.unwrap().remove(0).conversation;
            assert!(found.version <= outbox && outbox <= view.version, "{found:?} {outbox}");
            let members = second.members(id, None, 100).await.unwrap().len() as u64;
            assert!(view.version <= members, "{members}");
        }
    };
    tokio::join!(writer, reader);
}

pub(crate) async fn a_users_directs_keep_the_limit_however_many_are_made_at_once<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let limits = Limits { user_conversations_max: 7, ..LIMITS };
    let alice = user("alice");
    let calls = (0..24).map(|call| {
        let (store, peer) = (if call % 2 == 0 { engine.store() } else { &second }, user(&format!("user-{call}")));
        let (alice, limits) = (&alice, &limits);
        async move { store.get_or_create_direct(new_id(), &DirectPair::of(alice, &peer), alice, limits, NOW).await }
    });
    let made = join_all(calls).await.into_iter().filter(|made| matches!(made, Ok((_, true)))).count();
    let kept = second.memberships(&alice, None, 100).await.unwrap().len();
    assert_eq!((made, kept), (7, 7));
}

pub(crate) async fn pairs_that_cross_are_made_at_once<E: Engine>(engine: &E) {
    // Everybody with everybody, from both sides, through both processes.
    const USERS: usize = 8;
    let second = engine.second().await;
    let names: Vec<_> = (0..USERS).map(|number| user(&format!("user-{number}"))).collect();
    let calls = (0..USERS * USERS).map(|call| {
        let (creator, peer) = (&names[call / USERS], &names[call % USERS]);
        let store = if call % 3 == 0 { engine.store() } else { &second };
        let pair = DirectPair::of(creator, peer);
        async move {
            let found = store.get_or_create_direct(new_id(), &pair, creator, &LIMITS, NOW).await.unwrap();
            (pair.clone(), found.0.conversation.id, found.1)
        }
    });
    let answers = join_all(calls).await;
    let pairs: BTreeSet<_> = answers.iter().map(|(pair, id, _)| (pair.clone(), *id)).collect();
    let expected = USERS * (USERS + 1) / 2;
    assert_eq!(pairs.len(), expected, "one conversation for each pair");
    assert_eq!(answers.iter().filter(|(.., created)| *created).count(), expected);
}

pub(crate) async fn relays_that_compete_bring_each_entry_back_once<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    let id = pending_group(store, "alice", &["bob", "carol"]).await;
    for number in 0..5 {
        change(store, id, "alice", GroupChange::AddMembers(users(&[&format!("user-{number}")]))).await.unwrap();
    }
    let before = store.newest_change().await.unwrap();
    let relay = async |store: &E::Store| {
        while let Some(entry) = store.outbox(id, 1).await.unwrap().pop() {
            store.write_back(id, entry.version, 10 * entry.version, NOW).await.unwrap();
        }
    };
    tokio::join!(relay(store), relay(&second), relay(store), relay(&second));
    let changes = store.changes_after(before, 100).await.unwrap().unwrap();
    let joined: Vec<_> = changes.iter().filter(|c| c.kind == StoredChangeKind::Joined).map(|c| c.version).collect();
    assert_eq!(joined, [1, 2, 3, 4, 5, 6]);
    let spans = second.authorize(&[(id, user("user-4"))]).await.unwrap().remove(0).unwrap().spans;
    assert_eq!(spans.iter().map(|span| (span.from_seq, span.to_seq)).collect::<Vec<_>>(), [(60, None)]);
}

/// Everything that writes, on the same few users and conversations: nothing fails, whatever waits for what.
pub(crate) async fn whatever_is_done_at_once_is_done<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    let names: Vec<_> = (0..6).map(|number| format!("user-{number}")).collect();
    let name = |number: usize| names[number % names.len()].as_str();
    let mut groups = Vec::new();
    for number in 0..3 {
        groups.push(group(store, name(number), &[name(number + 1), name(number + 2)]).await);
    }
    let calls = (0..240).map(|call| {
        let (store, groups, names, name) = (if call % 2 == 0 { store } else { &second }, &groups, &names, &name);
        let (one, other) = (user(name(call / 5)), user(name(call / 7 + 1)));
        let id = groups[call / 11 % groups.len()];
        async move {
            match call % 12 {
                0 | 1 => {
                    let pair = DirectPair::of(&one, &other);
                    store.get_or_create_direct(new_id(), &pair, &one, &LIMITS, NOW).await.map(drop)
                }
                2 => store.block_user(&one, &other, &LIMITS, NOW).await.map(drop),
                3 => store.unblock_user(&one, &other, NOW).await.map(drop).map_err(ChangeError::from),
                4 => {
                    let mut profiles: Vec<_> = names.iter().map(|name| Profile::bare(user(name))).collect();
                    profiles.rotate_left(call % 6);
                    store.upsert_users(&profiles, NOW, encode_entry).await.map_err(ChangeError::from)
                }
                5 => store.deactivate_user(&one, &LIMITS, NOW, encode_entry).await.map(drop),
                6 => change(store, id, one.as_str(), GroupChange::AddMembers([other].into())).await.map(drop),
                7 => change(store, id, one.as_str(), GroupChange::Leave).await.map(drop),
                8 => {
                    let role = GroupChange::SetRole { user: other, role: Role::Admin };
                    change(store, id, one.as_str(), role).await.map(drop)
                }
                9 => {
                    let update = SettingsUpdate { cleared_seq: Some(call as u64), ..SettingsUpdate::default() };
                    store.update_settings(id, &one, &update, NOW).await.map(drop).map_err(ChangeError::from)
                }
                10 => {
                    let mut ids = groups.clone();
                    ids.rotate_left(call % 3);
                    let activity = Activity { seq: call as u64, at: NOW };
                    let all: Vec<_> = ids.into_iter().map(|id| (id, activity)).collect();
                    store.record_activity(&all, NOW).await.map(drop).map_err(ChangeError::from)
                }
                _ => {
                    let waiting = store.outbox(id, 10).await?;
                    for entry in waiting {
                        store.write_back(id, entry.version, 10 * entry.version, NOW).await?;
                    }
                    store.prune(NOW, later(-1), 10).await.map(drop).map_err(ChangeError::from)
                }
            }
        }
    });
    for (call, result) in join_all(calls).await.into_iter().enumerate() {
        assert!(matches!(result, Ok(()) | Err(ChangeError::Refused(_))), "call {call}, {}: {result:?}", call % 12);
    }
}

pub(crate) async fn what_was_cleared_at_the_moment_of_leaving_is_kept<E: Engine>(engine: &E) {
    let (store, second) = (engine.store(), engine.second().await);
    let bob = user("bob");
    for round in 1..20 {
        let id = group(store, "alice", &["bob"]).await;
        let clear = SettingsUpdate { cleared_seq: Some(round), ..SettingsUpdate::default() };
        let (cleared, left) =
            tokio::join!(second.update_settings(id, &bob, &clear, NOW), change(store, id, "bob", GroupChange::Leave));
        left.unwrap();
        let expected = if cleared.unwrap().is_some() { round } else { 0 };
        change(store, id, "alice", GroupChange::AddMembers(users(&["bob"]))).await.unwrap();
        let found = store.authorize(&[(id, bob.clone())]).await.unwrap().remove(0).unwrap();
        assert_eq!(found.cleared_seq, expected);
    }
}

pub(crate) async fn who_comes_back_at_the_moment_of_a_deactivation_has_all_or_nothing<E: Engine>(engine: &E) {
    use StoredChangeKind::{Added, Removed};
    let (store, second) = (engine.store(), engine.second().await);
    for round in 0..12 {
        let name = format!("user-{round}");
        let of = user(&name);
        group(store, &name, &[]).await;
        let before = store.newest_change().await.unwrap();
        let profiles = [Profile::bare(of.clone())];
        let (gone, back) = tokio::join!(
            second.deactivate_user(&of, &LIMITS, NOW, encode_entry),
            store.upsert_users(&profiles, NOW, encode_entry)
        );
        back.unwrap();
        assert!(gone.unwrap());
        let changes = store.changes_after(before, 10).await.unwrap().unwrap();
        let heard: Vec<_> = changes.into_iter().map(|change| change.kind).collect();
        // What they heard last is how it is.
        let last_heard = match heard.as_slice() {
            [Removed(..)] => true,
            [Removed(..), Added(_)] => false,
            other => panic!("{other:?}"),
        };
        assert_eq!(store.users(&[of]).await.unwrap()[0].deactivated, last_heard);
    }
}
