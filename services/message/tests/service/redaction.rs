//! C16: once a deletion is acknowledged, no door returns the text, and soon no file has it.

use std::time::Duration;

use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{BatchGetHeadsRequest, GetMessageRequest, ListMessagesRequest, RedactedKind};
use viberchat_proto::types::v1::Role;

use crate::support::*;

#[tokio::test]
async fn no_door_returns_the_text_of_a_deleted_message() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "secret one").await;
    let edited = edit(&mut client, "alice", id, &first.message_id, "e1", "secret two").await.unwrap();
    assert_eq!(edited.message.as_ref().unwrap().text, "secret two");
    edit(&mut client, "alice", id, &first.message_id, "e2", "secret three").await.unwrap();

    let deleted = delete(&mut client, "alice", id, &first.message_id, "d1").await.unwrap();

    let mut seen = format!("{deleted:?}");
    let entries = log(&mut client, "bob", id).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry.body.clone().unwrap().body.unwrap()).collect();
    let redacted = |body: &Body, kind| {
        matches!(body, Body::Redacted(r) if r.kind() == kind
        && r.message_id == first.message_id && r.message_seq == 1)
    };
    assert!(redacted(&kinds[0], RedactedKind::Message), "{kinds:?}");
    assert!(redacted(&kinds[1], RedactedKind::Edited) && redacted(&kinds[2], RedactedKind::Edited), "{kinds:?}");
    assert!(matches!(&kinds[3], Body::Deleted(d) if d.message_seq == 1));
    assert_eq!(entries[0].actor_user_id, "alice");

    let conversation_id = id.to_string();
    let get = GetMessageRequest { conversation_id: conversation_id.clone(), message_id: first.message_id.clone() };
    seen += &format!("{:?}", client.get_message(by("bob", get)).await.unwrap());
    let list = ListMessagesRequest { conversation_id: conversation_id.clone(), ..Default::default() };
    let list = client.list_messages(by("bob", list)).await.unwrap().into_inner();
    assert!(list.messages[0].delete_time.is_some());
    seen += &format!("{list:?}");
    let heads = BatchGetHeadsRequest { conversation_ids: vec![conversation_id] };
    seen += &format!("{:?}", client.batch_get_heads(by("bob", heads)).await.unwrap());
    seen += &format!("{:?}", send(&mut client, "alice", id, "m1", "secret one").await.unwrap());
    seen += &format!("{:?}", edit(&mut client, "alice", id, &first.message_id, "e1", "secret two").await.unwrap());
    seen += &format!("{:?}", delete(&mut client, "alice", id, &first.message_id, "d1").await.unwrap());
    assert!(!seen.contains("secret"), "{seen}");
}

#[tokio::test]
async fn the_files_do_not_have_the_text_after_the_checkpoint() {
    // Cassandra's files are its own affair: compaction takes the text away.
    if cassandra().is_some() {
        return;
    }
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let other = world.members.direct(["carol", "bob"]);
    let mut doomed = Vec::new();
    for n in 0..300_usize {
        // Short and long ones, so that pages fill up and overflow.
        let padding = "y".repeat([3, 200, 900, 5_000][n % 4]);
        sent(&mut client, "carol", other, &format!("m{n}"), &format!("stays-{n}-{padding}")).await;
        let message = sent(&mut client, "alice", id, &format!("m{n}"), &format!("vanishes-{n}-{padding}")).await;
        if n % 3 == 0 {
            edit(&mut client, "alice", id, &message.message_id, &format!("e{n}"), &format!("vanishes-edit-{n}"))
                .await
                .unwrap();
        }
        doomed.push(message.message_id);
    }
    for (n, message_id) in doomed.iter().enumerate() {
        delete(&mut client, "alice", id, message_id, &format!("d{n}")).await.unwrap();
    }
    eventually("the text leaves the files", Duration::from_secs(60), async || {
        !folder_contains(world.folder.path(), b"vanishes-")
    })
    .await;
    assert!(folder_contains(world.folder.path(), b"stays-7-"));
}

#[tokio::test]
async fn a_deletion_before_a_crash_is_checkpointed_at_the_next_start() {
    // Cassandra's files are its own affair: compaction takes the text away.
    if cassandra().is_some() {
        return;
    }
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let message = sent(&mut client, "alice", id, "m1", "vanishes-at-start").await;
    delete(&mut client, "alice", id, &message.message_id, "d1").await.unwrap();
    // As after a crash: the files at this moment, with a log file that was not checkpointed.
    let copy = World::new();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), copy.folder.path().join(file.file_name())).unwrap();
        }
    }
    assert!(folder_contains(copy.folder.path(), b"vanishes-at-start"));
    let _restarted = copy.node().await;
    assert!(!folder_contains(copy.folder.path(), b"vanishes-at-start"));
}

#[tokio::test]
async fn only_the_sender_edits_and_only_they_or_an_admin_delete() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let members = [("alice", Role::Owner), ("bob", Role::Member), ("carol", Role::Member)];
    let id = create_group(&world, &mut client, &members).await;
    let message = sent(&mut client, "bob", id, "m1", "hello").await.message_id;

    assert_refused(edit(&mut client, "alice", id, &message, "e1", "x").await, Reason::PermissionDenied);
    assert_refused(delete(&mut client, "carol", id, &message, "d1").await, Reason::PermissionDenied);
    assert_refused(edit(&mut client, "mallory", id, &message, "e1", "x").await, Reason::ConversationNotFound);
    delete(&mut client, "alice", id, &message, "d1").await.unwrap();
    assert_refused(delete(&mut client, "bob", id, &message, "d1").await, Reason::AlreadyDeleted);
    assert_refused(edit(&mut client, "bob", id, &message, "e1", "x").await, Reason::AlreadyDeleted);
    let unknown = "0190a5e6-7b1c-8d3e-9f00-000000000000";
    assert_refused(delete(&mut client, "bob", id, unknown, "d2").await, Reason::MessageNotFound);
    assert_eq!(log(&mut client, "bob", id).await.len(), 3, "refused writes leave nothing");
}
