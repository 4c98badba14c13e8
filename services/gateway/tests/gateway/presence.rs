//! Focus, positions, typing and presence.

use super::ENCODING;
use crate::support::client::Client;
use crate::support::world::World;
use crate::support::{Gateway, eventually};
use serde_json::{Value, json};
use viberchat_kit::id::ConversationId;
use viberchat_proto::presence::v1::{SessionState, Status};

async fn focus(client: &mut Client, ids: &[ConversationId]) -> Value {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    client.call("focus", json!({"conversationIds": ids})).await
}

/// What is pushed before the answer to a heartbeat.
async fn pushed(client: &mut Client) -> Vec<Value> {
    client.call("heartbeat", json!({})).await;
    let pushes = std::mem::take(&mut client.pushes);
    pushes.into_iter().filter(|push| push.get("heartbeat").is_none()).collect()
}

#[tokio::test]
async fn typing_comes_for_directs_and_for_groups_on_the_screen() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let direct = gateway.world.direct(["alice", "bob"], 1);
    let group = gateway.world.group(&["alice", "bob", "carol"], 1);
    let mut bob = gateway.ready("bob").await;
    let mut carol = gateway.ready("carol").await;
    gateway.world.append(direct, "alice", "hello", "");
    assert_eq!(bob.entries(direct, 1).await, [2]);
    eventually("the direct's typing is followed", || gateway.world.follows_typing(direct)).await;
    assert!(!gateway.world.follows_typing(group), "nobody looks at the group");
    assert_eq!(focus(&mut bob, &[group]).await["reply"], json!({}));
    eventually("the group's typing is followed", || gateway.world.follows_typing(group)).await;
    gateway.world.type_in(group, "alice", true);
    gateway.world.type_in(direct, "alice", true);
    for id in [group, direct] {
        let expected = json!({"typing": {"conversationId": id.to_string(), "userId": "alice", "typing": true}});
        assert_eq!(bob.push().await, expected);
    }
    gateway.world.type_in(group, "bob", true);
    gateway.world.type_in(group, "alice", false);
    let ended = bob.push().await;
    assert_eq!(ended["typing"], json!({"conversationId": group.to_string(), "userId": "alice"}), "not one's own");
    assert!(pushed(&mut carol).await.is_empty(), "carol looks elsewhere");
    focus(&mut bob, &[]).await;
    eventually("the group's typing is let go", || !gateway.world.follows_typing(group)).await;
}

#[tokio::test]
async fn a_focus_ends_with_the_membership_and_begins_with_it() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 1);
    let mut bob = gateway.ready("bob").await;
    let _alice = gateway.ready("alice").await;
    focus(&mut bob, &[group]).await;
    gateway.world.position(group, "alice", 1);
    assert!(pushed(&mut bob).await.is_empty(), "it is not bob's conversation");
    assert!(!gateway.world.follows_typing(group));
    gateway.world.add_member(group, "bob");
    assert!(bob.push().await["conversation"].get("added").is_some());
    eventually("typing is followed", || gateway.world.follows_typing(group)).await;
    gateway.world.position(group, "alice", 1);
    assert_eq!(bob.push().await["positions"]["positions"][0]["userId"], "alice");
    gateway.world.remove_member(group, "bob");
    assert!(bob.push().await["conversation"].get("removed").is_some());
    eventually("typing is let go", || !gateway.world.follows_typing(group)).await;
    gateway.world.position(group, "alice", 1);
    gateway.world.append(group, "alice", "x", "");
    assert!(pushed(&mut bob).await.is_empty());
}

