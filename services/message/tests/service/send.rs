use std::time::Duration;

use viberchat_kit::auth::Scope;
use viberchat_kit::error::{Outcome, Reason};
use viberchat_kit::rpc::with_deadline;
use viberchat_proto::message::v1::Door;
use viberchat_proto::types::v1::Role;

use crate::support::*;

#[tokio::test]
async fn a_message_is_acknowledged_with_its_place_and_read_back() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);

    let first = sent(&mut client, "alice", id, "m1", "hello").await;
    let second = sent(&mut client, "bob", id, "m1", "hi").await;

    assert_eq!((first.seq, first.message_no), (1, 1));
    assert_eq!((second.seq, second.message_no), (2, 2));
    assert_eq!(first.client_message_id, "m1");
    let entries = log(&mut client, "bob", id).await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].request_id, "", "another's request id is not shown");
    assert_eq!(entries[1].request_id, "m1");
    node.stop().await;
}

#[tokio::test]
async fn a_repeated_send_gives_the_first_result() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "hello").await;

    for known_seq in [None, Some(0), Some(1), Some(900)] {
        let mut again = message(id, "m1", "hello");
        again.known_seq = known_seq;
        let again = client.send_message(by("alice", again)).await.unwrap().into_inner();
        assert!(again.duplicate, "{known_seq:?}");
        assert_eq!(again.message.as_ref(), Some(&first));
    }
    assert_eq!(log(&mut client, "alice", id).await.len(), 1);
    // The id is the sender's: bob's m1 is another one.
    assert!(!send(&mut client, "bob", id, "m1", "hello").await.unwrap().duplicate);
}

#[tokio::test]
async fn a_repeated_send_is_found_after_a_restart_and_far_behind_the_window() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m0", "first").await;
    for n in 1..400 {
        let mut next = message(id, &format!("m{n}"), "text");
        next.known_seq = Some(n);
        client.send_message(by("alice", next)).await.unwrap();
    }
    let look_ups = node.metric("message_id_look_ups_total");
    assert_eq!(look_ups, 1.0, "only the first send came without a known seq");
    assert_eq!(send(&mut client, "alice", id, "m0", "first").await.unwrap().message, Some(first.clone()));
    node.stop().await;

    let node = world.node().await;
    let again = send(&mut node.client(), "alice", id, "m0", "first").await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.message, Some(first));
}

#[tokio::test]
async fn an_id_with_another_body_is_refused() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "hello").await;

    let error = assert_refused(send(&mut client, "alice", id, "m1", "other").await, Reason::IdempotencyKeyReused);
    assert_eq!(error.outcome, Outcome::Rejected);
    // One space of ids for all writes.
    let edit = edit(&mut client, "alice", id, &first.message_id, "m1", "other").await;
    assert_refused(edit, Reason::IdempotencyKeyReused);
    assert_eq!(log(&mut client, "alice", id).await.len(), 1);
}

#[tokio::test]
async fn the_same_send_from_many_calls_at_once_is_stored_once() {
    let world = World::new();
    let node = world.node().await;
    let client = node.client();
    let id = world.members.direct(["alice", "bob"]);

    let calls = (0..32).map(|_| {
        let mut client = client.clone();
        async move { send(&mut client, "alice", id, "m1", "hello").await.unwrap() }
    });
    let answers = futures::future::join_all(calls).await;

    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert!(answers.iter().all(|answer| answer.message == answers[0].message));
    assert_eq!(log(&mut client.clone(), "alice", id).await.len(), 1);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);

    assert_refused(send(&mut client, "alice", id, "m1", " \n").await, Reason::TextEmpty);
    let error = assert_refused(send(&mut client, "alice", id, "m1", &"x".repeat(16_385)).await, Reason::TextTooLong);
    assert_eq!(error.violations[0].field, "text");
    assert!(send(&mut client, "alice", id, "m1", &"x".repeat(16_384)).await.is_ok());
    for request_id in ["", "\u{7}", &"x".repeat(65)] {
        let error = assert_refused(send(&mut client, "alice", id, request_id, "t").await, Reason::InvalidArgument);
        assert_eq!(error.violations[0].field, "client_message_id");
    }
    let mut request = message(id, "m2", "t");
    request.conversation_id = "no id".to_owned();
    let error = assert_refused(client.send_message(by("alice", request)).await, Reason::InvalidArgument);
    assert_eq!(error.violations[0].field, "conversation_id");
}

