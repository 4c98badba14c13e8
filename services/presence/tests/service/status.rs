use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use viberchat_kit::error::Reason;
use viberchat_proto::presence::v1::{self as proto, Status};

use crate::support::*;

#[tokio::test]
async fn a_status_holds_for_all_sessions_until_it_is_set_again_and_over_a_restart() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    assert_eq!(set_status(&mut client, "ann", Status::Busy).await.0, Status::Offline, "nobody is there yet");
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Busy).await;
    assert_eq!(set_status(&mut client, "ann", Status::Away).await, (Status::Away, None));
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Away);
    node.stop().await;

    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g2").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Away).await;
    assert_eq!(set_status(&mut client, "ann", Status::Online).await, (Status::Online, None));
}

#[tokio::test]
async fn an_invisible_user_looks_offline_and_causes_no_push() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    let (mut bobs, mut own) = (Watching::open(&mut client).await, Watching::open(&mut client).await);
    bobs.follow("bob", "ann").await;
    assert_eq!(own.follow("ann", "ann").await, (Status::Online, None));

    assert_eq!(set_status(&mut client, "ann", Status::Invisible).await, (Status::Invisible, None));
    let hidden = (Status::Offline, Some(MINUTE));
    assert_eq!(bobs.change().await.2, hidden);
    assert_eq!(own.change().await.2, (Status::Invisible, None), "to oneself as it is");
    world.pass_minutes(5);
    // Whatever she does now, nobody else hears of it.
    gateway.report(&[("ann", "ann", proto::SessionState::Idle)], false).await;
    gateway.report(&[("second", "ann", proto::SessionState::Active)], false).await;
    gateway.take_away("ann").await;
    gateway.report(&[("second", "ann", proto::SessionState::Gone)], false).await;
    gateway.bring(&["ann"]).await;
    set_status(&mut client, "ann", Status::Invisible).await;
    let typing = proto::SetTypingRequest { conversation_id: id.to_string(), typing: true };
    client.set_typing(by("ann", typing)).await.unwrap();
    gateway.bring(&["bob"]).await;
    eventually(async || status_of(&mut client, "bob", "bob").await == Status::Online).await;
    bobs.assert_quiet().await;
    assert_eq!(see(&mut client, "bob", "ann").await, hidden);
    assert_eq!(see(&mut client, "ann", "ann").await, (Status::Invisible, None));
    assert_eq!(Watching::open(&mut client).await.follow("bob", "ann").await, hidden);
    gateway.detach().await;
    bobs.assert_quiet().await;
    assert_eq!(see(&mut client, "bob", "ann").await, hidden);
    node.stop().await;

    // A restart tells nothing either: neither that she is here, nor that she was.
    let node = world.node().await;
    let mut client = node.client();
    assert_eq!(see(&mut client, "bob", "ann").await, hidden);
    let mut bobs = Watching::open(&mut client).await;
    assert_eq!(bobs.follow("bob", "ann").await, hidden);
    let gateway = Gateway::attach(&mut client, "g2").await;
    gateway.bring(&["ann", "bob"]).await;
    eventually(async || status_of(&mut client, "bob", "bob").await == Status::Online).await;
    bobs.assert_quiet().await;
    assert_eq!(see(&mut client, "bob", "ann").await, hidden);
}

#[tokio::test]
async fn an_invisible_user_is_as_unknown_as_others_after_a_start() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node_with(|config| config.start_grace_ms = 60_000).await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    set_status(&mut client, "ann", Status::Invisible).await;
    gateway.bring(&["ann", "bob"]).await;
    eventually(async || status_of(&mut client, "bob", "bob").await == Status::Online).await;
    let absent = see(&mut client, "bob", "eve").await;
    assert_eq!(absent, (Status::Unspecified, None));
    assert_eq!(see(&mut client, "bob", "ann").await, absent);
}

