//! Frames that are calls of the services, tokens that are renewed, and what operators ask.

use std::time::Duration;

use super::ENCODING;
use crate::support::client::Heard;
use crate::support::{Gateway, eventually};
use serde_json::json;
use viberchat_kit::id::UserId;

#[tokio::test]
async fn each_frame_that_is_a_call_reaches_its_method() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let mut alice = gateway.ready("alice").await;
    for (frame, method) in [
        ("react", "add_reaction"),
        ("unreact", "remove_reaction"),
        ("pin", "pin_message"),
        ("unpin", "unpin_message"),
        ("listPinned", "list_pinned_messages"),
        ("markDelivered", "mark_delivered"),
        ("getMessage", "get_message"),
        ("deleteConversation", "delete_conversation"),
        ("blockUser", "block_user"),
        ("unblockUser", "unblock_user"),
        ("listBlocked", "list_blocked_users"),
    ] {
        let answer = alice.call(frame, json!({})).await;
        assert_eq!(answer["reply"], json!({frame: {}}), "{frame}");
        assert_eq!(gateway.world.0.lock().noted.pop(), Some(method));
    }
}

#[tokio::test]
async fn a_frame_of_the_other_encoding_is_none() {
    use futures::SinkExt as _;
    use tokio_websockets::Message;

    let gateway = Gateway::in_encoding(ENCODING).await;
    let mut alice = gateway.ready("alice").await;
    let text = Message::text(r#"{"id":9,"heartbeat":{}}"#);
    let binary = Message::binary(vec![0x08, 0x09, 0x2a, 0x00]);
    let foreign = if ENCODING == crate::support::client::Encoding::Json { binary } else { text };
    alice.socket.send(foreign).await.expect("the socket takes it");
    let frame = alice.frame().await;
    assert_eq!((&frame["error"]["reason"], frame.get("id")), (&json!("INVALID_ARGUMENT"), None), "{frame}");
    assert_eq!(alice.call("heartbeat", json!({})).await["reply"], json!({}), "the socket lives");
}

#[tokio::test]
async fn both_encodings_hear_the_same_entry() {
    use crate::support::client::{Client, Encoding};

    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut entries = Vec::new();
    let mut clients = Vec::new();
    for encoding in [Encoding::Json, Encoding::Proto] {
        let mut client = Client::connect(gateway.address, encoding).await;
        client.hello(&gateway.token("bob"), false).await;
        client.until_ready().await;
        clients.push(client);
    }
    gateway.world.append(group, "alice", "hello", "");
    for client in &mut clients {
        entries.push(client.push().await);
    }
    assert_eq!(entries[0]["entry"]["body"]["message"]["text"], "hello");
    assert_eq!(entries[0], entries[1]);
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_prolongs_the_session() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let mut alice = gateway.connect().await;
    // Ends when the tolerated skew of 5 s has passed.
    alice.hello(&gateway.token_for("alice", Duration::ZERO), false).await;
    alice.until_ready().await;
    assert!(alice.push().await.get("tokenExpires").is_some());
    for (token, reason) in [
        (gateway.token("bob"), "PERMISSION_DENIED"),
        ("nonsense".to_owned(), "UNAUTHENTICATED"),
        (gateway.token_for("alice", Duration::ZERO).replace('.', "x"), "UNAUTHENTICATED"),
    ] {
        let answer = alice.call("refreshToken", json!({"token": token})).await;
        assert_eq!(answer["error"]["reason"], reason);
    }
    let answer = alice.call("refreshToken", json!({"token": gateway.token("alice")})).await;
    assert!(answer["reply"]["refreshToken"]["tokenExpireTime"].is_string(), "{answer}");
    // An older one takes nothing away.
    let older = alice.call("refreshToken", json!({"token": gateway.token_for("alice", Duration::ZERO)})).await;
    assert_eq!(older["reply"], answer["reply"]);
    tokio::time::sleep(Duration::from_millis(5500)).await;
    assert_eq!(alice.call("heartbeat", json!({})).await["reply"], json!({}), "it outlived its first token");
}

#[tokio::test]
async fn signals_are_limited_for_each_session() {
    let change = |config: &mut viberchat_gateway::Config| {
        (config.signals_per_second_max, config.signals_burst_max) = (1, 3);
    };
    let gateway = Gateway::in_encoding_with(ENCODING, change).await;
    let mut alice = gateway.ready("alice").await;
    for _ in 0..3 {
        assert!(alice.call("focus", json!({})).await.get("reply").is_some());
    }
    for (frame, content) in [
        ("focus", json!({})),
        ("setTyping", json!({})),
        ("setStatus", json!({})),
        ("watchPresence", json!({"userIds": ["bob"]})),
        ("unwatchPresence", json!({})),
        ("refreshToken", json!({})),
    ] {
        let answer = alice.call(frame, content).await;
        assert_eq!(answer["error"]["reason"], "RATE_LIMITED", "{frame}");
        assert!(answer["error"]["retryAfterMs"].as_u64().expect("a time") >= 1);
    }
    assert_eq!(alice.call("heartbeat", json!({})).await["reply"], json!({}));
    let mut other = gateway.ready("alice").await;
    assert!(other.call("focus", json!({})).await.get("reply").is_some(), "each session has its own");
}

#[tokio::test]
async fn operators_see_sessions_and_end_them() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 1);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    let sessions = gateway.operations.sessions(None);
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].session_id < sessions[1].session_id);
    let id = UserId::parse("alice").expect("a good id");
    let of_alice = gateway.operations.sessions(Some(&id));
    let [session] = of_alice.as_slice() else { panic!("one session: {of_alice:?}") };
    assert_eq!((session.user_id.as_str(), session.device_id.as_str()), ("alice", "test"));
    assert_eq!((session.conversation_count, session.behind_count), (1, 0));
    assert!(session.subprotocol.starts_with("viberchat.v1."));
    assert!(session.connect_time.is_some() && session.token_expire_time.is_some());
    assert_eq!(gateway.operations.disconnect(&id), 1);
    assert_eq!(alice.closed().await, 4503);
    gateway.world.append(group, "alice", "nobody hears it", "");
    eventually("the session is gone", || gateway.operations.sessions(Some(&id)).is_empty()).await;
    assert_eq!(gateway.operations.disconnect(&id), 0);
    assert_eq!(bob.call("heartbeat", json!({})).await["reply"], json!({}), "the others stay");
}

#[tokio::test]
async fn a_drain_that_an_operator_asks_for_closes_all_and_takes_nobody() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.drain_ms = 100).await;
    let mut clients = [gateway.ready("alice").await, gateway.ready("bob").await];
    assert_eq!(gateway.operations.drain(), 2);
    for client in &mut clients {
        let mut told = false;
        loop {
            match client.hear().await {
                Heard::Frame(frame) => told |= frame["push"].get("goaway").is_some(),
                Heard::Closed(code) => break assert_eq!(code, 4001),
                Heard::Broken => panic!("broken off"),
            }
        }
        assert!(told);
    }
    assert!(gateway.try_connect().await.is_none(), "no socket is taken");
    assert!(gateway.stop().await.is_clean());
}
