//! Two message services on one file: conditions are lost, and everything is decided again.

use std::collections::HashSet;

use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::GetMessageRequest;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::types::v1::Role;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_on_two_services_store_everything_once_without_a_gap() {
    const WRITERS: usize = 16;
    const SENDS: usize = 60;
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let id = world.members.group(&[("alice", Role::Owner)]);
    let users: Vec<String> = (0..WRITERS).map(|n| format!("user{n}")).collect();
    for user in &users {
        world.members.add(id, user, Role::Member);
        world.members.joined(id, user, 0);
    }
    world.members.joined(id, "alice", 0);

    let writers = users.iter().enumerate().map(|(writer, user)| {
        let clients = [nodes[writer % 2].client(), nodes[(writer + 1) % 2].client()];
        async move {
            let mut known = 0;
            for n in 0..SENDS {
                let mut request = message(id, &format!("m{n}"), &format!("{user} {n}"));
                request.known_seq = Some(known);
                let mut client = clients[0].clone();
                let first = client.send_message(by(user, request.clone())).await.unwrap().into_inner();
                let first = first.message.unwrap();
                if n % 5 == 0 {
                    // Again, by the other service.
                    let again = clients[1].clone().send_message(by(user, request)).await.unwrap().into_inner();
                    assert!(again.duplicate);
                    assert_eq!(again.message.unwrap().seq, first.seq);
                }
                assert!(first.seq > known, "what was acknowledged before comes before");
                known = first.seq;
            }
        }
    });
    futures::future::join_all(writers).await;

    let entries = log(&mut nodes[0].client(), "alice", id).await;
    assert_eq!(entries.len(), WRITERS * SENDS);
    let texts: HashSet<String> = entries.iter().map(|entry| text_of(entry.body.as_ref().unwrap())).collect();
    assert_eq!(texts.len(), WRITERS * SENDS);
    assert!(entries.iter().enumerate().all(|(index, entry)| entry.message_no == index as u64 + 1));
    let lost: f64 = nodes.iter().map(|node| node.metric("message_conditions_lost_total")).sum();
    assert!(lost > 0.0, "the services met");
}

fn text_of(body: &viberchat_proto::message::v1::EntryBody) -> String {
    match body.body.as_ref().unwrap() {
        Body::Message(sent) => sent.text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_on_two_services_at_once_is_stored_once() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let id = world.members.direct(["alice", "bob"]);
    let mut clients = [nodes[0].client(), nodes[1].client()];
    for n in 0..200 {
        let mut request = message(id, &format!("m{n}"), "text");
        request.known_seq = Some(n);
        let [one, two] = &mut clients;
        let (one, two) = futures::join!(
            one.send_message(by("alice", request.clone())),
            two.send_message(by("alice", request.clone()))
        );
        let (one, two) = (one.unwrap().into_inner(), two.unwrap().into_inner());
        assert_eq!(one.message, two.message);
        assert!(one.duplicate != two.duplicate);
    }
    assert_eq!(log(&mut clients[0], "alice", id).await.len(), 200);
}

/// An edit races a deletion 1,000 times; the text never comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_races_a_deletion_never_brings_the_text_back() {
    // Each takes a dozen round trips there.
    let races = if cassandra().is_some() { 100 } else { 1_000 };
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let id = world.members.direct(["alice", "bob"]);
    let (mut here, mut there) = (nodes[0].client(), nodes[1].client());
    let (mut edits_first, mut deletions_first) = (0, 0);
    for n in 0..races {
        let message = sent(&mut here, "alice", id, &format!("m{n}"), "secret").await.message_id;
        let (edit_id, delete_id) = (format!("e{n}"), format!("d{n}"));
        // Whoever sent knows the message already, and is quicker.
        let (editor, deleter) = if n % 2 == 0 { (&mut here, &mut there) } else { (&mut there, &mut here) };
        let (edited, deleted) = futures::join!(
            edit(editor, "alice", id, &message, &edit_id, "secret again"),
            delete(deleter, "alice", id, &message, &delete_id)
        );
        deleted.unwrap();
        match edited {
            Ok(_) => edits_first += 1,
            Err(status) => {
                assert_eq!(refusal(&status).reason, Reason::AlreadyDeleted);
                deletions_first += 1;
            }
        }
        let get = GetMessageRequest { conversation_id: id.to_string(), message_id: message };
        let now = here.get_message(by("bob", get)).await.unwrap().into_inner().message.unwrap();
        assert!(now.delete_time.is_some());
        assert_eq!(now.text, "");
    }
    let entries = format!("{:?}", log(&mut there, "bob", id).await);
    assert!(!entries.contains("secret"));
    assert!(edits_first > 0 && deletions_first > 0, "{edits_first} edits and {deletions_first} deletions came first");
}