#[tokio::test]
async fn last_seen_is_to_the_minute_and_outlives_a_restart() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann", "eve"]).await;
    eventually(async || status_of(&mut client, "bob", "eve").await == Status::Online).await;
    world.pass_minutes(2);
    gateway.take_away("ann").await;
    eventually(async || see(&mut client, "bob", "ann").await == (Status::Offline, Some(MINUTE + 2))).await;
    world.pass_minutes(1);
    // Eve is there until the end.
    node.stop().await;

    let node = world.node().await;
    let mut client = node.client();
    world.pass_minutes(10);
    assert_eq!(see(&mut client, "bob", "ann").await, (Status::Offline, Some(MINUTE + 2)));
    assert_eq!(see(&mut client, "bob", "eve").await, (Status::Offline, Some(MINUTE + 3)));
}

#[tokio::test]
async fn last_seen_is_written_every_few_seconds_and_not_only_at_the_end() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node_with(|config| config.last_seen_interval_ms = 20).await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    gateway.take_away("ann").await;
    eventually(async || node.metric("written_rows_total") == 1.0).await;
    eventually(async || node.metric("users") == 0.0).await;
    // Another process on the file knows it while this one runs on.
    let other = world.node().await;
    assert_eq!(see(&mut other.client(), "bob", "ann").await, (Status::Offline, Some(MINUTE)));
}

#[tokio::test]
async fn only_what_one_can_be_can_be_set() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    for status in [0, Status::Offline.into(), 99] {
        let refused = client.set_status(by("ann", proto::SetStatusRequest { status })).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::InvalidArgument, "{status}");
    }
}

#[tokio::test]
async fn strangers_see_nothing_and_conversation_mates_all() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann", "eve"]).await;
    let request = proto::BatchGetPresenceRequest { user_ids: ["eve", "ann", "bob", "ann"].map(Into::into).into() };
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    let presences = client.batch_get_presence(by("bob", request)).await.unwrap().into_inner().presences;
    let seen: Vec<_> = presences.iter().map(|one| (one.user_id.as_str(), seen(one).0)).collect();
    let expected =
        [("eve", Status::Unspecified), ("ann", Status::Online), ("bob", Status::Offline), ("ann", Status::Online)];
    assert_eq!(seen, expected, "one for each user named, in their order");
    // A user who has never been anywhere looks the same to a stranger.
    assert_eq!(see(&mut client, "bob", "nobody").await, (Status::Unspecified, None));
    assert_eq!(Watching::open(&mut client).await.follow("bob", "eve").await, (Status::Unspecified, None));
}

#[tokio::test]
async fn too_many_or_malformed_users_are_refused() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let mut refused = async |user_ids: Vec<String>| {
        let request = proto::BatchGetPresenceRequest { user_ids };
        reason(&client.batch_get_presence(by("ann", request)).await.unwrap_err())
    };
    assert_eq!(refused(vec!["bob".into(); 201]).await, Reason::LimitExceeded);
    assert_eq!(refused(vec![String::new()]).await, Reason::InvalidArgument);
}

#[tokio::test]
async fn without_the_conversation_service_known_mates_go_on_and_nobody_new_is_shown() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann", "eve"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    world.members.unavailable.store(true, Ordering::SeqCst);
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Online, "known");
    let refused = try_see(&mut client, "bob", "eve").await.unwrap_err();
    assert_eq!(reason(&refused), Reason::StoreUnavailable);
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert_eq!(status_of(&mut client, "eve", "eve").await, Status::Online, "oneself needs no answer");
}

#[tokio::test]
async fn an_answer_serves_for_its_time_and_a_refusal_not_at_all() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world
        .node_with(|config| {
            config.start_grace_ms = 1;
            config.visibility_ms = 300;
            config.visibility_check_ms = 100;
        })
        .await;
    let mut client = node.client();
    let asked = || world.members.questions.load(Ordering::SeqCst);
    see(&mut client, "bob", "ann").await;
    let once = asked();
    see(&mut client, "bob", "ann").await;
    assert_eq!(asked(), once);
    world.members.remove(id, "ann");
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Unspecified).await;
    world.members.add(id, "ann");
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Offline);
}

#[tokio::test]
async fn who_shares_no_conversation_any_more_is_shown_nothing_after_a_second() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node_with(|config| config.start_grace_ms = 1).await;
    let mut client = node.client();
    see(&mut client, "bob", "ann").await;
    world.members.remove(id, "ann");
    let removed_at = Instant::now();
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Unspecified).await;
    assert!(removed_at.elapsed() < Duration::from_secs(5), "{:?}", removed_at.elapsed());
}
