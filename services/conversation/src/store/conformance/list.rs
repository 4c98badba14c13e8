use super::*;
use crate::domain::{Activity, Kind, Viewer};
use crate::store::{ListPage, ListPosition};

async fn ids<S: ConversationStore>(store: &S, kind: Option<Kind>) -> Vec<ConversationId> {
    let page = ListPage { kind, limit: 100, ..ListPage::default() };
    store.list(&user("alice"), &page).await.unwrap().iter().map(|(view, _)| view.conversation.id).collect()
}

pub(crate) async fn the_list_is_pinned_first_then_by_activity<E: Engine>(engine: &E) {
    let store = engine.store();
    let first = group(store, "alice", &[]).await;
    let second = group(store, "alice", &[]).await;
    let peer = direct(store, "alice", "bob").await;
    let active = |id, seq, ms| [(id, Activity { seq, at: later(ms) })];
    store.record_activity(&active(first, 2, 30), NOW).await.unwrap();
    store.record_activity(&active(second, 2, 20), NOW).await.unwrap();
    store.record_activity(&active(peer, 1, 10), NOW).await.unwrap();
    assert_eq!(ids(store, None).await, [first, second, peer]);
    assert_eq!(ids(store, Some(Kind::Group)).await, [first, second]);
    assert_eq!(ids(store, Some(Kind::Direct)).await, [peer]);
    assert!(set_pinned(store, peer, &user("alice"), true).await);
    assert_eq!(ids(store, None).await, [peer, first, second]);
    store.record_activity(&active(second, 3, 40), NOW).await.unwrap();
    assert_eq!(ids(store, None).await, [peer, second, first]);
    set_pinned(store, peer, &user("alice"), false).await;
    assert_eq!(ids(store, None).await, [second, first, peer]);
    // One member's pin is nobody else's.
    set_pinned(store, peer, &user("bob"), true).await;
    assert_eq!(ids(store, None).await, [second, first, peer]);
}

pub(crate) async fn pages_of_the_list_hold_everything_once<E: Engine>(engine: &E) {
    let store = engine.store();
    let mut expected = Vec::new();
    for number in 0..25 {
        let id = group(store, "alice", &[]).await;
        // Many at the same moment, some of them pinned.
        let activity = Activity { seq: 2, at: later(number / 10) };
        store.record_activity(&[(id, activity)], NOW).await.unwrap();
        set_pinned(store, id, &user("alice"), number % 5 == 0).await;
        expected.push(id);
    }
    let (mut met, mut after): (Vec<ListPosition>, _) = (Vec::new(), None);
    loop {
        let page = store.list(&user("alice"), &ListPage { after, limit: 4, ..ListPage::default() }).await.unwrap();
        met.extend(page.iter().map(|(_, position)| *position));
        after = met.last().copied();
        if page.len() < 4 {
            break;
        }
    }
    let order = |position: &ListPosition| (position.pinned, position.list_at, position.conversation);
    assert!(met.windows(2).all(|two| order(&two[0]) > order(&two[1])), "{met:?}");
    let mut met: Vec<_> = met.iter().map(|position| position.conversation).collect();
    met.sort();
    expected.sort();
    assert_eq!(met, expected);
}

pub(crate) async fn the_greatest_seq_wins<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let newest = Activity { seq: 9, at: later(100) };
    for activity in [Activity { seq: 5, at: later(50) }, newest, Activity { seq: 7, at: later(900) }] {
        store.record_activity(&[(id, activity)], NOW).await.unwrap();
    }
    let view = store.conversations(&[id], &Viewer::User(user("bob"))).await.unwrap().remove(0);
    assert_eq!(view.conversation.activity, Some(newest));
    let page = ListPage { limit: 1, ..ListPage::default() };
    assert_eq!(store.list(&user("bob"), &page).await.unwrap()[0].1.list_at, newest.at);
}

pub(crate) async fn members_come_by_bytes_in_pages<E: Engine>(engine: &E) {
    let store = engine.store();
    let everybody = ["Zoe", "a", "a ", "alice", "b", "ä", "日", "🎉"];
    let others: Vec<_> = everybody.into_iter().filter(|id| *id != "alice").collect();
    let id = group(store, "alice", &others).await;
    let (mut met, mut after): (Vec<UserId>, Option<UserId>) = (Vec::new(), None);
    loop {
        let page = store.members(id, after.as_ref(), 3).await.unwrap();
        assert!(page.iter().all(|member| member.from_seq == Some(1) && member.joined_at == NOW));
        met.extend(page.into_iter().map(|member| member.user));
        if after.as_ref() == met.last() {
            break;
        }
        after = met.last().cloned();
    }
    assert_eq!(met.iter().map(UserId::as_str).collect::<Vec<_>>(), everybody);
}
