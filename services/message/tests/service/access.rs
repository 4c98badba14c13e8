use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use viberchat_kit::auth::Scope;
use viberchat_kit::error::Reason;
use viberchat_kit::rpc::with_deadline;
use viberchat_proto::message::v1 as proto;
use viberchat_proto::types::v1::Role;

use crate::support::*;

/// Every call that names a conversation, as `user`. The reasons in the order of the methods; `None`: it was answered.
async fn all_calls(client: &mut Client, user: &str, id: &str, message_id: &str) -> Vec<(&'static str, Option<Reason>)> {
    let reason = |status: tonic::Status| refusal(&status).reason;
    let conversation_id = id.to_owned();
    let message_id = message_id.to_owned();
    let request_id = format!("{user}-{message_id}");
    let mut all = Vec::new();
    macro_rules! call {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
            let request = proto::$request { conversation_id: conversation_id.clone(), $($field: $value,)* };
            all.push((stringify!($method), client.$method(by(user, request)).await.err().map(reason)));
        };
    }
    call!(
        send_message,
        SendMessageRequest {
            client_message_id: request_id.clone(),
            text: "t".to_owned(),
            known_seq: None,
            keep_read_position: false,
            door: 0,
            reply_to_message_id: String::new(),
            mentioned_user_ids: Vec::new(),
            metadata: None,
        }
    );
    let edit_id = format!("e{}", &request_id[..20]);
    call!(
        edit_message,
        EditMessageRequest {
            message_id: message_id.clone(),
            text: "t".to_owned(),
            request_id: edit_id,
            known_seq: None,
            mentioned_user_ids: Vec::new(),
        }
    );
    let of_write = |kind: &str| format!("{kind}{}", &request_id[..20]);
    call!(
        add_reaction,
        AddReactionRequest {
            message_id: message_id.clone(),
            emoji: "+1".to_owned(),
            request_id: of_write("r"),
            known_seq: None
        }
    );
    call!(
        remove_reaction,
        RemoveReactionRequest {
            message_id: message_id.clone(),
            emoji: "+1".to_owned(),
            request_id: of_write("u"),
            known_seq: None
        }
    );
    call!(
        pin_message,
        PinMessageRequest { message_id: message_id.clone(), request_id: of_write("p"), known_seq: None }
    );
    call!(
        unpin_message,
        UnpinMessageRequest { message_id: message_id.clone(), request_id: of_write("q"), known_seq: None }
    );
    call!(list_pinned_messages, ListPinnedMessagesRequest { page_size: 0, page_token: String::new() });
    call!(mark_delivered, MarkDeliveredRequest { seq: 1 });
    call!(get_message, GetMessageRequest { message_id: message_id.clone() });
    call!(list_messages, ListMessagesRequest { page_size: 0, page_token: String::new(), anchor: None });
    call!(read_log, ReadLogRequest { after_seq: 0, limit: 0, bytes_max: 0 });
    call!(mark_read, MarkReadRequest { seq: 1 });
    call!(list_positions, ListPositionsRequest { page_size: 0, page_token: String::new() });
    let delete_id = format!("d{}", &request_id[..20]);
    call!(
        delete_message,
        DeleteMessageRequest { message_id: message_id.clone(), request_id: delete_id, known_seq: None }
    );
    all
}

#[tokio::test]
async fn a_stranger_learns_nothing_by_any_call() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let message = sent(&mut client, "alice", id, "m1", "hello").await.message_id;
    let nowhere = "0190a5e6-7b1c-7d3e-9f00-000000000000";

    let stranger = all_calls(&mut client, "mallory", &id.to_string(), &message).await;
    let unknown = all_calls(&mut client, "mallory", nowhere, &message).await;
    assert!(stranger.iter().all(|(_, reason)| *reason == Some(Reason::ConversationNotFound)), "{stranger:?}");
    assert_eq!(stranger, unknown, "as if there were no such conversation");
    let member = all_calls(&mut client, "alice", &id.to_string(), &message).await;
    assert!(member.iter().all(|(_, reason)| reason.is_none()), "{member:?}");
}

