//! Where engines differ by nature, and must not.

use super::*;
use crate::domain::{Activity, ConversationUpdate, DirectPair, Profile, Viewer};
use crate::store::{Block, ListPage};

/// All but NUL, which is refused at the border.
const ODD: &str =
    "\u{1}\t\n\r\u{1f}'\"\\%_$1?{}[]\u{7f}\u{85}\u{a0}e\u{301}é\u{200d}\u{202e}\u{feff}\u{fffd}𐍈\u{10ffff}";

pub(crate) async fn texts_come_back_as_they_were<E: Engine>(engine: &E) {
    let store = engine.store();
    // Metadata takes every character.
    let metadata: Metadata =
        [("a\0b".to_owned(), format!("\0{ODD}")), (ODD.chars().take(20).collect(), "".into())].into();
    let group = NewGroup {
        name: ODD.to_owned(),
        description: format!(" {ODD} "),
        avatar_url: ODD.to_owned(),
        metadata: metadata.clone(),
        ..new_group("alice", &[])
    };
    let key = RequestKey { acting_service: Some(ODD.to_owned()), ..request("alice") };
    let first = store.create_group(&group, &key, &LIMITS, NOW, encode).await.unwrap();
    let second = engine.second().await;
    let again = second.create_group(&group, &key, &LIMITS, NOW, encode).await.unwrap();
    assert!(again.replayed && again.response == first.response);
    let seen = second.conversations(&[group.id], &Viewer::Service).await.unwrap().remove(0).conversation;
    assert_eq!((&seen.name, &seen.description, &seen.avatar_url), (&group.name, &group.description, &group.avatar_url));
    assert_eq!(seen.metadata, metadata);
    let nickname = SettingsUpdate { nickname: Some(ODD.to_owned()), ..SettingsUpdate::default() };
    store.update_settings(group.id, &user("alice"), &nickname, NOW).await.unwrap();
    let own = second.conversations(&[group.id], &Viewer::User(user("alice"))).await.unwrap().remove(0).own.unwrap();
    assert_eq!(own.settings.nickname, ODD);
    let profile = Profile {
        username: ODD.to_owned(),
        display_name: format!("x {ODD}"),
        avatar_url: ODD.to_owned(),
        email: ODD.to_owned(),
        ..Profile::bare(user("alice"))
    };
    store.upsert_users(std::slice::from_ref(&profile), NOW, encode_entry).await.unwrap();
    assert_eq!(second.users(&[user("alice")]).await.unwrap(), std::slice::from_ref(&profile));
    for query in ["x", "x \u{1}", &profile.sort_key()] {
        assert_eq!(second.search_users(query, None, 9).await.unwrap().len(), 1, "{query:?}");
    }
}

/// The same for the eye, for a folding or for a normalization, and other bytes.
const ALIKE: [&str; 12] = ["a", "A", "ä", "a\u{308}", "ß", "ss", "ﬁ", "fi", "i", "İ", "\u{200b}a", "a\u{200b}"];

pub(crate) async fn users_are_the_same_only_by_every_byte<E: Engine>(engine: &E) {
    let store = engine.store();
    let mut directs = BTreeSet::new();
    for one in ALIKE {
        directs.insert(direct(store, one, "peer").await);
        assert!(store.block_user(&user("blocker"), &user(one), &LIMITS, NOW).await.unwrap());
        let profile = Profile { display_name: format!("Name of {one}"), ..Profile::bare(user(one)) };
        store.upsert_users(&[profile], NOW, encode_entry).await.unwrap();
    }
    assert_eq!(directs.len(), ALIKE.len());
    let id = group(store, ALIKE[0], &ALIKE[1..]).await;
    let expected: Vec<_> = users(&ALIKE).into_iter().collect();
    let members = store.members(id, None, 100).await.unwrap();
    assert_eq!(members.into_iter().map(|member| member.user).collect::<Vec<_>>(), expected);
    let blocks = store.blocks(&user("blocker"), None, 100).await.unwrap();
    assert_eq!(blocks.into_iter().map(|Block { blocked, .. }| blocked).collect::<Vec<_>>(), expected);
    let names: BTreeSet<_> = store.users(&expected).await.unwrap().into_iter().map(|p| p.display_name).collect();
    assert_eq!(names.len(), ALIKE.len());
    // One request id, as many callers.
    let asked = request("nobody");
    for one in ALIKE {
        let key = RequestKey { caller: user(one), ..asked.clone() };
        assert!(!store.create_group(&new_group(one, &[]), &key, &LIMITS, NOW, encode).await.unwrap().replayed);
    }
    let shared = store.sharing(&user("a"), &expected).await.unwrap();
    assert_eq!(shared.len(), ALIKE.len(), "with oneself, too: the group is one's own");
}

pub(crate) async fn names_are_sorted_by_bytes<E: Engine>(engine: &E) {
    let store = engine.store();
    let names = ["_", "-a", "a b", "a-b", "a_b", "ab", "b", "z", "ä", "zz", "日", "𐍈", "\u{ffff}"];
    let mut expected: Vec<String> = Vec::new();
    for name in names {
        let group = NewGroup { name: name.to_owned(), ..new_group("alice", &[]) };
        store.create_group(&group, &request("alice"), &LIMITS, NOW, encode).await.unwrap();
        let profile = Profile { display_name: format!("x{name}"), ..Profile::bare(user(&format!("id of {name}"))) };
        store.upsert_users(&[profile], NOW, encode_entry).await.unwrap();
        expected.push(name.to_owned());
    }
    expected.sort();
    let page = ListPage { limit: 100, ..ListPage::default() };
    let listed = store.list_by_name(&user("alice"), &page).await.unwrap();
    assert_eq!(listed.into_iter().map(|(_, position)| position.name_key).collect::<Vec<_>>(), expected);
    let found = store.search_users("x", None, 100).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|profile| profile.display_name[1..].to_owned()).collect();
    assert_eq!(found, expected);
}

pub(crate) async fn times_are_kept_to_the_millisecond<E: Engine>(engine: &E) {
    let store = engine.store();
    for millis in [0, 1, 999, 1_700_000_000_123, 253_402_300_799_999] {
        let at = Timestamp::from_millis(millis);
        let peer = user(&format!("peer-{millis}"));
        let pair = DirectPair::of(&user("alice"), &peer);
        let (view, _) = store.get_or_create_direct(new_id(), &pair, &peer, &LIMITS, at).await.unwrap();
        assert_eq!(view.conversation.created_at, at);
        let id = view.conversation.id;
        store.record_activity(&[(id, Activity { seq: 1, at })], NOW).await.unwrap();
        let view = store.conversations(&[id], &Viewer::User(peer.clone())).await.unwrap().remove(0);
        assert_eq!(view.conversation.activity, Some(Activity { seq: 1, at }));
        let mute = SettingsUpdate { mute_until: Some(Timestamp::from_millis(millis + 1)), ..SettingsUpdate::default() };
        let settings = store.update_settings(id, &peer, &mute, NOW).await.unwrap().unwrap();
        assert_eq!(settings.mute_until, Some(Timestamp::from_millis(millis + 1)));
        let group = group(store, "alice", &[]).await;
        let update = ConversationUpdate { name: Some("New".to_owned()), ..ConversationUpdate::default() };
        let rename = GroupChange::Update { update, etag: None };
        store.change_group(group, &rename, &request("alice"), &LIMITS, at, encode).await.unwrap();
        assert_eq!(store.conversations(&[group], &Viewer::Service).await.unwrap()[0].conversation.updated_at, at);
    }
}
