use super::*;
use crate::domain::{DirectPair, LimitKind, Viewer};
use crate::store::{Block, ChangeId, StoredChangeKind};

async fn block<S: ConversationStore>(store: &S, of: &str, blocked: &str) -> bool {
    store.block_user(&user(of), &user(blocked), &LIMITS, NOW).await.expect("nothing is in the way")
}

async fn is_blocked<S: ConversationStore>(store: &S, id: ConversationId, of: &str) -> bool {
    store.authorize(&[(id, user(of))]).await.unwrap().remove(0).expect("it is there").blocked
}

pub(crate) async fn a_block_is_seen_by_both_and_known_to_one<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = direct(store, "alice", "bob").await;
    let other = direct(store, "alice", "carol").await;
    let shared = group(store, "alice", &["bob"]).await;
    assert!(block(store, "bob", "alice").await);
    assert!(!block(store, "bob", "alice").await);
    let second = engine.second().await;
    let knows = async |of: &str| {
        let views = second.conversations(&[id], &Viewer::User(user(of))).await.unwrap();
        views[0].own.clone().unwrap().peer_blocked
    };
    assert!(is_blocked(&second, id, "alice").await && is_blocked(&second, id, "bob").await);
    assert!(!is_blocked(&second, other, "alice").await && !is_blocked(&second, shared, "bob").await);
    assert!(knows("bob").await && !knows("alice").await);
    assert!(store.unblock_user(&user("bob"), &user("alice"), NOW).await.unwrap());
    assert!(!store.unblock_user(&user("bob"), &user("alice"), NOW).await.unwrap());
    assert!(!is_blocked(&second, id, "alice").await && !knows("bob").await);
}

pub(crate) async fn a_block_refuses_a_new_direct_only<E: Engine>(engine: &E) {
    let store = engine.store();
    let existing = direct(store, "alice", "bob").await;
    block(store, "alice", "bob").await;
    block(store, "alice", "carol").await;
    assert_eq!(direct(store, "bob", "alice").await, existing);
    let (alice, carol) = (user("alice"), user("carol"));
    let pair = DirectPair::of(&alice, &carol);
    for creator in [&alice, &carol] {
        let refused = store.get_or_create_direct(new_id(), &pair, creator, &LIMITS, NOW).await;
        assert_eq!(refusal(refused), Refusal::Blocked);
    }
    store.unblock_user(&alice, &carol, NOW).await.unwrap();
    let (_, created) = store.get_or_create_direct(new_id(), &pair, &carol, &LIMITS, NOW).await.unwrap();
    assert!(created, "the pair was not taken by what was refused");
}

pub(crate) async fn blocks_are_bounded_and_listed_in_pages<E: Engine>(engine: &E) {
    let store = engine.store();
    let limits = Limits { user_blocks_max: 7, ..LIMITS };
    let alice = user("alice");
    let everybody = ["Zoe", "a", "a ", "b", "ä", "日", "🎉"];
    for (number, blocked) in everybody.iter().rev().enumerate() {
        let at = later(i64::try_from(number).unwrap());
        assert!(store.block_user(&alice, &user(blocked), &limits, at).await.unwrap());
    }
    let full = Refusal::LimitExceeded { limit: LimitKind::UserBlocks, max: 7, user: None };
    assert_eq!(refusal(store.block_user(&alice, &user("c"), &limits, NOW).await), full);
    // The first time stays.
    assert!(!store.block_user(&alice, &user("🎉"), &limits, later(99)).await.unwrap());
    block(store, "bob", "alice").await;
    let (mut met, mut after): (Vec<Block>, Option<UserId>) = (Vec::new(), None);
    loop {
        let page = store.blocks(&alice, after.as_ref(), 3).await.unwrap();
        let done = page.len() < 3;
        met.extend(page);
        after = met.last().map(|block| block.blocked.clone());
        if done {
            break;
        }
    }
    assert_eq!(met.iter().map(|block| block.blocked.as_str()).collect::<Vec<_>>(), everybody);
    assert_eq!((met[6].at, met[0].at), (later(0), later(6)));
}

pub(crate) async fn a_change_of_a_block_is_told_to_the_direct<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = direct(store, "alice", "bob").await;
    let before = store.newest_change().await.unwrap();
    for _ in 0..2 {
        block(store, "alice", "bob").await;
    }
    store.unblock_user(&user("alice"), &user("bob"), NOW).await.unwrap();
    store.unblock_user(&user("alice"), &user("bob"), NOW).await.unwrap();
    // Nobody has a direct with Carol.
    block(store, "alice", "carol").await;
    let changes = store.changes_after(before, 10).await.unwrap().expect("nothing was pruned");
    let changes: Vec<_> = changes.into_iter().map(|c| (c.id, c.conversation, c.kind)).collect();
    let changed = |n| (ChangeId(before.0 + n), id, StoredChangeKind::Changed);
    assert_eq!(changes, [changed(1), changed(2)]);
}

pub(crate) async fn concurrent_blocks_through_two_processes_keep_the_limit<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let limits = Limits { user_blocks_max: 7, ..LIMITS };
    let calls = (0..24).map(|call| {
        let store = if call % 2 == 0 { engine.store() } else { &second };
        // Each is asked for twice.
        let blocked = user(&format!("user-{}", call / 2));
        async move { store.block_user(&user("alice"), &blocked, &limits, NOW).await }
    });
    let answers = futures::future::join_all(calls).await;
    let new = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
    let kept = second.blocks(&user("alice"), None, 100).await.unwrap().len();
    assert_eq!((new, kept), (7, 7));
}
