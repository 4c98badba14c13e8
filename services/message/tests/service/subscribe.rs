use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use viberchat_engines::Server;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::subscribe_request::Request as Asked;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{
    LogEntry, MarkReadRequest, SubscribeAdd, SubscribeRemove, SubscribeRequest, SubscribeResponse, SubscribeStart,
    Subscribed,
};
use viberchat_proto::types::v1::{RequestContext, Role};

use crate::support::*;

struct Following {
    requests: mpsc::Sender<SubscribeRequest>,
    pushes: Streaming<SubscribeResponse>,
}

impl Following {
    async fn open(client: &mut Client) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let pushes = client.subscribe(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, pushes }
    }

    async fn add(&self, user: &str, correlation_id: u64, starts: &[(ConversationId, Option<u64>)]) {
        let conversations = starts
            .iter()
            .map(|(id, after_seq)| SubscribeStart { conversation_id: id.to_string(), after_seq: *after_seq })
            .collect();
        self.ask(user, correlation_id, Asked::Add(SubscribeAdd { conversations })).await;
    }

    async fn ask(&self, user: &str, correlation_id: u64, asked: Asked) {
        let context = RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..RequestContext::default() };
        self.requests.send(SubscribeRequest { context: Some(context), request: Some(asked) }).await.unwrap();
    }

    async fn push(&mut self) -> Push {
        let push = timeout(Duration::from_secs(10), self.pushes.message()).await.expect("a push comes");
        push.unwrap().expect("the stream goes on").push.unwrap()
    }

    async fn subscribed(&mut self) -> Subscribed {
        match self.push().await {
            Push::Subscribed(subscribed) => subscribed,
            other => panic!("{other:?}"),
        }
    }

    /// The next entry; positions on the way are left out.
    async fn entry(&mut self) -> LogEntry {
        loop {
            match self.push().await {
                Push::Entry(entry) => return entry,
                Push::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn unsubscribed(&mut self) -> (u64, Option<Reason>) {
        loop {
            match self.push().await {
                Push::Unsubscribed(end) => {
                    return (end.correlation_id, end.error.map(|error| Error::from_proto(&error).reason));
                }
                Push::Position(_) | Push::Entry(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Positions are not in the log: what the store does not say, the bus does.
#[tokio::test]
async fn what_moves_at_another_instance_is_heard_by_the_bus() {
    let Some(url) = tokio::task::spawn_blocking(|| Server::Nats.address()).await.unwrap() else { return };
    let namespace = format!("message-{}", std::process::id());
    let world = World::new();
    let (here, there) = (world.node_on_bus(&url, &namespace).await, world.node_on_bus(&url, &namespace).await);
    let id = world.members.direct(["alice", "bob"]);
    sent(&mut here.client(), "alice", id, "m1", "text").await;
    let mut gateway = Following::open(&mut there.client()).await;
    gateway.add("", 1, &[(id, Some(1))]).await;
    assert_eq!(gateway.subscribed().await.head_seq, 1);
    let mut seq = 1;
    // The first hints may be lost: the subscription may not have arrived yet.
    eventually("a position is heard", Duration::from_secs(20), async || {
        seq = sent(&mut here.client(), "alice", id, &format!("m{}", seq + 1), "text").await.seq;
        let read = MarkReadRequest { conversation_id: id.to_string(), seq };
        here.client().mark_read(by("bob", read)).await.unwrap();
        while let Ok(push) = timeout(Duration::from_secs(1), gateway.push()).await {
            match push {
                Push::Position(position) if position.user_id == "bob" => return true,
                Push::Entry(_) | Push::Position(_) | Push::Heartbeat(_) => {}
                other => panic!("{other:?}"),
            }
        }
        false
    })
    .await;
}

#[tokio::test]
async fn entries_come_live_and_from_any_start() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let (one, two) = (world.members.direct(["alice", "bob"]), world.members.direct(["alice", "carol"]));
    for n in 0..5 {
        sent(&mut client, "alice", one, &format!("m{n}"), "text").await;
    }
    let mut gateway = Following::open(&mut client).await;

    gateway.add("", 7, &[(one, Some(2)), (two, None)]).await;
    let first = gateway.subscribed().await;
    assert_eq!((first.correlation_id, first.after_seq, first.head_seq), (7, 2, 5));
    let second = gateway.subscribed().await;
    assert_eq!((second.after_seq, second.head_seq), (0, 0));
    for seq in 3..=5 {
        let entry = gateway.entry().await;
        assert_eq!((entry.seq, entry.request_id), (seq, format!("m{}", seq - 1)), "a gateway sees the ids");
    }
    sent(&mut client, "carol", two, "m1", "live").await;
    assert_eq!(gateway.entry().await.conversation_id, two.to_string());
    match gateway.push().await {
        Push::Position(position) => assert_eq!((position.user_id.as_str(), position.read_seq), ("carol", 1)),
        other => panic!("a send moves its sender's position: {other:?}"),
    }
    gateway.ask("", 8, Asked::Remove(SubscribeRemove { conversation_ids: vec![two.to_string()] })).await;
    assert_eq!(gateway.unsubscribed().await, (8, None));
    sent(&mut client, "carol", two, "m2", "not followed").await;
    sent(&mut client, "bob", one, "m9", "followed").await;
    assert_eq!(gateway.entry().await.seq, 6);
}

#[tokio::test]
async fn every_subscriber_gets_every_entry_in_order_while_many_send() {
    const SENDS: u64 = 400;
    let world = World::new();
    // An inbox of three entries: most of them have to be filled in.
    let node = world.node_with(|config| config.subscriber_entries_max = 3).await;
    let mut client = node.client();
    let ids = [world.members.direct(["alice", "bob"]), world.members.direct(["alice", "carol"])];
    let mut followers = Vec::new();
    for _ in 0..4 {
        let follower = Following::open(&mut client).await;
        follower.add("", 1, &[(ids[0], Some(0)), (ids[1], Some(0))]).await;
        followers.push(follower);
    }
    let sends = (0..SENDS).map(|n| {
        let mut client = client.clone();
        async move { sent(&mut client, "alice", ids[n as usize % 2], &format!("m{n}"), "text").await }
    });
    let follow = followers.iter_mut().map(|follower| async {
        let mut seen: HashMap<String, u64> = HashMap::new();
        while seen.values().sum::<u64>() < SENDS {
            match follower.push().await {
                Push::Entry(entry) => {
                    let last = seen.entry(entry.conversation_id).or_default();
                    assert_eq!(entry.seq, *last + 1, "after n comes n + 1");
                    *last = entry.seq;
                }
                Push::Subscribed(_) | Push::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    futures::join!(futures::future::join_all(sends), futures::future::join_all(follow));
    assert!(node.metric("message_subscription_fills_total") > 0.0);
}

#[tokio::test]
async fn a_consumer_that_stops_reading_gets_the_rest_later() {
    let world = World::new();
    let node = world.node_with(|config| config.subscriber_entries_max = 8).await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let mut slow = Following::open(&mut client).await;
    slow.add("", 1, &[(id, None)]).await;
    slow.subscribed().await;
    for n in 0..300 {
        sent(&mut client, "alice", id, &format!("m{n}"), "text").await;
    }
    for seq in 1..=300 {
        assert_eq!(slow.entry().await.seq, seq);
    }
}

#[tokio::test]
async fn strangers_positions_past_the_head_and_malformed_ids_are_refused_one_by_one() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let mut stream = Following::open(&mut client).await;

    stream.add("mallory", 1, &[(id, None)]).await;
    assert_eq!(stream.unsubscribed().await, (1, Some(Reason::ConversationNotFound)));
    stream.add("alice", 2, &[(id, Some(4))]).await;
    assert_eq!(stream.unsubscribed().await, (2, Some(Reason::InvalidArgument)));
    let conversations = vec![SubscribeStart { conversation_id: "no id".to_owned(), after_seq: None }];
    stream.ask("alice", 3, Asked::Add(SubscribeAdd { conversations })).await;
    assert_eq!(stream.unsubscribed().await, (3, Some(Reason::InvalidArgument)));
    stream.add("alice", 4, &[(id, None)]).await;
    assert_eq!(stream.subscribed().await.correlation_id, 4);
}

#[tokio::test]
async fn what_is_asked_for_once_more_shows_nothing_before_it_is_known_what_its_user_may_see() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let all = world.members.direct(["alice", "bob"]);
    for n in 0..100 {
        sent(&mut client, "bob", all, &format!("m{n}"), &"long ".repeat(600)).await;
    }
    let cleared: Vec<_> = (0..5).map(|_| world.members.direct(["alice", "carol"])).collect();
    for id in &cleared {
        sent(&mut client, "carol", *id, "m1", "gone").await;
        world.members.clear(*id, "alice", 1);
    }
    let mut alice = Following::open(&mut client).await;
    let starts: Vec<_> = [&all].into_iter().chain(&cleared).map(|id| (*id, Some(0))).collect();
    alice.add("alice", 1, &starts).await;
    for _ in &starts {
        alice.subscribed().await;
    }
    // Nothing more is read: the others wait behind the long one.
    until_answers_are_old().await;
    world.members.silent.store(true, Ordering::SeqCst);
    alice.add("alice", 2, &starts[1..]).await;
    let mut shown = 0;
    while shown < starts.len() - 1 {
        if let Push::Entry(entry) = alice.push().await
            && entry.conversation_id != all.to_string()
        {
            assert!(is_hidden(&entry), "{entry:?}");
            shown += 1;
        }
    }
    world.members.silent.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn a_user_sees_the_ids_of_their_own_writes_only() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let mut stream = Following::open(&mut client).await;
    stream.add("alice", 1, &[(id, None)]).await;
    stream.subscribed().await;

    sent(&mut client, "alice", id, "mine", "text").await;
    sent(&mut client, "bob", id, "theirs", "text").await;
    assert_eq!(stream.entry().await.request_id, "mine");
    assert_eq!(stream.entry().await.request_id, "");
}

#[tokio::test]
async fn a_removed_user_stops_hearing_when_the_log_says_so() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let mut stream = Following::open(&mut client).await;
    stream.add("bob", 1, &[(id, None)]).await;
    stream.subscribed().await;

    let version = world.members.remove(id, "bob");
    system(&mut client, id, version, "alice", removed("bob")).await.unwrap();
    sent(&mut client, "alice", id, "m1", "bob must not see this").await;

    loop {
        match stream.push().await {
            Push::Unsubscribed(end) => break assert_eq!(end.correlation_id, 0),
            // Of the group's creation, told after its ack.
            Push::Position(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_removed_user_stops_hearing_within_a_second_of_the_commit_also_if_the_log_does_not_know() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let mut stream = Following::open(&mut client).await;
    stream.add("bob", 1, &[(id, None)]).await;
    stream.subscribed().await;

    world.members.remove(id, "bob");
    let ended = timeout(Duration::from_secs(1), stream.unsubscribed()).await.expect("within a second");
    assert_eq!(ended, (0, Some(Reason::ConversationNotFound)));
}

#[tokio::test]
async fn one_who_came_back_reads_past_their_own_removal() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let version = world.members.remove(id, "bob");
    system(&mut client, id, version, "alice", removed("bob")).await.unwrap();
    let version = world.members.add(id, "bob", Role::Member);
    let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
    world.members.joined(id, "bob", joined);

    let mut stream = Following::open(&mut client).await;
    stream.add("bob", 1, &[(id, Some(0))]).await;
    stream.subscribed().await;
    for seq in 1..=3 {
        assert_eq!(stream.entry().await.seq, seq);
    }
}

#[tokio::test]
async fn a_quiet_stream_has_heartbeats() {
    let world = World::new();
    let node = world.node_with(|config| config.heartbeat_interval_ms = 50).await;
    let mut stream = Following::open(&mut node.client()).await;
    assert!(matches!(stream.push().await, Push::Heartbeat(_)));
}

#[tokio::test]
async fn entries_of_another_process_come_too() {
    let world = World::new();
    let (here, there) = (world.node().await, world.node().await);
    let id = world.members.direct(["alice", "bob"]);
    let mut stream = Following::open(&mut here.client()).await;
    stream.add("", 1, &[(id, None)]).await;
    stream.subscribed().await;

    for n in 1..=3 {
        sent(&mut there.client(), "alice", id, &format!("m{n}"), "text").await;
        let entry = timeout(Duration::from_secs(1), stream.entry()).await.expect("within a second");
        assert_eq!(entry.seq, n);
    }
}

#[tokio::test]
async fn ten_thousand_conversations_on_one_stream() {
    const CONVERSATIONS: usize = 10_000;
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let ids: Vec<_> = (0..CONVERSATIONS).map(|n| world.members.direct(["alice", &format!("peer{n}")])).collect();
    let mut stream = Following::open(&mut client).await;
    for (correlation_id, chunk) in ids.chunks(500).enumerate() {
        let starts: Vec<_> = chunk.iter().map(|id| (*id, None)).collect();
        stream.add("", correlation_id as u64, &starts).await;
        for _ in chunk {
            stream.subscribed().await;
        }
    }
    sent(&mut client, "alice", ids[CONVERSATIONS - 1], "m1", "text").await;
    assert_eq!(stream.entry().await.conversation_id, ids[CONVERSATIONS - 1].to_string());
}
