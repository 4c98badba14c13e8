//! The client protocol: sends, pushes, resumes, memberships.

use super::ENCODING;
use crate::support::client::{number, send};
use crate::support::{Gateway, eventually};
use serde_json::json;
use viberchat_kit::id::ConversationId;

#[tokio::test]
async fn a_message_is_acknowledged_and_reaches_every_session() {
    let gateway = Gateway::in_encoding(ENCODING).await;
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
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.sends_per_second_max = 0).await;
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
    let gateway = Gateway::in_encoding(ENCODING).await;
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

#[tokio::test]
async fn what_the_stream_lost_is_filled_in_order() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut bob = gateway.ready("bob").await;
    gateway.world.append(group, "alice", "one", "");
    gateway.world.append_unheard(group, "alice", "two");
    gateway.world.append_unheard(group, "alice", "three");
    gateway.world.append(group, "alice", "four", "");
    assert_eq!(bob.entries(group, 4).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_broken_stream_of_entries_loses_nothing() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 2);
    let mut bob = gateway.ready("bob").await;
    gateway.world.append(group, "alice", "three", "");
    assert_eq!(bob.entries(group, 1).await, [3]);
    gateway.world.break_subscribe();
    for _ in 0..5 {
        gateway.world.append(group, "alice", "meanwhile", "");
    }
    eventually("the stream is opened anew", || gateway.world.follows(group)).await;
    gateway.world.append(group, "alice", "after", "");
    assert_eq!(bob.entries(group, 6).await, [4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_read_later() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut bob = gateway.ready("bob").await;
    gateway.world.0.lock().reads_fail = 2;
    gateway.world.append_unheard(group, "alice", "one");
    gateway.world.append(group, "alice", "two", "");
    assert_eq!(bob.entries(group, 2).await, [1, 2]);
}

#[tokio::test]
async fn a_resume_is_complete_or_says_so() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let behind = gateway.world.group(&["bob"], 30);
    let level = gateway.world.group(&["bob"], 4);
    let far = gateway.world.group(&["bob"], 700);
    let ahead = gateway.world.group(&["bob"], 4);
    let foreign = gateway.world.group(&["alice"], 4);
    let unnamed = gateway.world.group(&["bob"], 4);
    let mut bob = gateway.connect().await;
    bob.hello(&gateway.token("bob"), true).await;
    let cursor = |id: ConversationId, seq: u64| json!({"conversationId": id.to_string(), "seq": seq.to_string()});
    let cursors = json!([cursor(behind, 10), cursor(level, 4), cursor(far, 1), cursor(ahead, 9), cursor(foreign, 1)]);
    let answer = bob.call("resumePart", json!({"cursors": cursors})).await;
    assert_eq!(answer["reply"], json!({}));
    bob.call("resumeEnd", json!({})).await;
    let pushes = bob.until_ready().await;
    let resumed = |id: ConversationId| {
        let place = pushes.iter().position(|push| push["resumed"]["conversationId"] == id.to_string());
        let place = place.unwrap_or_else(|| panic!("no verdict in {pushes:?}"));
        (place, pushes[place]["resumed"].clone())
    };
    let (place, verdict) = resumed(behind);
    assert_eq!(verdict["complete"]["headSeq"], "30");
    let seqs: Vec<_> = pushes[..place].iter().filter(|push| push.get("entry").is_some()).collect();
    let seqs: Vec<_> = seqs.iter().map(|push| number(&push["entry"]["seq"])).collect();
    assert_eq!(seqs, (11..=30).collect::<Vec<_>>());
    assert_eq!(resumed(level).1["complete"]["headSeq"], "4");
    assert_eq!(resumed(far).1["gap"]["fromSeq"], "701");
    assert_eq!(resumed(ahead).1["reset"], json!({}));
    assert_eq!(resumed(foreign).1["reset"], json!({"removed": true}));
    let added: Vec<_> = pushes.iter().filter(|push| push.get("conversation").is_some()).collect();
    assert_eq!(added.len(), 1);
    assert_eq!(added[0]["conversation"]["conversationId"], unnamed.to_string());
    assert_eq!(added[0]["conversation"]["added"], json!({"headSeq": "4", "unreadCount": "4"}));
    gateway.world.append(far, "bob", "live", "");
    assert_eq!(bob.entries(far, 1).await, [701]);
}

