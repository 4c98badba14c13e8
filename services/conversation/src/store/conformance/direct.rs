use std::collections::BTreeSet;

use super::*;
use crate::domain::{Activity, DirectPair};
use crate::store::ListPage;

pub(crate) async fn a_pair_has_one_direct_however_many_ask<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let pair = DirectPair::of(&alice, &bob);
    let ask = async |call: usize| {
        let store = if call.is_multiple_of(3) { &second } else { engine.store() };
        let creator = if call.is_multiple_of(2) { &alice } else { &bob };
        store.get_or_create_direct(new_id(), &pair, creator, &LIMITS, NOW).await.unwrap()
    };
    let answers = futures::future::join_all((0..64).map(ask)).await;
    assert_eq!(answers.iter().filter(|(_, created)| *created).count(), 1);
    let ids: BTreeSet<_> = answers.iter().map(|(view, _)| view.conversation.id).collect();
    assert_eq!(ids.len(), 1);
    for (view, _) in answers {
        let own = view.own.unwrap();
        assert!(own.peer == Some(alice.clone()) || own.peer == Some(bob.clone()));
        assert_eq!((view.conversation.member_count, view.conversation.version), (2, 0));
    }
}

pub(crate) async fn a_direct_is_in_the_list_of_its_creator_only_until_its_first_message<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = direct(store, "alice", "bob").await;
    let page = ListPage { limit: 10, ..ListPage::default() };
    assert_eq!(store.list(&user("alice"), &page).await.unwrap().len(), 1);
    assert_eq!(store.list(&user("bob"), &page).await.unwrap().len(), 0);
    assert_eq!(store.memberships(&user("bob"), None, 10).await.unwrap().len(), 0);
    let known = store.record_activity(&[(id, Activity { seq: 1, at: NOW })], NOW).await.unwrap();
    assert_eq!(known, [true]);
    assert_eq!(store.list(&user("bob"), &page).await.unwrap()[0].0.conversation.id, id);
    assert_eq!(store.memberships(&user("bob"), None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_refused_direct_leaves_nothing<E: Engine>(engine: &E) {
    let store = engine.store();
    direct(store, "alice", "bob").await;
    let (alice, carol) = (user("alice"), user("carol"));
    let pair = DirectPair::of(&alice, &carol);
    let one = Limits { user_conversations_max: 1, ..LIMITS };
    let refused = store.get_or_create_direct(new_id(), &pair, &alice, &one, NOW).await;
    assert!(matches!(refusal(refused), Refusal::LimitExceeded { .. }));
    // The pair was not taken by what was refused.
    let (_, created) = store.get_or_create_direct(new_id(), &pair, &alice, &LIMITS, NOW).await.unwrap();
    assert!(created);
}