#[tokio::test]
async fn a_focus_that_is_too_wide_or_malformed_is_refused() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let mut bob = gateway.ready("bob").await;
    let ids: Vec<_> = (0..21).map(|number| ConversationId::from_bytes([number; 16])).collect();
    assert_eq!(focus(&mut bob, &ids).await["error"]["reason"], "INVALID_ARGUMENT");
    assert_eq!(focus(&mut bob, &ids[..20]).await["reply"], json!({}));
    let answer = bob.call("focus", json!({"conversationIds": ["x"]})).await;
    assert_eq!(answer["error"]["reason"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn typing_and_status_are_set_for_the_user() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let direct = gateway.world.direct(["alice", "bob"], 1);
    let mut alice = gateway.ready("alice").await;
    let typing = json!({"conversationId": direct.to_string(), "typing": true});
    assert!(!gateway.world.follows_typing(direct), "it is quiet");
    assert_eq!(alice.call("setTyping", typing.clone()).await["reply"], json!({"setTyping": {}}));
    assert_eq!(gateway.world.0.lock().presence.typed, [("alice".to_owned(), direct.to_string(), true)]);
    eventually("who types is followed", || gateway.world.follows_typing(direct)).await;
    let answer = alice.call("setStatus", json!({"status": "STATUS_BUSY"})).await;
    assert_eq!(answer["reply"]["setStatus"]["presence"]["status"], "STATUS_BUSY");
    gateway.world.0.lock().presence.is_down = true;
    let answer = alice.call("setTyping", typing).await;
    assert_eq!(answer["error"]["reason"], "STORE_UNAVAILABLE");
}

#[tokio::test]
async fn presence_is_a_snapshot_and_then_what_changes() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    gateway.world.set_status("alice", Status::Online);
    let mut phone = gateway.ready("bob").await;
    let mut laptop = gateway.ready("bob").await;
    let answer = phone.call("watchPresence", json!({"userIds": ["alice", "carol"]})).await;
    let snapshot = &answer["reply"]["watchPresence"]["presences"];
    assert_eq!(snapshot[0], json!({"userId": "alice", "status": "STATUS_ONLINE"}), "{answer}");
    assert_eq!(snapshot[1]["status"], "STATUS_OFFLINE");
    gateway.world.set_status("alice", Status::Away);
    let changed = phone.push().await;
    assert_eq!(changed["presence"]["presences"], json!([{"userId": "alice", "status": "STATUS_AWAY"}]));
    assert!(pushed(&mut laptop).await.is_empty(), "the laptop follows nobody");
    laptop.call("watchPresence", json!({"userIds": ["alice"]})).await;
    phone.call("unwatchPresence", json!({"userIds": ["alice", "carol", "unknown"]})).await;
    eventually("carol is let go", || !gateway.world.watches_presence("bob", "carol")).await;
    assert!(gateway.world.watches_presence("bob", "alice"), "the laptop still follows her");
    gateway.world.set_status("alice", Status::Busy);
    assert_eq!(laptop.push().await["presence"]["presences"][0]["status"], "STATUS_BUSY");
    assert!(pushed(&mut phone).await.is_empty());
    drop(laptop);
    eventually("alice is let go", || !gateway.world.watches_presence("bob", "alice")).await;
}