#[tokio::test]
async fn live_entries_during_a_resume_keep_their_place() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["bob"], 400);
    let mut bob = gateway.connect().await;
    bob.hello(&gateway.token("bob"), true).await;
    bob.call("resumePart", json!({"cursors": [{"conversationId": group.to_string(), "seq": "0"}]})).await;
    bob.ask("resumeEnd", json!({})).await;
    for _ in 0..100 {
        gateway.world.append(group, "bob", "live", "");
        tokio::task::yield_now().await;
    }
    let mut seqs = Vec::new();
    while seqs.len() < 500 {
        let frame = bob.frame().await;
        if frame["push"].get("entry").is_some() {
            seqs.push(number(&frame["push"]["entry"]["seq"]));
        }
    }
    assert_eq!(seqs, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_joins_hears_of_it_and_who_is_removed_hears_nothing_more() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 3);
    let mut phone = gateway.ready("bob").await;
    let mut laptop = gateway.ready("bob").await;
    gateway.world.add_member(group, "bob");
    for session in [&mut phone, &mut laptop] {
        let event = session.push().await["conversation"].clone();
        assert_eq!(event["conversationId"], group.to_string());
        assert_eq!(event["added"]["headSeq"], "3");
    }
    gateway.world.append(group, "alice", "welcome", "");
    assert_eq!(phone.entries(group, 1).await, [4]);
    assert_eq!(laptop.entries(group, 1).await, [4]);
    gateway.world.change(group, "bob");
    assert_eq!(phone.push().await["conversation"]["changed"], json!({}));
    gateway.world.remove_member(group, "bob");
    gateway.world.append(group, "alice", "he is gone", "");
    assert_eq!(phone.push().await["conversation"]["removed"], json!({}));
    let other = gateway.world.group(&["alice"], 0);
    gateway.world.add_member(other, "bob");
    assert_eq!(phone.push().await["conversation"]["conversationId"], other.to_string(), "nothing came in between");
    gateway.world.add_member(group, "bob");
    assert_eq!(phone.push().await["conversation"]["added"]["headSeq"], "5");
    gateway.world.append(group, "alice", "welcome back", "");
    assert_eq!(phone.entries(group, 1).await, [6]);
}

#[tokio::test]
async fn a_removal_that_nobody_told_shows_when_the_stream_is_back() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 1);
    let mut bob = gateway.ready("bob").await;
    gateway.world.remove_member_unheard(group, "bob");
    gateway.world.break_memberships();
    let event = bob.push().await;
    assert_eq!(event["conversation"]["removed"], json!({}), "{event}");
    assert!(gateway.metric("viberchat_gateway_sockets") >= 1.0);
}

#[tokio::test]
async fn a_broken_stream_of_memberships_goes_on_where_it_was() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 1);
    let others = gateway.world.group(&["alice"], 1);
    let mut bob = gateway.ready("bob").await;
    let _alice = gateway.ready("alice").await;
    let snapshots = || gateway.world.0.lock().snapshots.len();
    let resumes = || gateway.world.0.lock().resumes.len();
    assert_eq!((snapshots(), resumes()), (2, 0));
    // Nothing happened meanwhile: nobody is told anything.
    gateway.world.break_memberships();
    eventually("both go on", || resumes() == 2).await;
    // What happened unheard is heard, once, and what comes later too.
    gateway.world.break_memberships();
    gateway.world.remove_member_unheard(group, "bob");
    gateway.world.add_member(others, "bob");
    eventually("both go on", || resumes() == 4).await;
    let mut heard = [bob.push().await, bob.push().await];
    heard.sort_by_key(|event| event["conversation"].get("added").is_some());
    assert_eq!(heard[0]["conversation"]["conversationId"], group.to_string(), "{heard:?}");
    assert_eq!(heard[0]["conversation"]["removed"], json!({}));
    assert_eq!(heard[1]["conversation"]["conversationId"], others.to_string());
    gateway.world.remove_member(others, "bob");
    assert_eq!(bob.push().await["conversation"]["removed"], json!({}));
    assert_eq!(snapshots(), 2, "nothing was loaded anew");
}

