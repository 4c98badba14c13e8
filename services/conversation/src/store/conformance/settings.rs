use super::*;
use crate::domain::{Activity, Authorization, MemberSettings, Profile, Role};
use crate::store::{ListPage, NamePosition};

async fn set<S: ConversationStore>(store: &S, id: ConversationId, of: &str, update: SettingsUpdate) -> MemberSettings {
    store.update_settings(id, &user(of), &update, NOW).await.unwrap().expect("a member")
}

pub(crate) async fn settings_are_a_members_own_and_what_is_the_same_is_no_change<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let update = SettingsUpdate {
        pinned: Some(true),
        mute_until: Some(later(50)),
        archived: Some(true),
        nickname: Some("Œuvre".to_owned()),
        cleared_seq: Some(7),
    };
    let expected = MemberSettings {
        pinned: true,
        mute_until: Some(later(50)),
        archived: true,
        nickname: "Œuvre".to_owned(),
        cleared_seq: 7,
    };
    assert_eq!(set(store, id, "alice", update.clone()).await, expected);
    let newest = store.newest_change().await.unwrap();
    assert_eq!(set(store, id, "alice", update).await, expected);
    assert_eq!(
        set(store, id, "alice", SettingsUpdate { cleared_seq: Some(3), ..SettingsUpdate::default() }).await,
        expected
    );
    assert_eq!(store.newest_change().await.unwrap(), newest);
    let seen = async |of: &str| {
        let views = engine.second().await.conversations(&[id], &crate::domain::Viewer::User(user(of))).await.unwrap();
        views[0].own.clone().unwrap().settings
    };
    assert_eq!(seen("alice").await, expected);
    assert_eq!(seen("bob").await, MemberSettings::default());
    let nothing = SettingsUpdate { pinned: Some(true), ..SettingsUpdate::default() };
    assert_eq!(store.update_settings(id, &user("mallory"), &nothing, NOW).await.unwrap(), None);
}

pub(crate) async fn concurrent_updates_of_settings_lose_nothing<E: Engine>(engine: &E) {
    let second = engine.second().await;
    let id = group(engine.store(), "alice", &[]).await;
    let none = SettingsUpdate::default;
    let mut updates = vec![
        SettingsUpdate { pinned: Some(true), ..none() },
        SettingsUpdate { archived: Some(true), ..none() },
        SettingsUpdate { mute_until: Some(later(5)), ..none() },
        SettingsUpdate { nickname: Some("Chess".to_owned()), ..none() },
    ];
    updates.extend((0..20).map(|seq| SettingsUpdate { cleared_seq: Some(19 - seq), ..none() }));
    let calls = updates.into_iter().enumerate().map(|(call, update)| {
        let store = if call % 2 == 0 { engine.store() } else { &second };
        async move { set(store, id, "alice", update).await }
    });
    futures::future::join_all(calls).await;
    let settings = set(engine.store(), id, "alice", none()).await;
    let expected = MemberSettings {
        pinned: true,
        mute_until: Some(later(5)),
        archived: true,
        nickname: "Chess".to_owned(),
        cleared_seq: 19,
    };
    assert_eq!(settings, expected);
}

pub(crate) async fn what_was_cleared_outlives_the_stay<E: Engine>(engine: &E) {
    let store = engine.store();
    let id = group(store, "alice", &["bob"]).await;
    let clear = |seq| SettingsUpdate { cleared_seq: Some(seq), ..SettingsUpdate::default() };
    let cleared = async |of: &str| authorize(store, &[(id, of)]).await.remove(0).unwrap().cleared_seq;
    set(store, id, "bob", clear(9)).await;
    for seq in [12, 12] {
        change(store, id, "bob", GroupChange::Leave).await.unwrap();
        change(store, id, "alice", GroupChange::AddMembers(users(&["bob"]))).await.unwrap();
        assert!(cleared("bob").await >= 9);
        set(store, id, "bob", clear(seq)).await;
    }
    assert_eq!(cleared("bob").await, 12);
    assert_eq!(cleared("alice").await, 0);
}

async fn authorize<S: ConversationStore>(store: &S, pairs: &[(ConversationId, &str)]) -> Vec<Option<Authorization>> {
    let pairs: Vec<_> = pairs.iter().map(|(id, of)| (*id, user(of))).collect();
    store.authorize(&pairs).await.unwrap()
}

pub(crate) async fn many_pairs_are_answered_in_their_order<E: Engine>(engine: &E) {
    let store = engine.store();
    assert_eq!(authorize(store, &[]).await, []);
    let (one, other, peer) =
        (group(store, "alice", &["bob"]).await, group(store, "bob", &[]).await, direct(store, "alice", "carol").await);
    // Two stays, the older one first.
    change(store, one, "bob", GroupChange::Leave).await.unwrap();
    store.write_back(one, 2, 20, NOW).await.unwrap();
    change(store, one, "alice", GroupChange::AddMembers(users(&["bob"]))).await.unwrap();
    store.write_back(one, 3, 30, NOW).await.unwrap();
    let mut pairs =
        vec![(other, "alice"), (one, "bob"), (new_id(), "bob"), (peer, "carol"), (other, "bob"), (one, "bob")];
    for _ in 0..20 {
        pairs.push((one, "alice"));
    }
    let answers = authorize(store, &pairs).await;
    assert_eq!(answers.len(), pairs.len());
    let roles: Vec<_> = answers.iter().take(6).map(|found| found.as_ref().map(|found| found.role)).collect();
    let (none, member, owner) = (Some(None), Some(Some(Role::Member)), Some(Some(Role::Owner)));
    assert_eq!(roles, [none, member, None, member, owner, member]);
    assert_eq!(answers[1], answers[5]);
    let spans: Vec<_> = answers[1].as_ref().unwrap().spans.iter().map(|span| (span.from_seq, span.to_seq)).collect();
    assert_eq!(spans, [(1, Some(20)), (30, None)]);
    assert_eq!(answers[1].as_ref().unwrap().member_count, 2);
    assert!(answers[6..].iter().all(|found| found.as_ref().unwrap().role == Some(Role::Owner)));
}

