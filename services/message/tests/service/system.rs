use viberchat_kit::auth::Scope;
use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{BatchGetHeadsRequest, EntryBody, MessageSent};
use viberchat_proto::types::v1::Role;

use crate::support::*;

#[tokio::test]
async fn only_the_next_version_is_appended() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;

    let gap = assert_refused(system(&mut client, id, 3, "alice", added("carol")).await, Reason::VersionGap);
    assert_eq!(gap.metadata["current_version"], "1");
    let second = system(&mut client, id, 2, "alice", added("carol")).await.unwrap();
    assert_eq!((second.seq, second.duplicate), (2, false));
    sent(&mut client, "alice", id, "m1", "between").await;
    let third = system(&mut client, id, 3, "alice", removed("bob")).await.unwrap();
    assert_eq!(third.seq, 4);
    let again = system(&mut client, id, 2, "alice", added("carol")).await.unwrap();
    assert_eq!((again.seq, again.duplicate), (2, true));
    assert_eq!(node.metric("message_versions_reused_total"), 0.0, "the same change");
    for (version, seq) in [(2, 2), (3, 4), (1, 1)] {
        let again = system(&mut client, id, version, "alice", added("someone else")).await.unwrap();
        assert_eq!((again.seq, again.duplicate), (seq, true), "version {version}");
    }
    assert_eq!(node.metric("message_versions_reused_total"), 3.0, "who runs a restored store has to know");
    let versions: Vec<_> = log(&mut client, "alice", id).await.iter().map(|e| e.conversation_version).collect();
    assert_eq!(versions, [1, 2, 2, 3]);
}

#[tokio::test]
async fn versions_that_come_at_once_and_twice_are_each_stored_once() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    let calls = (2..40_u64).flat_map(|version| [version, version]).map(|version| {
        let mut client = client.clone();
        async move {
            loop {
                match system(&mut client, id, version, "alice", added(&format!("user{version}"))).await {
                    Ok(stored) => return stored,
                    Err(status) => assert_eq!(refusal(&status).reason, Reason::VersionGap),
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let stored = futures::future::join_all(calls).await;
    assert_eq!(stored.iter().filter(|stored| !stored.duplicate).count(), 38);
    assert_eq!(log(&mut client, "alice", id).await.len(), 39);
}

#[tokio::test]
async fn who_joins_starts_at_the_head_of_joining() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    for n in 0..3 {
        sent(&mut client, "alice", id, &format!("m{n}"), "before").await;
    }
    let version = world.members.add(id, "bob", Role::Member);
    let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
    world.members.joined(id, "bob", joined);
    sent(&mut client, "alice", id, "m9", "after").await;

    let request = BatchGetHeadsRequest { conversation_ids: vec![id.to_string()] };
    let heads = client.batch_get_heads(by("bob", request)).await.unwrap().into_inner().heads;
    assert_eq!((heads[0].read_seq, heads[0].unread_count), (joined, 1));
}

#[tokio::test]
async fn only_kinds_of_the_conversation_service_are_taken_and_only_from_relays() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.group(&[("alice", Role::Owner)]);
    let message = Body::Message(MessageSent::default());
    let error = assert_refused(system(&mut client, id, 1, "alice", message).await, Reason::InvalidArgument);
    assert_eq!(error.violations[0].field, "body");
    let mut backend = node.client_as("shop", &[Scope::ActForUsers]);
    assert_refused(system(&mut backend, id, 1, "alice", added("bob")).await, Reason::PermissionDenied);
    let request = viberchat_proto::message::v1::AppendSystemEntryRequest {
        conversation_id: id.to_string(),
        version: 1,
        actor_user_id: "alice".to_owned(),
        body: Some(EntryBody { body: None }),
    };
    assert_refused(client.append_system_entry(request).await, Reason::InvalidArgument);
}
