//! Replies, mentions, metadata and blocks: on the way in, in every answer, and gone after a deletion.

use std::collections::BTreeMap;
use std::time::Duration;

use viberchat_kit::error::{Outcome, Reason};
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{EditMessageRequest, SendMessageRequest};
use viberchat_proto::types::v1::{Metadata, Role};

use crate::support::*;

fn metadata(name: &str, value: &str) -> Option<Metadata> {
    Some(Metadata { entries: BTreeMap::from([(name.to_owned(), value.to_owned())]) })
}

#[tokio::test]
async fn a_message_carries_its_reply_its_mentions_and_its_metadata() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let first = sent(&mut client, "alice", id, "m1", "question").await;
    let request = SendMessageRequest {
        reply_to_message_id: first.message_id.clone(),
        mentioned_user_ids: vec!["bob".to_owned(), "alice".to_owned()],
        metadata: metadata("ticket", "7"),
        ..message(id, "m2", "answer")
    };
    let acked = client.send_message(by("bob", request.clone())).await.unwrap().into_inner().message.unwrap();
    assert_eq!((&acked.reply_to_message_id, acked.reply_to_seq), (&first.message_id, first.seq));
    assert_eq!(acked.mentioned_user_ids, ["bob", "alice"], "in the order given");
    assert_eq!(acked.metadata, metadata("ticket", "7"));
    let again = client.send_message(by("bob", request.clone())).await.unwrap().into_inner();
    assert_eq!((again.duplicate, again.message.as_ref()), (true, Some(&acked)));
    for other in [
        SendMessageRequest { reply_to_message_id: String::new(), ..request.clone() },
        SendMessageRequest { mentioned_user_ids: vec!["bob".to_owned()], ..request.clone() },
        SendMessageRequest { metadata: metadata("ticket", "8"), ..request },
    ] {
        assert_refused(client.send_message(by("bob", other)).await, Reason::IdempotencyKeyReused);
    }
    let seen = get_message(&mut client, "alice", id, &acked.message_id).await.unwrap();
    assert_eq!((seen.reply_to_seq, seen.mentioned_user_ids.len(), seen.metadata), (2, 2, metadata("ticket", "7")));

    let edit = EditMessageRequest {
        conversation_id: id.to_string(),
        message_id: acked.message_id.clone(),
        text: "another".to_owned(),
        request_id: "e1".to_owned(),
        known_seq: None,
        mentioned_user_ids: vec!["alice".to_owned()],
    };
    let edited = client.edit_message(by("bob", edit)).await.unwrap().into_inner().message.unwrap();
    assert_eq!(edited.mentioned_user_ids, ["alice"]);
    assert_eq!((edited.reply_to_seq, edited.metadata), (2, metadata("ticket", "7")), "an edit leaves them");
}

#[tokio::test]
async fn what_a_message_may_not_carry_is_refused_by_its_field() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let gone = sent(&mut client, "alice", id, "gone", "text").await.message_id;
    delete(&mut client, "alice", id, &gone, "d1").await.unwrap();
    let many: Vec<String> = (0..51).map(|n| format!("user{n}")).collect();
    let mentions = |users: &[&str]| SendMessageRequest {
        mentioned_user_ids: users.iter().map(|user| (*user).to_owned()).collect(),
        ..message(id, "m1", "text")
    };
    let reply = |message_id: &str| SendMessageRequest {
        reply_to_message_id: message_id.to_owned(),
        ..message(id, "m1", "text")
    };
    let elsewhere = world.members.direct(["alice", "bob"]);
    let foreign = sent(&mut client, "alice", elsewhere, "m1", "text").await.message_id;
    let outsider =
        assert_refused(client.send_message(by("alice", mentions(&["bob", "mallory"]))).await, Reason::InvalidArgument);
    assert_eq!(outsider.violations[0].field, "mentioned_user_ids");
    assert_eq!(outsider.outcome, Outcome::NotAttempted, "they may become a member");
    for (request, reason, field) in [
        (mentions(&["bob", "bob"]), Reason::InvalidArgument, "mentioned_user_ids"),
        (mentions(&[""]), Reason::InvalidArgument, "mentioned_user_ids"),
        (
            SendMessageRequest { mentioned_user_ids: many, ..message(id, "m1", "text") },
            Reason::InvalidArgument,
            "mentioned_user_ids",
        ),
        (
            SendMessageRequest { metadata: metadata("n", &"v".repeat(4_096)), ..message(id, "m1", "text") },
            Reason::InvalidArgument,
            "metadata",
        ),
        (
            SendMessageRequest { metadata: metadata("", "v"), ..message(id, "m1", "text") },
            Reason::InvalidArgument,
            "metadata",
        ),
        (reply("none"), Reason::InvalidArgument, "reply_to_message_id"),
        (reply(&foreign), Reason::MessageNotFound, "reply_to_message_id"),
        (reply(&gone), Reason::AlreadyDeleted, "reply_to_message_id"),
    ] {
        let error = assert_refused(client.send_message(by("alice", request)).await, reason);
        assert_eq!((error.violations[0].field.as_str(), error.outcome), (field, Outcome::Rejected));
    }
    assert_eq!(log(&mut client, "alice", id).await.len(), 3, "nothing of it is stored");
}

