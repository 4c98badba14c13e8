use tonic::{Response, Status};
use viberchat_kit::error::Reason;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::{ListPositionsRequest, MarkDeliveredRequest, MarkReadRequest, Position};
use viberchat_proto::types::v1::Role;

use crate::support::*;

async fn deliver(client: &mut Client, user: &str, id: ConversationId, seq: u64) -> Result<Position, Status> {
    let request = MarkDeliveredRequest { conversation_id: id.to_string(), seq };
    client.mark_delivered(by(user, request)).await.map(Response::into_inner).map(|marked| marked.position.unwrap())
}

async fn listed(client: &mut Client, id: ConversationId, user: &str) -> Position {
    let request = ListPositionsRequest { conversation_id: id.to_string(), ..Default::default() };
    let positions = client.list_positions(by("alice", request)).await.unwrap().into_inner().positions;
    positions.into_iter().find(|position| position.user_id == user).unwrap()
}

#[tokio::test]
async fn a_delivered_position_moves_forward_only_and_reading_takes_it_along() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    for n in 0..9 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    assert_eq!(listed(&mut client, id, "alice").await.delivered_seq, 9, "one's own was delivered");
    let reached = deliver(&mut client, "bob", id, 5).await.unwrap();
    assert_eq!((reached.delivered_seq, reached.read_seq), (5, 0));
    assert_eq!(deliver(&mut client, "bob", id, 3).await.unwrap().delivered_seq, 5);
    let error = assert_refused(deliver(&mut client, "bob", id, 10).await, Reason::InvalidArgument);
    assert_eq!(error.violations[0].field, "seq");
    let read = MarkReadRequest { conversation_id: id.to_string(), seq: 7 };
    let read = client.mark_read(by("bob", read)).await.unwrap().into_inner().position.unwrap();
    assert_eq!((read.read_seq, read.delivered_seq), (7, 7));
    let back = MarkReadRequest { conversation_id: id.to_string(), seq: 6 };
    assert_eq!(client.mark_read(by("bob", back)).await.unwrap().into_inner().position, Some(read));
    assert_eq!(listed(&mut client, id, "bob").await.delivered_seq, 7);
}

#[tokio::test]
async fn in_groups_of_more_than_thirty_two_members_nothing_is_kept() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    world.members.set_others(id, 30);
    for n in 0..4 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    assert_eq!(deliver(&mut client, "bob", id, 3).await.unwrap().delivered_seq, 3, "32 members");
    world.members.set_others(id, 31);
    until_answers_are_old().await;
    assert_eq!(deliver(&mut client, "bob", id, 4).await.unwrap().delivered_seq, 3, "33 members");
    assert_refused(deliver(&mut client, "bob", id, 6).await, Reason::InvalidArgument);
}
