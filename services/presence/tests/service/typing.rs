use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use viberchat_kit::auth::Scope;
use viberchat_kit::error::Reason;
use viberchat_kit::id::ConversationId;
use viberchat_proto::presence::v1::watch_typing_request::Request as Asked;
use viberchat_proto::presence::v1::watch_typing_response::Push;
use viberchat_proto::presence::v1::{self as proto, Status};

use crate::support::*;

pub(crate) struct Following {
    requests: mpsc::Sender<proto::WatchTypingRequest>,
    pushes: Streaming<proto::WatchTypingResponse>,
}

impl Following {
    pub(crate) async fn open(client: &mut Client) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let pushes = client.watch_typing(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, pushes }
    }

    /// For nobody: `user` is empty.
    pub(crate) async fn add(&self, user: &str, correlation_id: u64, ids: &[ConversationId]) {
        let conversation_ids = ids.iter().map(ToString::to_string).collect();
        let request = Some(Asked::Add(proto::WatchTypingAdd { conversation_ids }));
        let context = for_user(user, correlation_id);
        self.requests.send(proto::WatchTypingRequest { context, request }).await.unwrap();
    }

    async fn remove(&self, user: &str, ids: &[ConversationId]) {
        let conversation_ids = ids.iter().map(ToString::to_string).collect();
        let request = Some(Asked::Remove(proto::WatchTypingRemove { conversation_ids }));
        self.requests.send(proto::WatchTypingRequest { context: for_user(user, 0), request }).await.unwrap();
    }

    async fn push(&mut self) -> Push {
        let push = timeout(Duration::from_secs(10), self.pushes.message()).await.expect("a push comes");
        push.unwrap().expect("the stream goes on").push.unwrap()
    }

    pub(crate) async fn change(&mut self) -> (String, bool) {
        match self.push().await {
            Push::Change(change) => (change.user_id, change.typing),
            other => panic!("{other:?}"),
        }
    }

    /// The correlation id, the reason, and which conversation it is about.
    async fn refused(&mut self) -> (u64, String, Option<String>) {
        match self.push().await {
            Push::Refused(refusal) => {
                let error = refusal.error.unwrap();
                (refusal.correlation_id, error.reason, error.metadata.get("conversation_id").cloned())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that nothing is left to be pushed: nothing comes, then the refusal of a new request.
    pub(crate) async fn assert_quiet(&mut self) {
        let push = timeout(QUIET, self.pushes.message()).await;
        assert!(push.is_err(), "{push:?}");
        let request = proto::WatchTypingRequest { context: for_user("quiet", 999), request: None };
        self.requests.send(request).await.unwrap();
        assert_eq!(self.refused().await, (999, "INVALID_ARGUMENT".into(), None));
    }
}

pub(crate) async fn set_typing(client: &mut Client, user: &str, id: ConversationId, typing: bool) -> Option<Reason> {
    let request = proto::SetTypingRequest { conversation_id: id.to_string(), typing };
    client.set_typing(by(user, request)).await.err().map(|status| reason(&status))
}

#[tokio::test]
async fn members_and_gateways_hear_who_types_and_who_no_more() {
    let world = World::new();
    let (id, other) = (world.members.conversation(1, &["ann", "bob"]), world.members.conversation(2, &["ann"]));
    let node = world.node().await;
    let mut client = node.client();
    let (mut bobs, mut relay) = (Following::open(&mut client).await, Following::open(&mut client).await);
    bobs.add("bob", 1, &[id]).await;
    relay.add("", 1, &[id, other]).await;
    bobs.assert_quiet().await;
    relay.assert_quiet().await;
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(bobs.change().await, ("ann".into(), true));
    assert_eq!(relay.change().await, ("ann".into(), true));
    // A repetition is no change.
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    bobs.assert_quiet().await;
    assert_eq!(set_typing(&mut client, "bob", id, true).await, None);
    assert_eq!(bobs.change().await, ("bob".into(), true), "of oneself too");
    assert_eq!(relay.change().await, ("bob".into(), true));
    assert_eq!(set_typing(&mut client, "ann", id, false).await, None);
    assert_eq!(bobs.change().await, ("ann".into(), false));
    assert_eq!(relay.change().await, ("ann".into(), false));
    assert_eq!(set_typing(&mut client, "ann", id, false).await, None);
    assert_eq!(set_typing(&mut client, "ann", other, true).await, None);
    assert_eq!(relay.change().await, ("ann".into(), true));
    bobs.assert_quiet().await;
    // Who comes later is told who types.
    let mut late = Following::open(&mut client).await;
    late.add("ann", 1, &[id]).await;
    assert_eq!(late.change().await, ("bob".into(), true));
    late.add("", 2, &[id]).await;
    assert_eq!(late.change().await, ("bob".into(), true), "for the second follower of the stream");
    late.remove("ann", &[id]).await;
    late.remove("", &[id]).await;
    late.assert_quiet().await;
    assert_eq!(set_typing(&mut client, "bob", id, false).await, None);
    assert_eq!(relay.change().await, ("bob".into(), false));
    late.assert_quiet().await;
}

#[tokio::test]
async fn typing_ends_by_itself_after_six_seconds() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut following = Following::open(&mut client).await;
    following.add("bob", 1, &[id]).await;
    let begun = Instant::now();
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
    assert_eq!(following.change().await, ("ann".into(), false));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(6) && took < Duration::from_secs(7), "{took:?}");
}

