use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::{Message, Reaction};
use viberchat_proto::types::v1::Role;

use crate::support::*;

fn reaction(emoji: &str, count: u32, reacted: bool) -> Reaction {
    Reaction { emoji: emoji.to_owned(), count, reacted }
}

#[tokio::test]
async fn reactions_show_for_their_caller_by_every_door() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let message = sent(&mut client, "alice", id, "m1", "hello").await.message_id;
    let first = react(&mut client, "bob", id, &message, "r1", "👍").await.unwrap();
    assert_eq!((first.seq, first.duplicate), (2, false));
    assert_eq!(first.message.unwrap().reactions, [reaction("👍", 1, true)]);
    let of_alice = react(&mut client, "alice", id, &message, "r1", "🎉").await.unwrap().message.unwrap();
    assert_eq!(of_alice.reactions, [reaction("👍", 1, false), reaction("🎉", 1, true)]);

    let of_bob = [reaction("👍", 1, true), reaction("🎉", 1, false)];
    pin(&mut client, "bob", id, &message, "p1").await.unwrap();
    let mut seen: Vec<Message> = vec![
        get_message(&mut client, "bob", id, &message).await.unwrap(),
        list_messages(&mut client, "bob", id).await.remove(0),
        list_pinned(&mut client, "bob", id).await.remove(0),
        heads(&mut client, "bob", &[id]).await.remove(0).last_message.unwrap(),
        react(&mut client, "bob", id, &message, "r2", "👍").await.unwrap().message.unwrap(),
        unreact(&mut client, "bob", id, &message, "r3", "none").await.unwrap().message.unwrap(),
        pin(&mut client, "bob", id, &message, "p1").await.unwrap().message.unwrap(),
    ];
    let edited = edit(&mut client, "alice", id, &message, "e1", "edited").await.unwrap().message.unwrap();
    let repeated = send(&mut client, "alice", id, "m1", "hello").await.unwrap().message.unwrap();
    for message in [edited, repeated] {
        assert_eq!(message.reactions, of_alice.reactions);
    }
    seen.push(unpin(&mut client, "bob", id, &message, "p2").await.unwrap().message.unwrap());
    for message in seen {
        assert_eq!(message.reactions, of_bob);
    }
}

#[tokio::test]
async fn a_reaction_is_stored_once_and_taken_back_once() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let message = sent(&mut client, "alice", id, "m1", "hello").await.message_id;
    assert_eq!(react(&mut client, "bob", id, &message, "r1", "+1").await.unwrap().seq, 2);
    let again = react(&mut client, "bob", id, &message, "r1", "+1").await.unwrap();
    assert_eq!((again.seq, again.duplicate), (2, true), "the same request");
    let other = react(&mut client, "bob", id, &message, "r2", "+1").await.unwrap();
    assert_eq!((other.seq, other.duplicate), (0, false), "another request for what holds");
    assert_refused(react(&mut client, "bob", id, &message, "r1", "-1").await, Reason::IdempotencyKeyReused);
    assert_eq!(unreact(&mut client, "alice", id, &message, "u1", "+1").await.unwrap().seq, 0, "it is bob's");
    let back = unreact(&mut client, "bob", id, &message, "u1", "+1").await.unwrap();
    assert_eq!((back.seq, back.message.unwrap().reactions), (3, Vec::new()));
    assert_eq!(unreact(&mut client, "bob", id, &message, "u2", "+1").await.unwrap().seq, 0);
    assert_eq!(log(&mut client, "alice", id).await.len(), 3);
}

#[tokio::test]
async fn reactions_that_may_not_be_are_refused() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let message = sent(&mut client, "alice", id, "m1", "hello").await.message_id;
    for emoji in ["", "\n", &"x".repeat(65)] {
        let error = assert_refused(react(&mut client, "bob", id, &message, "r", emoji).await, Reason::InvalidArgument);
        assert_eq!(error.violations[0].field, "emoji");
    }
    for n in 0..20 {
        react(&mut client, "bob", id, &message, &format!("r{n}"), &format!("{n}")).await.unwrap();
    }
    assert_refused(react(&mut client, "alice", id, &message, "r", "20").await, Reason::LimitExceeded);
    assert_eq!(get_message(&mut client, "alice", id, &message).await.unwrap().reactions.len(), 20);
    delete(&mut client, "alice", id, &message, "d1").await.unwrap();
    assert_refused(react(&mut client, "bob", id, &message, "late", "+1").await, Reason::AlreadyDeleted);
    assert!(get_message(&mut client, "alice", id, &message).await.unwrap().reactions.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_by_two_services_at_once_are_counted_exactly() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let id = world.members.direct(["alice", "bob"]);
    let message = sent(&mut nodes[0].client(), "alice", id, "m1", "hello").await.message_id;
    for round in 0..20 {
        let [mut here, mut there] = [nodes[0].client(), nodes[1].client()];
        let (one, two) = (format!("a{round}"), format!("b{round}"));
        let (one, two) = futures::join!(
            react(&mut here, "bob", id, &message, &one, "+1"),
            react(&mut there, "bob", id, &message, &two, "+1")
        );
        let stored = [one.unwrap().seq, two.unwrap().seq].iter().filter(|seq| **seq > 0).count();
        assert_eq!(stored, 1, "one of them changed something");
        let back = unreact(&mut there, "bob", id, &message, &format!("u{round}"), "+1").await.unwrap();
        assert!(back.seq > 0 && back.message.unwrap().reactions.is_empty());
    }
}