#[tokio::test]
async fn a_session_follows_so_many_users_and_no_more() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.watched_users_max = 3).await;
    let mut bob = gateway.ready("bob").await;
    bob.call("watchPresence", json!({"userIds": ["a", "b"]})).await;
    let answer = bob.call("watchPresence", json!({"userIds": ["b", "c", "d"]})).await;
    assert_eq!(answer["error"]["reason"], "LIMIT_EXCEEDED");
    assert!(!gateway.world.watches_presence("bob", "c"));
    let answer = bob.call("watchPresence", json!({"userIds": ["b", "c"]})).await;
    assert!(answer.get("reply").is_some(), "{answer}");
    for refused in [json!({}), json!({"userIds": [""]}), json!({"userIds": vec!["x"; 201]})] {
        assert_eq!(bob.call("watchPresence", refused).await["error"]["reason"], "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn without_the_presence_service_all_else_goes_on() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.call_timeout_ms = 300).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut bob = gateway.ready("bob").await;
    bob.call("watchPresence", json!({"userIds": ["alice"]})).await;
    gateway.world.0.lock().presence.is_down = true;
    gateway.world.break_presence();
    gateway.world.append(group, "alice", "one", "");
    assert_eq!(bob.entries(group, 1).await, [1]);
    let answer = bob.call("watchPresence", json!({"userIds": ["carol"]})).await;
    assert_eq!(answer["error"]["reason"], "STORE_UNAVAILABLE", "{answer}");
    let answer = bob.call("setStatus", json!({"status": "STATUS_BUSY"})).await;
    assert_eq!(answer["error"]["reason"], "STORE_UNAVAILABLE");
    gateway.world.0.lock().presence.is_down = false;
    eventually("alice is followed again", || gateway.world.watches_presence("bob", "alice")).await;
    assert!(!gateway.world.watches_presence("bob", "carol"), "what was refused is not followed");
    gateway.world.set_status("alice", Status::Online);
    loop {
        // The stream that begins anew brings what holds now first.
        if bob.push().await["presence"]["presences"][0]["status"] == "STATUS_ONLINE" {
            break;
        }
    }
    gateway.world.0.lock().presence.watch_hangs = true;
    let answer = bob.call("watchPresence", json!({"userIds": ["dave"]})).await;
    assert_eq!(answer["error"]["reason"], "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn sessions_are_reported_and_listed_anew() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let bob = gateway.ready("bob").await;
    let _alice = gateway.ready("alice").await;
    eventually("bob is reported", || gateway.world.reported("bob") == [SessionState::Active]).await;
    eventually("it beats", || gateway.world.0.lock().presence.heartbeats > 0).await;
    gateway.world.break_presence();
    eventually("all are listed anew", || gateway.world.0.lock().presence.lists == 2).await;
    eventually("both are there", || {
        !gateway.world.reported("bob").is_empty() && !gateway.world.reported("alice").is_empty()
    })
    .await;
    let incarnations = gateway.world.0.lock().presence.incarnations.clone();
    assert!(incarnations.len() == 2 && incarnations[0] == incarnations[1], "{incarnations:?}");
    drop(bob);
    eventually("bob is gone", || gateway.world.reported("bob").is_empty()).await;
    let world = gateway.world.clone();
    assert!(gateway.stop().await.is_clean());
    assert!(world.0.lock().presence.is_detached, "the gateway says good-bye");
}

#[tokio::test]
async fn who_types_when_the_presence_service_is_lost_types_no_more() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let direct = gateway.world.direct(["alice", "bob"], 1);
    let mut bob = gateway.ready("bob").await;
    gateway.world.position(direct, "bob", 1);
    assert!(bob.push().await.get("positions").is_some());
    eventually("typing is followed", || gateway.world.follows_typing(direct)).await;
    gateway.world.type_in(direct, "alice", true);
    assert_eq!(bob.push().await["typing"]["typing"], true);
    gateway.world.break_presence();
    let ended = bob.push().await;
    assert!(ended["typing"]["userId"] == "alice" && ended["typing"].get("typing").is_none(), "{ended}");
}

#[tokio::test]
async fn who_comes_into_a_conversation_sees_whom_they_could_not_see() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 1);
    gateway.world.set_status("alice", Status::Online);
    gateway.world.0.lock().presence.strangers.insert("alice".to_owned());
    let mut bob = gateway.ready("bob").await;
    let answer = bob.call("watchPresence", json!({"userIds": ["alice"]})).await;
    assert_eq!(answer["reply"]["watchPresence"]["presences"], json!([{"userId": "alice"}]));
    gateway.world.0.lock().presence.strangers.clear();
    gateway.world.add_member(group, "bob");
    let mut pushes = [bob.push().await, bob.push().await];
    pushes.sort_by_key(|push| push.get("presence").is_some());
    assert_eq!(pushes[1]["presence"]["presences"], json!([{"userId": "alice", "status": "STATUS_ONLINE"}]));
}

