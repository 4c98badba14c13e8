use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::error::Reason;
use viberchat_proto::presence::v1::attach_request::Report;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::{self as proto, SessionState, Status};

use crate::support::*;

#[tokio::test]
async fn a_session_makes_its_user_online_and_its_end_offline_within_a_second() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Offline, None));
    let gateway = Gateway::attach(&mut client, "g").await;

    let begun = Instant::now();
    gateway.bring(&["ann"]).await;
    assert_eq!(watching.change().await.2, (Status::Online, None));
    gateway.report(&[("ann", "ann", SessionState::Idle)], false).await;
    assert_eq!(watching.change().await.2, (Status::Away, None));
    gateway.take_away("ann").await;
    assert_eq!(watching.change().await.2, (Status::Offline, Some(MINUTE)));
    gateway.bring(&["ann"]).await;
    assert_eq!(watching.change().await.2, (Status::Online, None));
    gateway.detach().await;
    assert_eq!(watching.change().await.2, (Status::Offline, Some(MINUTE)));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(node.metric("lost_gateways_total"), 0.0);
    node.stop().await;
}

#[tokio::test]
async fn a_crash_shows_after_the_grace_and_within_ten_seconds() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    watching.follow("bob", "ann").await;
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    assert_eq!(watching.change().await.2.0, Status::Online);

    let begun = Instant::now();
    drop(gateway);
    assert_eq!(watching.change().await.2.0, Status::Offline);
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(node.metric("lost_gateways_total"), 1.0);
}

#[tokio::test]
async fn a_silent_gateway_loses_its_stream_then_its_sessions() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world
        .node_with(|config| {
            config.start_grace_ms = 1;
            config.attach_heartbeat_ms = 50;
            config.attach_silence_ms = 500;
            config.attach_grace_ms = 1_500;
        })
        .await;
    let mut client = node.client();
    let mut gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    assert!(matches!(gateway.answer().await.unwrap(), Some(Answer::Heartbeat(_))), "heartbeats go both ways");
    // As long as it is heard it stays, however long that is.
    for _ in 0..20 {
        gateway.say(Report::Heartbeat(proto::AttachHeartbeat {})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Online);
    let begun = Instant::now();
    assert_eq!(gateway.end().await, Some(Reason::DeadlineExceeded));
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Online, "the grace is not over");
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Offline).await;
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gateway_that_attaches_again_keeps_what_it_lists() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    let mut first = Gateway::attach(&mut client, "g").await;
    first.bring(&["ann", "bob"]).await;
    eventually(async || status_of(&mut client, "eve", "bob").await == Status::Online).await;
    watching.follow("eve", "ann").await;
    watching.follow("eve", "bob").await;

    let second = Gateway::attach(&mut client, "g").await;
    assert_eq!(first.end().await, None, "the earlier stream just ends");
    second.report(&[("ann", "ann", SessionState::Active)], false).await;
    second.report(&[], true).await;
    assert_eq!(watching.change().await.1, "bob", "only who was not listed goes");
    watching.assert_quiet().await;
    assert_eq!(status_of(&mut client, "eve", "ann").await, Status::Online);
    assert_eq!(node.metric("lost_gateways_total"), 0.0);
}

#[tokio::test]
async fn nobody_is_offline_for_a_moment_after_the_start() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node_with(|config| config.start_grace_ms = 1_500).await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Unspecified, None));
    assert_eq!(watching.follow("bob", "eve").await, (Status::Unspecified, None));
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["eve"]).await;
    assert_eq!(watching.change().await, ("bob".into(), "eve".into(), (Status::Online, None)));
    // The time is over: who did not come is offline, and who came is not told of again.
    assert_eq!(watching.change().await, ("bob".into(), "ann".into(), (Status::Offline, None)));
    watching.assert_quiet().await;
}

#[tokio::test]
async fn what_a_gateway_may_not_say_ends_its_stream() {
    let world = World::new();
    let node = world.node_with(|config| config.gateways_max = 1).await;
    let mut client = node.client();
    let hello = |id: &str| Report::Hello(proto::AttachHello { incarnation_id: id.to_owned() });
    let end = async |client: &mut _, reports: Vec<Report>| {
        let mut gateway = Gateway::open(client).await;
        for report in reports {
            gateway.say(report).await;
        }
        gateway.end().await
    };
    let session = |session: &str, user: &str, state: SessionState| {
        let report =
            proto::SessionReport { session_id: session.to_owned(), user_id: user.to_owned(), state: state.into() };
        Report::Sessions(proto::SessionsChanged { sessions: vec![report], complete: false })
    };
    let invalid = Some(Reason::InvalidArgument);
    assert_eq!(end(&mut client, vec![Report::Heartbeat(proto::AttachHeartbeat {})]).await, invalid);
    assert_eq!(end(&mut client, vec![hello("")]).await, invalid);
    assert_eq!(end(&mut client, vec![hello("g"), hello("g")]).await, invalid);
    assert_eq!(end(&mut client, vec![hello("g"), session("", "ann", SessionState::Active)]).await, invalid);
    assert_eq!(end(&mut client, vec![hello("g"), session("s", "", SessionState::Active)]).await, invalid);
    assert_eq!(end(&mut client, vec![hello("g"), session("s", "a", SessionState::Unspecified)]).await, invalid);
    let many = proto::SessionsChanged { sessions: vec![proto::SessionReport::default(); 501], complete: false };
    let limit = Some(Reason::LimitExceeded);
    assert_eq!(end(&mut client, vec![hello("g"), Report::Sessions(many)]).await, limit);
    // The incarnation counts until its grace is over.
    assert_eq!(end(&mut client, vec![hello("h")]).await, limit);
}

#[tokio::test]
async fn sessions_that_are_too_many_are_left_out_and_counted() {
    let world = World::new();
    let node = world.node_with(|config| config.sessions_max = 2).await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann", "bob", "eve"]).await;
    eventually(async || node.metric("shed_sessions_total") == 1.0).await;
    assert_eq!(status_of(&mut client, "ann", "ann").await, Status::Online);
    assert_ne!(status_of(&mut client, "eve", "eve").await, Status::Online);
}

#[tokio::test]
async fn the_end_of_the_service_ends_all_streams_with_the_reason() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let mut gateway = Gateway::attach(&mut client, "g").await;
    let mut watching = Watching::open(&mut client).await;
    watching.follow("ann", "ann").await;
    node.stop().await;
    assert_eq!(gateway.end().await, Some(Reason::Draining));
    assert_eq!(reason(&watching.pushes.message().await.unwrap_err()), Reason::Draining);
}