#[tokio::test]
async fn a_removed_member_is_refused_by_every_call_within_a_second_of_the_commit() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let message = sent(&mut client, "bob", id, "m1", "hello").await.message_id;

    world.members.remove(id, "bob");
    // The second that the contract allows: afterwards every call is refused, without a second try.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = all_calls(&mut client, "bob", &id.to_string(), &message).await;
    assert!(refused.iter().all(|(_, reason)| *reason == Some(Reason::ConversationNotFound)), "{refused:?}");
}

#[tokio::test]
async fn no_entry_of_a_removed_member_follows_their_removal() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let members = [("alice", Role::Owner), ("bob", Role::Member)];
    let id = create_group(&world, &mut client, &members).await;
    let mut sender = client.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let sending = async {
        let mut n = 0;
        while !stopped.load(Ordering::SeqCst) {
            n += 1;
            let _ = send(&mut sender, "bob", id, &format!("m{n}"), "text").await;
            tokio::task::yield_now().await;
        }
    };
    let removing = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(4)).await;
            let version = world.members.remove(id, "bob");
            let left = system(&mut client, id, version, "alice", removed("bob")).await.unwrap().seq;
            world.members.left(id, "bob", left);
            tokio::time::sleep(Duration::from_millis(4)).await;
            let version = world.members.add(id, "bob", Role::Member);
            let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
            world.members.joined(id, "bob", joined);
        }
        stop.store(true, Ordering::SeqCst);
    };
    futures::join!(sending, removing);

    let mut member = true;
    let mut by_bob = 0;
    for entry in log(&mut node.client(), "alice", id).await {
        match entry.body.unwrap().body.unwrap() {
            proto::entry_body::Body::MemberRemoved(_) => member = false,
            proto::entry_body::Body::MembersAdded(_) => member = true,
            _ if entry.actor_user_id == "bob" => {
                assert!(member, "an entry of a removed member at {}", entry.seq);
                by_bob += 1;
            }
            _ => {}
        }
    }
    assert!(by_bob > 30, "bob was heard while he was a member: {by_bob}");
}

#[tokio::test]
async fn services_need_the_scope_and_a_user() {
    let world = World::new();
    let node = world.node().await;
    let id = world.members.direct(["alice", "bob"]);
    let mut without = node.client_as("shop", &[Scope::Directory]);
    assert_refused(send(&mut without, "alice", id, "m1", "t").await, Reason::PermissionDenied);
    let mut gateway = node.client();
    assert_refused(gateway.send_message(message(id, "m1", "t")).await, Reason::PermissionDenied);
}

#[tokio::test]
async fn a_busy_member_is_asked_about_about_once_a_second_and_never_waited_for() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < Duration::from_millis(2_500) {
        n += 1;
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    let questions = world.members.questions.load(Ordering::SeqCst);
    assert!((3..=6).contains(&questions), "{questions} questions in 2.5 s");
}

#[tokio::test]
async fn who_is_asked_about_at_once_is_asked_about_once() {
    let world = World::new();
    let node = world.node().await;
    let client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let reads = (0..100).map(|_| {
        let mut client = client.clone();
        async move { log(&mut client, "alice", id).await }
    });
    futures::future::join_all(reads).await;
    assert_eq!(world.members.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    for n in 0..20 {
        let name = format!("user{n}");
        assert_refused(send(&mut client, &name, id, "m1", "t").await, Reason::ConversationNotFound);
        let version = world.members.add(id, &name, Role::Member);
        let joined = system(&mut client, id, version, "alice", added(&name)).await.unwrap().seq;
        world.members.joined(id, &name, joined);
        sent(&mut client, &name, id, "m1", "t").await;
    }
}

#[tokio::test]
async fn a_silent_conversation_service_delays_known_members_a_little_and_strangers_to_their_deadline() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut client, "alice", id, "m0", "alice is known").await;
    // Until what is known of her is older than the second that an answer serves.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    world.members.silent.store(true, Ordering::SeqCst);

    let begun = Instant::now();
    for n in 1..20 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    // Not of a machine that is busy with an engine.
    let patience = Duration::from_secs(if cassandra().is_some() { 9 } else { 1 });
    assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    let request = with_deadline(by("bob", message(id, "m1", "text")), Duration::from_millis(200));
    assert!(client.send_message(request).await.is_err());
}
