//! What users may see of a log reaches them, and nothing else.

use super::ENCODING;
use crate::support::client::{Client, number};
use crate::support::{Gateway, eventually};
use serde_json::Value;
use viberchat_kit::id::ConversationId;

/// Seqs of the next entries, and whether each is hidden.
async fn entries(client: &mut Client, conversation: ConversationId, count: usize) -> Vec<(u64, bool)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let push = client.push().await;
        if push.get("conversation").is_some() {
            continue;
        }
        assert_eq!(push["entry"]["conversationId"], conversation.to_string(), "{push}");
        seen.push((number(&push["entry"]["seq"]), is_hidden(&push)));
    }
    seen
}

fn is_hidden(push: &Value) -> bool {
    push["entry"]["body"].get("hidden").is_some()
}

#[tokio::test]
async fn a_reaction_to_a_message_from_before_the_joining_is_hidden() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 3);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    gateway.world.add_member_without_history(group, "bob");
    let added = bob.push().await;
    assert_eq!(added["conversation"]["added"]["headSeq"], "4");
    gateway.world.react(group, "alice", 2);
    gateway.world.append(group, "alice", "for bob too", "");
    gateway.world.react(group, "alice", 6);
    gateway.world.react(group, "alice", 1);
    assert_eq!(entries(&mut bob, group, 4).await, [(5, true), (6, false), (7, false), (8, true)]);
    let all = entries(&mut alice, group, 5).await;
    assert_eq!(all, [(4, false), (5, false), (6, false), (7, false), (8, false)]);
}

#[tokio::test]
async fn what_a_user_may_see_is_asked_once() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 5);
    let mut bob = gateway.ready("bob").await;
    gateway.world.append(group, "alice", "six", "");
    gateway.world.react(group, "alice", 6);
    assert_eq!(entries(&mut bob, group, 2).await, [(6, false), (7, false)]);
    assert_eq!(gateway.world.0.lock().authorizations, 0, "the message came while bob was there");
    gateway.world.react(group, "alice", 2);
    assert_eq!(entries(&mut bob, group, 1).await, [(8, false)]);
    eventually("it is asked", || gateway.world.0.lock().authorizations == 1).await;
    // Until the answer is there, the log is read; after that it is not.
    let mut next = 9;
    let mut reads = gateway.world.0.lock().reads;
    loop {
        gateway.world.react(group, "alice", 2);
        assert_eq!(entries(&mut bob, group, 1).await, [(next, false)]);
        next += 1;
        let now = gateway.world.0.lock().reads;
        if now == reads {
            break;
        }
        reads = now;
        assert!(next < 1000, "the answer is never used");
    }
    assert_eq!(gateway.world.0.lock().authorizations, 1);
    gateway.world.change(group, "bob");
    assert!(bob.push().await["conversation"].get("changed").is_some());
    gateway.world.react(group, "alice", 2);
    assert_eq!(entries(&mut bob, group, 1).await, [(next, false)]);
    eventually("it is asked again", || gateway.world.0.lock().authorizations == 2).await;
}

#[tokio::test]
async fn a_session_that_begins_right_after_the_joining_hears_nothing_from_before() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 3);
    let _alice = gateway.ready("alice").await;
    eventually("the conversation is followed", || gateway.world.follows(group)).await;
    // The stream of entries lags behind: three entries of before, and the joining, come when bob is there already.
    for _ in 0..3 {
        gateway.world.append_unheard(group, "alice", "not for bob");
    }
    gateway.world.add_member_without_history_unheard(group, "bob");
    let mut bob = gateway.ready("bob").await;
    gateway.world.publish_from(group, 4);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(seq, _)| *seq < 7) {
        seen.extend(entries(&mut bob, group, 1).await);
    }
    assert_eq!(seen, [(4, true), (5, true), (6, true), (7, false)]);
}
