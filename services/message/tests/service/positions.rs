use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tonic::{Response, Status};
use viberchat_kit::error::Reason;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::{
    BatchGetHeadsRequest, ListPositionsRequest, MarkDeliveredRequest, MarkReadRequest, MarkReadResponse, Position,
};
use viberchat_proto::types::v1::Role;

use crate::support::*;

async fn mark(client: &mut Client, user: &str, id: ConversationId, seq: u64) -> Result<MarkReadResponse, Status> {
    let request = MarkReadRequest { conversation_id: id.to_string(), seq };
    client.mark_read(by(user, request)).await.map(Response::into_inner)
}

async fn unread(client: &mut Client, user: &str, id: ConversationId) -> u64 {
    let request = BatchGetHeadsRequest { conversation_ids: vec![id.to_string()] };
    client.batch_get_heads(by(user, request)).await.unwrap().into_inner().heads[0].unread_count
}

#[tokio::test]
async fn a_position_moves_forward_only_and_never_past_the_head() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    for n in 0..10 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    assert_eq!(unread(&mut client, "bob", id).await, 10);
    let marked = mark(&mut client, "bob", id, 6).await.unwrap();
    assert_eq!((marked.position.unwrap().read_seq, marked.unread_count, marked.as_of_seq), (6, 4, 10));
    let back = mark(&mut client, "bob", id, 2).await.unwrap();
    assert_eq!((back.position.unwrap().read_seq, back.unread_count), (6, 4));
    let error = assert_refused(mark(&mut client, "bob", id, 11).await, Reason::InvalidArgument);
    assert_eq!(error.violations[0].field, "seq");
    assert_eq!(unread(&mut client, "bob", id).await, 4);
}

#[tokio::test]
async fn a_send_reads_up_to_itself_unless_a_service_says_otherwise() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut client, "alice", id, "m1", "text").await;
    let mut quiet = message(id, "m1", "by a bot for bob");
    quiet.keep_read_position = true;
    client.send_message(by("bob", quiet)).await.unwrap();
    assert_eq!(unread(&mut client, "bob", id).await, 2);
    sent(&mut client, "bob", id, "m2", "text").await;
    assert_eq!(unread(&mut client, "bob", id).await, 0);
    assert_eq!(unread(&mut client, "alice", id).await, 2);
}

#[tokio::test]
async fn positions_are_listed_by_user_in_pages() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let users: Vec<String> = (0..7).map(|n| format!("user{n}")).collect();
    let members: Vec<_> = users.iter().map(|user| (user.as_str(), Role::Owner)).collect();
    let id = create_group(&world, &mut client, &members).await;
    sent(&mut client, "user3", id, "m1", "text").await;

    let mut positions: Vec<Position> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPositionsRequest { conversation_id: id.to_string(), page_size: 3, page_token };
        let page = client.list_positions(by("user0", request)).await.unwrap().into_inner();
        assert_eq!(page.as_of_seq, 2);
        positions.extend(page.positions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(positions.iter().map(|p| p.user_id.clone()).collect::<Vec<_>>(), users);
    assert_eq!(positions[3].read_seq, 2);
    assert_eq!(positions[4].read_seq, 1);
}

#[tokio::test]
async fn only_members_have_a_position() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    sent(&mut client, "bob", id, "m1", "text").await;
    let listed = async |client: &mut Client| {
        let request = ListPositionsRequest { conversation_id: id.to_string(), ..Default::default() };
        let page = client.list_positions(by("alice", request)).await.unwrap().into_inner();
        page.positions.into_iter().map(|p| (p.user_id, p.read_seq)).collect::<Vec<_>>()
    };
    let version = world.members.remove(id, "bob");
    system(&mut client, id, version, "alice", removed("bob")).await.unwrap();
    assert_eq!(listed(&mut client).await, [("alice".to_owned(), 1)]);
    let version = world.members.add(id, "bob", Role::Member);
    let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
    assert_eq!(listed(&mut client).await, [("alice".to_owned(), 1), ("bob".to_owned(), joined)]);
}

#[tokio::test]
async fn a_mark_that_was_authorized_before_the_removal_and_comes_after_it_finds_no_conversation() {
    let world = World::new();
    let (node, other) = (world.node().await, world.node().await);
    let (mut client, mut late) = (node.client(), other.client());
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    sent(&mut client, "alice", id, "m1", "text").await;
    mark(&mut late, "bob", id, 1).await.unwrap();
    let version = world.members.remove(id, "bob");
    system(&mut client, id, version, "alice", removed("bob")).await.unwrap();
    // The other instance has only the answer from before to go by, and lets him in: the store knows better.
    world.members.unavailable.store(true, Ordering::SeqCst);
    assert_refused(mark(&mut late, "bob", id, 2).await, Reason::ConversationNotFound);
    let delivered = MarkDeliveredRequest { conversation_id: id.to_string(), seq: 2 };
    assert_refused(late.mark_delivered(by("bob", delivered)).await, Reason::ConversationNotFound);
    // By that answer no head is given either; nor is it said that there is none, before it is known.
    let asked = BatchGetHeadsRequest { conversation_ids: vec![id.to_string()] };
    assert_refused(late.batch_get_heads(by("bob", asked)).await, Reason::StoreUnavailable);
    world.members.unavailable.store(false, Ordering::SeqCst);
    assert!(heads(&mut late, "bob", &[id]).await.is_empty());
    assert_eq!(heads(&mut late, "alice", &[id]).await.len(), 1);
    // Nothing of the late mark is left.
    let request = ListPositionsRequest { conversation_id: id.to_string(), ..Default::default() };
    let listed = late.list_positions(by("alice", request)).await.unwrap().into_inner().positions;
    assert_eq!(listed.into_iter().map(|position| position.user_id).collect::<Vec<_>>(), ["alice"]);
}

#[derive(Clone, Debug)]
enum Step {
    Send { user: usize },
    Mark { user: usize, share: f64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize).prop_map(|user| Step::Send { user }),
        (0..3_usize, 0.0..1.0_f64).prop_map(|(user, share)| Step::Mark { user, share }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against a model of three lines, through two services on one file.
    #[test]
    fn unread_counts_are_exact_for_their_head(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let nodes = [world.node().await, world.node().await];
            let users = ["alice", "bob", "carol"];
            let id = create_group(&world, &mut nodes[0].client(), &users.map(|user| (user, Role::Owner))).await;
            let (mut head, mut read) = (1_u64, [1_u64; 3]);
            for (n, step) in steps.iter().enumerate() {
                let mut client = nodes[n % 2].client();
                match *step {
                    Step::Send { user } => {
                        head += 1;
                        read[user] = head;
                        assert_eq!(sent(&mut client, users[user], id, &format!("m{n}"), "text").await.seq, head);
                    }
                    Step::Mark { user, share } => {
                        let seq = (share * head as f64) as u64;
                        read[user] = read[user].max(seq);
                        let marked = mark(&mut client, users[user], id, seq).await.unwrap();
                        assert_eq!(marked.position.unwrap().read_seq, read[user]);
                        assert_eq!((marked.unread_count, marked.as_of_seq), (head - read[user], head));
                    }
                }
                for (user, name) in users.iter().enumerate() {
                    assert_eq!(unread(&mut nodes[(n + 1) % 2].client(), name, id).await, head - read[user]);
                }
            }
        });
    }
}