#[tokio::test]
async fn a_mention_of_one_who_has_just_left_is_refused_and_a_repetition_is_not() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let mention = |request_id: &str| SendMessageRequest {
        mentioned_user_ids: vec!["bob".to_owned()],
        ..message(id, request_id, "hello bob")
    };
    client.send_message(by("alice", mention("m1"))).await.unwrap();
    let version = world.members.remove(id, "bob");
    system(&mut client, id, version, "alice", removed("bob")).await.unwrap();
    // The answer about bob is fresh: the log knows better.
    assert_refused(client.send_message(by("alice", mention("m2"))).await, Reason::InvalidArgument);
    assert!(client.send_message(by("alice", mention("m1"))).await.unwrap().into_inner().duplicate);
}

#[tokio::test]
async fn a_deletion_erases_mentions_and_metadata_and_keeps_what_it_answers() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let members = [("alice", Role::Owner), ("vanishing-user", Role::Member)];
    let id = create_group(&world, &mut client, &members).await;
    let first = sent(&mut client, "alice", id, "m1", "question").await;
    let request = SendMessageRequest {
        reply_to_message_id: first.message_id.clone(),
        mentioned_user_ids: vec!["vanishing-user".to_owned()],
        metadata: metadata("vanishing-name", "vanishing-value"),
        ..message(id, "m2", "vanishing-text")
    };
    let doomed = client.send_message(by("alice", request.clone())).await.unwrap().into_inner().message.unwrap();
    react(&mut client, "alice", id, &doomed.message_id, "r1", "+1").await.unwrap();
    pin(&mut client, "alice", id, &doomed.message_id, "p1").await.unwrap();
    let deleted = delete(&mut client, "alice", id, &doomed.message_id, "d1").await.unwrap().message.unwrap();

    assert_eq!((deleted.reply_to_seq, deleted.text.as_str()), (first.seq, ""));
    assert!(deleted.reactions.is_empty() && deleted.pin_time.is_none() && deleted.pinned_by_user_id.is_empty());
    let mut seen = format!("{deleted:?} {:?}", get_message(&mut client, "alice", id, &doomed.message_id).await);
    seen += &format!("{:?}", client.send_message(by("alice", request)).await.unwrap());
    seen += &format!("{:?}", list_messages(&mut client, "alice", id).await);
    seen += &format!("{:?}", heads(&mut client, "alice", &[id]).await);
    let entries = log(&mut client, "alice", id).await;
    assert!(matches!(entries[2].body.as_ref().unwrap().body, Some(Body::Redacted(_))));
    seen += &format!("{:?}", &entries[1..]);
    assert!(!seen.contains("vanishing"), "{seen}");
    assert!(list_pinned(&mut client, "alice", id).await.is_empty());
    eventually("the metadata leaves the files", Duration::from_secs(60), async || {
        !folder_contains(world.folder.path(), b"vanishing-value")
            && !folder_contains(world.folder.path(), b"vanishing-text")
    })
    .await;
}

#[tokio::test]
async fn a_block_stops_messages_of_both_and_hides_nothing() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "hello").await;
    world.members.set_blocked(id, true);
    until_answers_are_old().await;
    for user in ["alice", "bob"] {
        let error = assert_refused(send(&mut client, user, id, "m2", "more").await, Reason::Blocked);
        assert_eq!(error.outcome, Outcome::NotAttempted, "a block may end");
        let reaction = react(&mut client, user, id, &first.message_id, "r1", "any text").await;
        assert_refused(reaction, Reason::Blocked);
    }
    assert_refused(edit(&mut client, "alice", id, &first.message_id, "e1", "more").await, Reason::Blocked);
    assert!(send(&mut client, "alice", id, "m1", "hello").await.unwrap().duplicate);
    assert_eq!(log(&mut client, "bob", id).await.len(), 1);
    delete(&mut client, "alice", id, &first.message_id, "d1").await.unwrap();
    world.members.set_blocked(id, false);
    // At once: a refusal is not kept.
    sent(&mut client, "bob", id, "m3", "again").await;
    world.members.set_blocked(id, true);
    until_answers_are_old().await;
    assert_refused(send(&mut client, "bob", id, "m4", "more").await, Reason::Blocked);
    world.members.set_blocked(id, false);
    let message = SendMessageRequest { conversation_id: id.to_string(), ..message(id, "m4", "more") };
    client.send_message(by("bob", message)).await.unwrap();
}