#[tokio::test]
async fn strangers_and_those_whose_peer_is_gone_are_refused() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "hello").await;

    assert_refused(send(&mut client, "mallory", id, "m1", "hello").await, Reason::ConversationNotFound);
    world.members.set_peer_gone(id);
    // The answer of before serves for a second at most. Each try has an id of its own: a stored one stays a duplicate.
    let mut tries = 0;
    eventually("the answer about alice gets old", Duration::from_secs(3), async || {
        tries += 1;
        let probe = edit(&mut client, "alice", id, &first.message_id, &format!("e{tries}"), "hello").await;
        probe.is_err_and(|status| refusal(&status).reason == Reason::PeerGone)
    })
    .await;
    assert_refused(send(&mut client, "alice", id, "m2", "hello").await, Reason::PeerGone);
    assert!(!log(&mut client, "alice", id).await.is_empty(), "it stays readable");
    delete(&mut client, "alice", id, &first.message_id, "d1").await.unwrap();
}

#[tokio::test]
async fn a_member_whose_joining_is_not_in_the_log_yet_is_asked_to_wait() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.group(&[("alice", Role::Owner)]);

    let error = assert_refused(send(&mut client, "alice", id, "m1", "hello").await, Reason::MembershipPending);
    assert_eq!(error.outcome, Outcome::NotAttempted);
    world.members.joined(id, "alice", 1);
    sent(&mut client, "alice", id, "m1", "hello").await;
}

#[tokio::test]
async fn door_and_acting_service_say_how_a_message_came() {
    let world = World::new();
    let node = world.node().await;
    let id = world.members.direct(["alice", "bob"]);
    let mut gateway = node.client();
    let mut backend = node.client_as("shop", &[Scope::ActForUsers]);

    let mut request = message(id, "m1", "by socket");
    request.door = Door::Socket.into();
    let by_socket = gateway.send_message(by("alice", request)).await.unwrap().into_inner().message.unwrap();
    let by_backend = sent(&mut backend, "alice", id, "m2", "by a backend").await;

    assert_eq!((by_socket.door(), by_socket.acting_service.as_str()), (Door::Socket, ""));
    assert_eq!((by_backend.door(), by_backend.acting_service.as_str()), (Door::Grpc, "shop"));
}

#[tokio::test]
async fn a_call_whose_time_is_over_says_that_nothing_was_attempted() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut client, "alice", id, "m0", "so that alice is known").await;

    let request = with_deadline(by("alice", message(id, "m1", "late")), Duration::ZERO);
    assert_refused(client.send_message(request).await, Reason::DeadlineExceeded);
    assert_eq!(log(&mut client, "alice", id).await.len(), 1);
}

#[tokio::test]
async fn the_first_message_of_a_direct_is_announced_before_the_ack() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    world.members.activity_failures.store(1, std::sync::atomic::Ordering::SeqCst);

    let first = sent(&mut client, "alice", id, "m1", "hello").await;

    let told = world.members.activity.lock().clone();
    assert!(told.iter().any(|told| told.conversation_id == id.to_string() && told.seq == first.seq), "{told:?}");
    world.members.activity.lock().clear();
    assert!(send(&mut client, "alice", id, "m1", "hello").await.unwrap().duplicate);
    assert_eq!(world.members.activity.lock().len(), 1, "its repetition announces it again");
}

#[tokio::test]
async fn activity_is_told_at_most_once_in_an_interval_and_the_last_one_is_not_left_out() {
    let world = World::new();
    let node = world.node_with(|config| config.activity_interval_ms = 200).await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    for n in 0..20 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    eventually("the last message is told", Duration::from_secs(5), async || {
        world.members.activity.lock().last().is_some_and(|told| told.seq == 21)
    })
    .await;
    assert!(world.members.activity.lock().len() < 10, "{:?}", world.members.activity.lock());
}
