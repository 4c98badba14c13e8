//! Many clients at once, and slow ones.

use std::time::Duration;

use super::ENCODING;
use crate::support::client::number;
use crate::support::{Gateway, eventually};
use serde_json::json;

#[tokio::test]
async fn one_socket_too_many_on_the_way_is_told_to_come_later() {
    let change = |config: &mut viberchat_gateway::Config| {
        (config.handshakes_max, config.handshakes_waiting_max) = (1, 1);
    };
    let gateway = Gateway::in_encoding_with(ENCODING, change).await;
    let mut first = gateway.connect().await;
    let _second = gateway.connect().await;
    assert!(gateway.try_connect().await.is_none(), "two have no session yet");
    assert!(gateway.metric("viberchat_gateway_handshakes_refused_total") >= 1.0);
    first.hello(&gateway.token("alice"), false).await;
    first.until_ready().await;
    let mut third = gateway.connect().await;
    third.hello(&gateway.token("bob"), false).await;
    third.until_ready().await;
}

#[tokio::test]
async fn hellos_wait_for_their_turn() {
    let change = |config: &mut viberchat_gateway::Config| {
        (config.handshakes_max, config.handshake_turn_ms) = (1, 60_000);
    };
    let gateway = Gateway::in_encoding_with(ENCODING, change).await;
    gateway.world.0.lock().memberships_hang = true;
    let mut first = gateway.connect().await;
    first.hello(&gateway.token("alice"), false).await;
    let mut second = gateway.connect().await;
    let hello = json!({"token": gateway.token("bob"), "deviceId": "test"});
    let id = second.ask("hello", hello).await;
    // What comes behind the hello waits with it.
    let beat = second.ask("heartbeat", json!({})).await;
    eventually("the second waits", || gateway.metric("viberchat_gateway_handshakes_waiting") == 1.0).await;
    drop(first);
    let welcome = second.answer(id).await;
    assert_eq!(welcome["reply"]["welcome"]["userId"], "bob");
    assert_eq!(second.answer(beat).await["reply"], json!({}));
    assert_eq!(gateway.metric("viberchat_gateway_handshakes_waiting"), 0.0);
}

#[tokio::test]
async fn a_slow_handshake_gives_its_turn_to_the_next() {
    let change = |config: &mut viberchat_gateway::Config| {
        (config.handshakes_max, config.handshake_turn_ms) = (1, 200);
    };
    let gateway = Gateway::in_encoding_with(ENCODING, change).await;
    gateway.world.0.lock().memberships_hang = true;
    let mut first = gateway.connect().await;
    first.hello(&gateway.token("alice"), false).await;
    let mut second = gateway.connect().await;
    second.hello(&gateway.token("bob"), false).await;
    assert_eq!(first.call("heartbeat", json!({})).await["reply"], json!({}), "the first goes on");
}

#[tokio::test]
async fn a_slow_reader_loses_typing_first_and_never_an_entry() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut bob = gateway.ready("bob").await;
    bob.call("focus", json!({"conversationIds": [group.to_string()]})).await;
    bob.call("watchPresence", json!({"userIds": ["alice"]})).await;
    eventually("typing is followed", || gateway.world.follows_typing(group)).await;
    let text = "z".repeat(10_000);
    // More than the kernel keeps for a socket that is not read.
    for number in 1..=2000u64 {
        gateway.world.append(group, "alice", &text, "");
        if number % 20 == 0 {
            gateway.world.type_in(group, "alice", true);
            gateway.world.position(group, "alice", number);
            let status = if number % 40 == 0 { "busy" } else { "away" };
            let status = match status {
                "busy" => viberchat_proto::presence::v1::Status::Busy,
                _ => viberchat_proto::presence::v1::Status::Away,
            };
            gateway.world.set_status("alice", status);
        }
    }
    eventually("typing is shed", || gateway.metric("viberchat_gateway_typing_shed_total") > 0.0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let queued = gateway.operations.sessions(None).iter().map(|session| session.queued_bytes).max();
    assert!(queued.expect("a session") <= 256 * 1024, "{queued:?} bytes wait");
    let (mut last, mut typing, mut shed, mut read_seq, mut status) = (0, 0, 0, 0, String::new());
    let mut positions = 0;
    while last < 2000 || read_seq < 2000 || status != "STATUS_BUSY" || typing + shed < 100 {
        let push = bob.push().await;
        if push.get("entry").is_some() {
            assert_eq!(number(&push["entry"]["seq"]), last + 1);
            last += 1;
        }
        typing += u64::from(push.get("typing").is_some());
        shed += push["shed"]["typingCount"].as_u64().unwrap_or(0);
        for position in push["positions"]["positions"].as_array().into_iter().flatten() {
            positions += 1;
            assert!(number(&position["readSeq"]) > read_seq, "a position moved backwards");
            read_seq = number(&position["readSeq"]);
        }
        for presence in push["presence"]["presences"].as_array().into_iter().flatten() {
            status = presence["status"].as_str().unwrap_or_default().to_owned();
        }
    }
    assert_eq!(typing + shed, 100, "each is pushed or counted");
    assert!(shed > 0 && positions < 100, "{shed} typing notices shed, {positions} positions");
}