#[tokio::test]
async fn strangers_neither_type_nor_hear() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let nowhere = ConversationId::from_bytes([9; 16]);
    let node = world.node().await;
    let mut client = node.client();
    let not_found = Some(Reason::ConversationNotFound);
    assert_eq!(set_typing(&mut client, "eve", id, true).await, not_found);
    assert_eq!(set_typing(&mut client, "eve", id, false).await, not_found);
    assert_eq!(set_typing(&mut client, "eve", nowhere, true).await, not_found);
    let mut following = Following::open(&mut client).await;
    following.add("eve", 3, &[id, nowhere]).await;
    let refusal = |id: ConversationId| (3, "CONVERSATION_NOT_FOUND".to_owned(), Some(id.to_string()));
    assert_eq!(following.refused().await, refusal(id));
    assert_eq!(following.refused().await, refusal(nowhere));
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    following.assert_quiet().await;
    // Without a user only a gateway hears.
    let mut backend = Following::open(&mut node.client_as(&[Scope::ActForUsers])).await;
    backend.add("", 4, &[id]).await;
    assert_eq!(backend.refused().await.1, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_removed_member_is_cut_off_within_a_second() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut following = Following::open(&mut client).await;
    following.add("bob", 5, &[id]).await;
    assert_eq!(set_typing(&mut client, "bob", id, true).await, None);
    assert_eq!(following.change().await, ("bob".into(), true));
    world.members.remove(id, "bob");
    let begun = Instant::now();
    assert_eq!(following.refused().await, (5, "CONVERSATION_NOT_FOUND".into(), Some(id.to_string())));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    following.assert_quiet().await;
    eventually(async || set_typing(&mut client, "bob", id, true).await.is_some()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_invisible_user_types_unseen() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut following = Following::open(&mut client).await;
    following.add("bob", 1, &[id]).await;
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
    set_status(&mut client, "ann", Status::Invisible).await;
    assert_eq!(following.change().await, ("ann".into(), false), "who hides types no more");
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    following.assert_quiet().await;
    set_status(&mut client, "ann", Status::Online).await;
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
}

#[tokio::test]
async fn without_the_conversation_service_members_go_on_for_the_grace() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node_with(|config| config.authorization_grace_ms = 1_500).await;
    let mut client = node.client();
    let mut following = Following::open(&mut client).await;
    following.add("bob", 6, &[id]).await;
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
    world.members.unavailable.store(true, Ordering::SeqCst);
    assert_eq!(set_typing(&mut client, "bob", id, true).await, Some(Reason::StoreUnavailable), "nobody new");
    assert_eq!(set_typing(&mut client, "ann", id, false).await, None);
    assert_eq!(following.change().await, ("ann".into(), false));
    assert_eq!(following.refused().await, (6, "STORE_UNAVAILABLE".into(), Some(id.to_string())));
    eventually(async || set_typing(&mut client, "ann", id, true).await == Some(Reason::StoreUnavailable)).await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_or_shed() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob", "eve"]);
    let two = world.members.conversation(2, &["ann"]);
    let node = world
        .node_with(|config| {
            config.conversation_typists_max = 1;
            config.typing_follows_max = 1;
            config.typing_conversations_max = 1;
        })
        .await;
    let mut client = node.client();
    let mut following = Following::open(&mut client).await;
    following.add("ann", 1, &[id]).await;
    following.add("bob", 2, &[id]).await;
    assert_eq!(following.refused().await, (2, "LIMIT_EXCEEDED".into(), None));
    following.add("", 3, &[two]).await;
    assert_eq!(following.refused().await, (3, "LIMIT_EXCEEDED".into(), None));
    following.add("ann", 4, &vec![id; 201]).await;
    assert_eq!(following.refused().await, (4, "LIMIT_EXCEEDED".into(), None));
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
    assert_eq!(set_typing(&mut client, "bob", id, true).await, None, "shed, not refused");
    following.assert_quiet().await;
    assert_eq!(node.metric("shed_typing_total"), 1.0);
    let malformed = proto::SetTypingRequest { conversation_id: "x".into(), typing: true };
    let refused = client.set_typing(by("ann", malformed)).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::InvalidArgument);
}
