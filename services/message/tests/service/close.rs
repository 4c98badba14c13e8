use viberchat_kit::error::{Outcome, Reason};
use viberchat_proto::message::v1::ConversationClosed;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::types::v1::Role;

use crate::support::*;

#[tokio::test]
async fn no_write_follows_the_closing_entry_not_even_by_those_whose_answer_is_fresh() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let mut client = nodes[0].client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let message = sent(&mut client, "bob", id, "m1", "hello").await;

    let version = world.members.close(id);
    let closed = system(&mut client, id, version, "alice", Body::ConversationClosed(ConversationClosed {})).await;
    assert_eq!(closed.unwrap().seq, 3);
    let error = assert_refused(send(&mut client, "bob", id, "m2", "late").await, Reason::ConversationNotFound);
    assert_eq!(error.outcome, Outcome::NotAttempted, "by this decision, not by every one to come");
    let reaction = react(&mut client, "bob", id, &message.message_id, "r1", "+1").await;
    assert_refused(reaction, Reason::ConversationNotFound);
    let again = send(&mut client, "bob", id, "m1", "hello").await.unwrap();
    assert!(again.duplicate, "what was stored before stays stored");
    assert!(heads(&mut client, "bob", &[id]).await.is_empty(), "nobody is a member any more");
    // Another instance, and later: the end of the log says it.
    assert_refused(send(&mut nodes[1].client(), "bob", id, "m3", "late").await, Reason::ConversationNotFound);
    let next = system(&mut client, id, version + 1, "alice", added("carol")).await;
    assert_refused(next, Reason::ConversationNotFound);
    let repeated = system(&mut client, id, version, "alice", Body::ConversationClosed(ConversationClosed {})).await;
    assert!(repeated.unwrap().duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_that_race_the_closing_are_before_it_or_refused() {
    let world = World::new();
    let nodes = [world.node().await, world.node().await];
    let mut client = nodes[0].client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let sends = (0..40).map(|n: usize| {
        let mut client = nodes[n % 2].client();
        async move { send(&mut client, ["alice", "bob"][n % 2], id, &format!("m{n}"), "text").await }
    });
    let version = 2;
    let mut closing = nodes[1].client();
    let close = async {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        system(&mut closing, id, version, "alice", Body::ConversationClosed(ConversationClosed {})).await.unwrap().seq
    };
    let (results, closed) = futures::join!(futures::future::join_all(sends), close);
    for result in results {
        match result {
            Ok(stored) => assert!(stored.message.unwrap().seq < closed),
            Err(status) => assert_eq!(refusal(&status).reason, Reason::ConversationNotFound),
        }
    }
}
