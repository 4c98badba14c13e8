use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::send_messages_response::Result as Outcome;
use viberchat_proto::message::v1::{SendMessagesRequest, SendMessagesResponse};
use viberchat_proto::types::v1::{RequestContext, Role};

use crate::support::*;

struct Stream {
    requests: mpsc::Sender<SendMessagesRequest>,
    answers: Streaming<SendMessagesResponse>,
}

impl Stream {
    async fn open(client: &mut Client) -> Self {
        let (requests, receiver) = mpsc::channel(1_024);
        let answers = client.send_messages(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, answers }
    }

    async fn send(&self, user: &str, correlation_id: u64, id: ConversationId, request_id: &str, text: &str) {
        let context = RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..RequestContext::default() };
        let request = SendMessagesRequest { context: Some(context), send: Some(message(id, request_id, text)) };
        self.requests.send(request).await.unwrap();
    }

    async fn answers(&mut self, count: usize) -> HashMap<u64, Outcome> {
        let mut answers = HashMap::new();
        while answers.len() < count {
            let answer = self.answers.message().await.unwrap().expect("the stream goes on");
            answers.insert(answer.correlation_id, answer.result.unwrap());
        }
        answers
    }
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Response(_) => None,
        Outcome::Error(error) => Some(Error::from_proto(error).reason),
    }
}

#[tokio::test]
async fn pipelined_sends_are_stored_in_their_order() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let mut stream = Stream::open(&mut client).await;

    for n in 0..500 {
        stream.send(if n % 2 == 0 { "alice" } else { "bob" }, n, id, &format!("m{n}"), &format!("{n}")).await;
    }
    let answers = stream.answers(500).await;

    assert!(answers.values().all(|answer| reason(answer).is_none()));
    let entries = log(&mut client, "alice", id).await;
    assert_eq!(entries.len(), 500);
    for parity in ["alice", "bob"] {
        let ids: Vec<u64> = answers
            .iter()
            .filter_map(|(n, answer)| match answer {
                Outcome::Response(response) => Some((*n, response.message.as_ref().unwrap())),
                Outcome::Error(_) => None,
            })
            .filter(|(_, message)| message.sender_user_id == parity)
            .map(|(n, message)| (message.seq, n))
            .collect::<std::collections::BTreeMap<_, _>>()
            .into_values()
            .collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }
    assert!(node.metric("message_append_entries_count") < 400.0, "appends are shared");
}

#[tokio::test]
async fn after_a_failure_what_was_under_way_behind_it_is_not_attempted() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut client, "alice", id, "taken", "first").await;
    let mut stream = Stream::open(&mut client).await;

    stream.send("alice", 1, id, "m1", "before").await;
    stream.send("alice", 2, id, "taken", "with another body").await;
    stream.send("alice", 3, id, "m3", "behind it").await;
    stream.send("bob", 4, id, "m4", "of another sender").await;
    let answers = stream.answers(4).await;

    assert_eq!(reason(&answers[&1]), None);
    assert_eq!(reason(&answers[&2]), Some(Reason::IdempotencyKeyReused));
    assert_eq!(reason(&answers[&3]), Some(Reason::PredecessorFailed));
    assert_eq!(reason(&answers[&4]), None);
    stream.send("alice", 5, id, "m3", "behind it").await;
    assert_eq!(reason(&stream.answers(1).await[&5]), None, "later ones are new");
}

#[tokio::test]
async fn each_request_is_authorized_by_itself() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    let mut stream = Stream::open(&mut client).await;

    stream.send("mallory", 1, id, "m1", "not mine").await;
    stream.send("alice", 2, id, "m1", "mine").await;
    stream.send("", 3, id, "m1", "nobody's").await;
    stream.send("alice", 4, id, "m2", "").await;
    let answers = stream.answers(4).await;

    assert_eq!(reason(&answers[&1]), Some(Reason::ConversationNotFound));
    assert_eq!(reason(&answers[&2]), None);
    assert_eq!(reason(&answers[&3]), Some(Reason::PermissionDenied));
    assert_eq!(reason(&answers[&4]), Some(Reason::TextEmpty));
}

#[tokio::test]
async fn known_members_go_on_while_the_conversation_service_sleeps_and_others_do_not() {
    let world = World::new();
    let node = world.node_with(|config| config.authorization_grace_ms = 2_500).await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut client, "alice", id, "m0", "alice is known").await;
    world.members.unavailable.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut stream = Stream::open(&mut client).await;

    stream.send("alice", 1, id, "m1", "in grace").await;
    stream.send("bob", 2, id, "m2", "unknown").await;
    let answers = stream.answers(2).await;
    assert_eq!(reason(&answers[&1]), None);
    assert_eq!(reason(&answers[&2]), Some(Reason::StoreUnavailable));

    let mut tries = 0;
    eventually("the grace ends", Duration::from_secs(5), async || {
        tries += 1;
        let late = send(&mut client, "alice", id, &format!("late{tries}"), "late").await;
        late.is_err_and(|status| refusal(&status).reason == Reason::StoreUnavailable)
    })
    .await;
    world.members.unavailable.store(false, Ordering::SeqCst);
    sent(&mut client, "alice", id, "m3", "awake again").await;
}

#[tokio::test]
async fn closing_the_requests_lets_all_answers_come() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let Stream { requests, mut answers } = Stream::open(&mut client).await;
    let context = RequestContext { on_behalf_of: "alice".to_owned(), ..RequestContext::default() };
    for n in 0..50 {
        let request =
            SendMessagesRequest { context: Some(context.clone()), send: Some(message(id, &format!("m{n}"), "text")) };
        requests.send(request).await.unwrap();
    }
    drop(requests);
    let mut count = 0;
    while answers.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 50);
}

#[tokio::test]
async fn sends_that_mention_somebody_keep_their_place_in_the_order() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let mut stream = Stream::open(&mut client).await;
    for n in 0..60 {
        let context =
            RequestContext { on_behalf_of: "alice".to_owned(), correlation_id: n, ..RequestContext::default() };
        let mut send = message(id, &format!("m{n}"), &format!("{n}"));
        if n % 3 == 0 {
            send.mentioned_user_ids = vec!["bob".to_owned()];
        }
        stream.requests.send(SendMessagesRequest { context: Some(context), send: Some(send) }).await.unwrap();
    }
    for (n, outcome) in stream.answers(60).await {
        let Outcome::Response(stored) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stored.message.unwrap().seq, n + 2, "after the creation, in order");
    }
    let context = RequestContext { on_behalf_of: "alice".to_owned(), correlation_id: 100, ..Default::default() };
    let mut wrong = message(id, "wrong", "text");
    wrong.mentioned_user_ids = vec!["mallory".to_owned()];
    stream.requests.send(SendMessagesRequest { context: Some(context), send: Some(wrong) }).await.unwrap();
    assert_eq!(reason(&stream.answers(1).await[&100]), Some(Reason::InvalidArgument));
}