fn named(id: &str, display_name: &str) -> Profile {
    Profile { display_name: display_name.to_owned(), ..Profile::bare(user(id)) }
}

pub(crate) async fn the_list_by_name_is_folded_and_paged<E: Engine>(engine: &E) {
    let store = engine.store();
    store.upsert_users(&[named("u1", "ÉMILE")], NOW, encode_entry).await.unwrap();
    let create = async |name: &str| {
        let group = NewGroup { name: name.to_owned(), ..new_group("alice", &[]) };
        store.create_group(&group, &request("alice"), &LIMITS, NOW, encode).await.unwrap();
        group.id
    };
    let mut expected = vec![
        ("anna", create("ANNA").await),
        ("émile", direct(store, "alice", "u1").await),
        ("nobody", direct(store, "alice", "Nobody").await),
    ];
    let renamed = create("Zoo").await;
    let update = crate::domain::ConversationUpdate { name: Some("Ärger".to_owned()), ..Default::default() };
    change(store, renamed, "alice", GroupChange::Update { update, etag: None }).await.unwrap();
    expected.push(("ärger", renamed));
    let nicknamed = direct(store, "alice", "u2").await;
    let nickname = SettingsUpdate { nickname: Some("  BOB ".to_owned()), ..SettingsUpdate::default() };
    set(store, nicknamed, "alice", nickname).await;
    expected.push(("bob", nicknamed));
    // The same name many times: the id decides.
    for _ in 0..5 {
        expected.push(("same", create("Same").await));
    }
    expected.sort();
    let (mut met, mut after): (Vec<NamePosition>, _) = (Vec::new(), None);
    loop {
        let page = ListPage { after, limit: 2, ..ListPage::default() };
        let page = store.list_by_name(&user("alice"), &page).await.unwrap();
        assert!(page.iter().all(|(view, position)| view.conversation.id == position.conversation));
        met.extend(page.iter().map(|(_, position)| position.clone()));
        after = met.last().cloned();
        if page.len() < 2 {
            break;
        }
    }
    let met: Vec<_> = met.iter().map(|position| (position.name_key.as_str(), position.conversation)).collect();
    assert_eq!(met, expected);
    // A new name of the peer shows at once.
    store.upsert_users(&[named("u1", "Zoë")], NOW, encode_entry).await.unwrap();
    let page = ListPage { limit: 100, kind: Some(crate::domain::Kind::Direct), ..ListPage::default() };
    let keys =
        store.list_by_name(&user("alice"), &page).await.unwrap().into_iter().map(|(_, position)| position.name_key);
    assert_eq!(keys.collect::<Vec<_>>(), ["bob", "nobody", "zoë"]);
}

pub(crate) async fn what_is_archived_or_cleared_is_not_in_the_list<E: Engine>(engine: &E) {
    let store = engine.store();
    let [plain, archived, cleared] = [(); 3].map(|()| group(store, "alice", &["bob"]));
    let (plain, archived, cleared) = (plain.await, archived.await, cleared.await);
    for id in [plain, archived, cleared] {
        store.record_activity(&[(id, Activity { seq: 5, at: NOW })], NOW).await.unwrap();
    }
    set(store, archived, "alice", SettingsUpdate { archived: Some(true), ..SettingsUpdate::default() }).await;
    set(store, cleared, "alice", SettingsUpdate { cleared_seq: Some(5), ..SettingsUpdate::default() }).await;
    let listed = async |of: &str, archived: bool| {
        let by_activity = ListPage { archived, limit: 10, ..ListPage::default() };
        let by_activity = store.list(&user(of), &by_activity).await.unwrap();
        let by_name = ListPage { archived, limit: 10, ..ListPage::default() };
        let by_name = store.list_by_name(&user(of), &by_name).await.unwrap();
        let mut ids: Vec<_> = by_activity.into_iter().map(|(view, _)| view.conversation.id).collect();
        let mut same: Vec<_> = by_name.into_iter().map(|(view, _)| view.conversation.id).collect();
        ids.sort();
        same.sort();
        assert_eq!(ids, same);
        ids
    };
    assert_eq!(listed("alice", false).await, [plain]);
    assert_eq!(listed("alice", true).await, [archived]);
    assert_eq!(listed("bob", false).await.len(), 3);
    // A member still, who hears of everything.
    assert_eq!(store.memberships(&user("alice"), None, 10).await.unwrap().len(), 3);
    store.record_activity(&[(cleared, Activity { seq: 6, at: NOW })], NOW).await.unwrap();
    assert_eq!(listed("alice", false).await.len(), 2);
}