#[tokio::test]
async fn who_is_removed_and_who_stays_do_not_see_each_other_any_more() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob", "carol"], 0);
    let mut clients = Vec::new();
    for (watcher, watched) in [("alice", "bob"), ("bob", "alice")] {
        gateway.world.set_status(watched, Status::Online);
        let mut client = gateway.ready(watcher).await;
        client.call("watchPresence", json!({"userIds": [watched, "carol"]})).await;
        assert!(gateway.world.watches_presence(watcher, watched));
        clients.push(client);
    }
    // Alice removes Bob: he hears of the end of his membership, she of the entry.
    gateway.world.0.lock().presence.strangers.extend(["alice".to_owned(), "bob".to_owned()]);
    gateway.world.remove_member(group, "bob");
    gateway.world.append_removal(group, "alice", "bob");
    for (watcher, watched) in [("alice", "bob"), ("bob", "alice")] {
        eventually("it is checked", || !gateway.world.watches_presence(watcher, watched)).await;
    }
    for (mut client, watched) in clients.into_iter().zip(["bob", "alice"]) {
        let unknown = json!({"userId": watched});
        loop {
            let push = client.push().await;
            let said = push["presence"]["presences"].as_array().cloned().unwrap_or_default();
            if said.contains(&unknown) {
                break;
            }
        }
    }
    assert!(gateway.world.watches_presence("alice", "carol"), "she stays");
}

#[tokio::test]
async fn every_instance_is_told_of_all_sessions_and_one_that_was_away_is_told_anew() {
    let (one, other) = (World::default(), World::default());
    let gateway = Gateway::over(&[&one, &other]).await;
    let bob = gateway.ready("bob").await;
    for world in [&one, &other] {
        eventually("bob is reported", || world.reported("bob") == [SessionState::Active]).await;
    }
    let incarnation = |world: &World| world.0.lock().presence.incarnations.last().cloned();
    assert_ne!(incarnation(&one), incarnation(&other), "two links are never taken for one that comes again");

    other.0.lock().presence.is_down = true;
    other.break_presence();
    let _alice = gateway.ready("alice").await;
    drop(bob);
    eventually("the other one hears of it", || one.reported("bob").is_empty() && !one.reported("alice").is_empty())
        .await;
    assert!(other.reported("alice").is_empty(), "it is away");
    assert_eq!(one.0.lock().presence.lists, 1, "its stream goes on");

    other.0.lock().presence.is_down = false;
    eventually("it is told anew", || other.reported("alice") == [SessionState::Active]).await;
    assert!(other.reported("bob").is_empty());
    assert!(gateway.stop().await.is_clean());
    for world in [one, other] {
        assert!(world.0.lock().presence.is_detached, "the gateway says good-bye to all");
    }
}

#[tokio::test]
async fn presence_is_followed_at_another_instance_when_one_is_lost() {
    let (one, other) = (World::default(), World::default());
    let gateway = Gateway::over(&[&one, &other]).await;
    one.set_status("alice", Status::Online);
    other.set_status("alice", Status::Online);
    let mut bob = gateway.ready("bob").await;
    let answer = bob.call("watchPresence", json!({"userIds": ["alice"]})).await;
    assert_eq!(answer["reply"]["watchPresence"]["presences"][0]["status"], "STATUS_ONLINE", "{answer}");
    for _ in 0..2 {
        let (lost, left) = match one.watches_presence("bob", "alice") {
            true => (&one, &other),
            false => (&other, &one),
        };
        lost.0.lock().presence.is_down = true;
        lost.break_presence();
        eventually("alice is followed there", || left.watches_presence("bob", "alice")).await;
        lost.0.lock().presence.is_down = false;
    }
    assert!(pushed(&mut bob).await.iter().all(|push| push["presence"]["presences"][0]["status"] == "STATUS_ONLINE"));
}