#[tokio::test]
async fn memberships_that_are_known_for_too_long_are_loaded_anew() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice", "bob"], 1);
    let mut bob = gateway.ready("bob").await;
    let _alice = gateway.ready("alice").await;
    // Of nobody but Bob: Alice is where the heartbeat says.
    gateway.world.change(group, "bob");
    assert!(bob.push().await["conversation"].get("changed").is_some());
    gateway.world.beat_memberships();
    gateway.world.change(group, "bob");
    assert!(bob.push().await["conversation"].get("changed").is_some());
    {
        let mut state = gateway.world.0.lock();
        (state.changes_since, state.snapshots) = (2, Vec::new());
    }
    gateway.world.break_memberships();
    eventually("both go on", || gateway.world.0.lock().resumes.len() == 2).await;
    // What is older is not known any more.
    gateway.world.0.lock().changes_since = 100;
    gateway.world.remove_member_unheard(group, "bob");
    gateway.world.break_memberships();
    assert_eq!(bob.push().await["conversation"]["removed"], json!({}));
    eventually("both are loaded anew", || gateway.world.0.lock().snapshots.len() == 2).await;
}

#[tokio::test]
async fn without_the_conversation_service_each_reader_is_checked_anew() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.membership_grace_ms = 100).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut bob = gateway.ready("bob").await;
    gateway.world.0.lock().memberships_hang = true;
    gateway.world.remove_member_unheard(group, "bob");
    // Again and again, so that the grace passes without news.
    for _ in 0..40 {
        gateway.world.break_memberships();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    gateway.world.append(group, "alice", "not for bob", "");
    eventually("the log was asked", || gateway.world.0.lock().reads > 0).await;
    let answer = bob.call("heartbeat", json!({})).await;
    assert_eq!(answer["reply"], json!({}));
    assert!(bob.pushes.iter().all(|push| push.get("entry").is_none()), "{:?}", bob.pushes);
}

#[tokio::test]
async fn positions_go_to_the_own_sessions_and_in_a_direct_to_the_other() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let direct = gateway.world.direct(["alice", "bob"], 5);
    let group = gateway.world.group(&["alice", "bob"], 5);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    gateway.world.position(group, "alice", 3);
    gateway.world.position(direct, "alice", 2);
    let of = |push: &serde_json::Value| push["positions"]["positions"].as_array().expect("positions").clone();
    let seen = of(&bob.push().await);
    assert_eq!(seen.len(), 1, "the group's is not bob's to see: {seen:?}");
    assert_eq!(seen[0]["conversationId"], direct.to_string());
    assert_eq!(seen[0]["readSeq"], "2");
    let mut own = Vec::new();
    while own.len() < 2 {
        own.extend(of(&alice.push().await));
    }
    // In any order: that of positions in different conversations is not promised.
    let mut conversations: Vec<_> = own.iter().map(|position| position["conversationId"].clone()).collect();
    conversations.sort_unstable_by_key(ToString::to_string);
    let mut expected = [json!(direct.to_string()), json!(group.to_string())];
    expected.sort_unstable_by_key(ToString::to_string);
    assert_eq!(conversations, expected);
}

