//! The client protocol over real sockets, against scripted services.

mod support;

use serde_json::json;
use support::Gateway;
use support::client::{number, send};

#[tokio::test]
async fn a_message_is_acknowledged_and_reaches_every_session() {
    let gateway = Gateway::start().await;
    let group = gateway.world.group(&["alice", "bob"], 3);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    let answer = alice.call("send", send(group, "m1", "hello")).await;
    assert_eq!(number(&answer["reply"]["send"]["message"]["seq"]), 4, "{answer}");
    let seen = bob.push().await;
    assert_eq!(number(&seen["entry"]["seq"]), 4);
    assert_eq!(seen["entry"]["body"]["message"]["text"], "hello");
    assert!(seen["entry"].get("requestId").is_none(), "the request id is the actor's: {seen}");
    let own = alice.push().await;
    assert_eq!(own["entry"]["requestId"], "m1");
    assert_eq!(gateway.world.0.lock().doors, [3], "the door is the socket");
    assert!(gateway.stop().await.is_clean());
}

#[tokio::test]
async fn pipelined_sends_keep_their_order() {
    let gateway = Gateway::with(|config| config.sends_per_second_max = 0).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    for number in 0..300 {
        alice.ask("send", send(group, &format!("m{number}"), &format!("text {number}"))).await;
    }
    let seqs = bob.entries(group, 300).await;
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    let texts: Vec<_> = gateway.world.0.lock().conversations[&group].log.iter().map(|e| e.request_id.clone()).collect();
    assert_eq!(texts, (0..300).map(|number| format!("m{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_send_says_why() {
    let gateway = Gateway::start().await;
    let group = gateway.world.group(&["alice"], 0);
    let mut alice = gateway.ready("alice").await;
    let answer = alice.call("send", send(group, "m1", " ")).await;
    assert_eq!(answer["error"]["reason"], "TEXT_EMPTY");
    assert_eq!(answer["error"]["outcome"], "OUTCOME_REJECTED");
    let stranger = gateway.world.group(&["bob"], 0);
    let answer = alice.call("send", send(stranger, "m2", "hello")).await;
    assert_eq!(answer["error"]["reason"], "CONVERSATION_NOT_FOUND");
    let answer = alice.call("edit", json!({"conversationId": group.to_string()})).await;
    assert_eq!(answer["error"]["reason"], "MESSAGE_NOT_FOUND");
}