#[tokio::test]
async fn sends_under_way_are_answered_unknown_when_the_service_is_lost() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 0);
    let mut alice = gateway.ready("alice").await;
    gateway.world.0.lock().sends_hang = true;
    let id = alice.ask("send", send(group, "m1", "hello")).await;
    eventually("the send has come", || gateway.world.0.lock().sends_unanswered > 0).await;
    gateway.world.break_sends();
    let answer = alice.answer(id).await;
    assert_eq!(answer["error"]["outcome"], "OUTCOME_UNKNOWN", "{answer}");
    gateway.world.0.lock().sends_hang = false;
    for attempt in 0.. {
        let answer = alice.call("send", send(group, "m1", "hello")).await;
        if answer.get("reply").is_some() {
            break;
        }
        assert_eq!(answer["error"]["outcome"], "OUTCOME_NOT_ATTEMPTED", "{answer}");
        assert!(attempt < 100, "the stream is never opened again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_waited_for() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.call_timeout_ms = 200).await;
    let group = gateway.world.group(&["alice"], 0);
    let mut alice = gateway.ready("alice").await;
    gateway.world.0.lock().sends_hang = true;
    let answer = alice.call("send", send(group, "m1", "hello")).await;
    assert_eq!(answer["error"]["reason"], "DEADLINE_EXCEEDED");
    assert_eq!(answer["error"]["outcome"], "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn a_user_who_sends_too_fast_is_told_to_wait() {
    let gateway =
        Gateway::in_encoding_with(ENCODING, |config| (config.sends_per_second_max, config.sends_burst_max) = (5, 5))
            .await;
    let group = gateway.world.group(&["alice"], 0);
    let mut alice = gateway.ready("alice").await;
    let mut last = json!(null);
    for number in 0..6 {
        last = alice.call("send", send(group, &format!("m{number}"), "hello")).await;
    }
    assert_eq!(last["error"]["reason"], "RATE_LIMITED");
    assert_eq!(last["error"]["outcome"], "OUTCOME_NOT_ATTEMPTED");
    assert!(last["error"]["retryAfterMs"].as_u64().expect("a time") >= 1);
}

#[tokio::test]
async fn lists_and_other_calls_are_answered_for_the_user() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 3);
    let foreign = gateway.world.group(&["bob"], 3);
    let mut alice = gateway.ready("alice").await;
    let id = json!({"conversationId": group.to_string()});
    let answer = alice.call("listMessages", id.clone()).await;
    assert_eq!(answer["reply"]["listMessages"]["messages"].as_array().expect("a page").len(), 3);
    let answer = alice.call("readLog", json!({"conversationId": group.to_string(), "limit": 2})).await;
    assert_eq!(answer["reply"]["readLog"]["headSeq"], "3");
    let answer = alice.call("markRead", json!({"conversationId": group.to_string(), "seq": "2"})).await;
    assert_eq!(answer["reply"]["markRead"]["unreadCount"], "1");
    let answer = alice.call("getConversation", id).await;
    assert_eq!(answer["reply"]["getConversation"]["conversation"]["conversationId"], group.to_string());
    let answer = alice.call("getHeads", json!({"conversationIds": [group.to_string(), foreign.to_string()]})).await;
    assert_eq!(answer["reply"]["getHeads"]["heads"].as_array().expect("heads").len(), 1);
    let answer = alice.call("getUsers", json!({"userIds": ["bob"]})).await;
    assert_eq!(answer["reply"]["getUsers"]["users"][0]["userId"], "bob");
    let answer = alice.call("listMessages", json!({"conversationId": foreign.to_string()})).await;
    assert_eq!(answer["error"]["reason"], "CONVERSATION_NOT_FOUND");
}

#[tokio::test]
async fn a_page_on_a_socket_is_cut_to_its_limit() {
    let gateway = Gateway::in_encoding(ENCODING).await;
    let group = gateway.world.group(&["alice"], 0);
    for _ in 0..100 {
        gateway.world.append(group, "alice", &"y".repeat(10_000), "");
    }
    let mut alice = gateway.ready("alice").await;
    let answer = alice.call("listMessages", json!({"conversationId": group.to_string(), "pageSize": 100})).await;
    let messages = answer["reply"]["listMessages"]["messages"].as_array().expect("a page").len();
    assert!((1..13).contains(&messages), "{messages} messages of 10 KiB");
}

#[tokio::test]
async fn one_more_session_than_allowed_closes_the_oldest() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.user_sessions_max = 2).await;
    let mut first = gateway.ready("alice").await;
    let mut second = gateway.ready("alice").await;
    let _third = gateway.ready("alice").await;
    assert_eq!(first.closed().await, 4503);
    assert_eq!(second.call("heartbeat", json!({})).await["reply"], json!({}));
}

#[tokio::test]
async fn what_nobody_needs_is_followed_no_longer() {
    let gateway = Gateway::in_encoding_with(ENCODING, |config| config.linger_ms = 100).await;
    let group = gateway.world.group(&["alice"], 1);
    let alice = gateway.ready("alice").await;
    assert!(gateway.world.follows(group) && gateway.world.watches("alice"));
    drop(alice);
    eventually("the user is let go", || !gateway.world.watches("alice")).await;
    eventually("the conversation is let go", || !gateway.world.follows(group)).await;
    let mut alice = gateway.ready("alice").await;
    gateway.world.append(group, "alice", "again", "");
    assert_eq!(alice.entries(group, 1).await, [2]);
}
