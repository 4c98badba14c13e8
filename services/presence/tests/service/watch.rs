use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::auth::Scope;
use viberchat_proto::presence::v1::watch_request::Request as Asked;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::{self as proto, Status};

use crate::support::*;

#[tokio::test]
async fn each_watcher_gets_a_snapshot_then_changes_until_they_unwatch() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    let mut watching = Watching::open(&mut client).await;
    watching.add("bob", 7, &["ann", "eve", "stranger"]).await;
    let (correlation_id, presences) = watching.snapshot().await;
    assert_eq!(correlation_id, 7);
    let expected = [
        ("ann".to_owned(), (Status::Online, None)),
        ("eve".to_owned(), (Status::Offline, None)),
        ("stranger".to_owned(), (Status::Unspecified, None)),
    ];
    assert_eq!(presences, expected);
    watching.follow("eve", "ann").await;
    assert_eq!(node.metric("watch_pairs"), 3.0);

    gateway.take_away("ann").await;
    let mut told = [watching.change().await, watching.change().await];
    told.sort();
    let offline = (Status::Offline, Some(MINUTE));
    assert_eq!(told, [("bob".into(), "ann".into(), offline), ("eve".into(), "ann".into(), offline)]);
    gateway.bring(&["stranger"]).await;
    watching.remove("bob", &["ann"]).await;
    watching.assert_quiet().await;
    gateway.bring(&["ann"]).await;
    assert_eq!(watching.change().await.0, "eve", "and not bob");
    watching.remove("eve", &[]).await;
    watching.remove("bob", &["nobody"]).await;
    watching.assert_quiet().await;
    gateway.take_away("ann").await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Offline).await;
    watching.assert_quiet().await;
    drop(watching);
    eventually(async || node.metric("watch_streams") == 0.0).await;
    assert_eq!(node.metric("watch_pairs"), 0.0);
}

#[tokio::test]
async fn requests_of_one_watcher_are_answered_in_their_order() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    for _ in 0..20 {
        watching.add("bob", 1, &["ann"]).await;
        watching.remove("bob", &["ann"]).await;
        watching.snapshot().await;
    }
    watching.assert_quiet().await;
    assert_eq!(node.metric("watch_pairs"), 1.0, "of the last question only");
}

#[tokio::test]
async fn who_leaves_is_seen_no_more_and_the_watcher_is_told_once() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world
        .node_with(|config| {
            config.start_grace_ms = 1;
            config.visibility_check_ms = 50;
        })
        .await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    let mut watching = Watching::open(&mut client).await;
    watching.follow("bob", "ann").await;
    watching.follow("eve", "ann").await;
    world.members.remove(id, "bob");
    assert_eq!(watching.change().await, ("bob".into(), "ann".into(), (Status::Unspecified, None)));
    gateway.take_away("ann").await;
    assert_eq!(watching.change().await.0, "eve", "and bob hears nothing");
    watching.assert_quiet().await;
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Unspecified, "the answer is not remembered");
}

#[tokio::test]
async fn without_answers_a_pair_shows_nothing_after_a_while_and_goes_on_when_there_are_some() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob"]);
    let node = world
        .node_with(|config| {
            config.start_grace_ms = 1;
            config.visibility_ms = 400;
            config.visibility_check_ms = 100;
        })
        .await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Offline, None));
    assert_eq!(watching.follow("bob", "bob").await, (Status::Offline, None));
    world.members.unavailable.store(true, Ordering::SeqCst);
    assert_eq!(watching.change().await, ("bob".into(), "ann".into(), (Status::Unspecified, None)));
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann", "bob"]).await;
    assert_eq!(watching.change().await, ("bob".into(), "bob".into(), (Status::Online, None)), "oneself goes on");
    world.members.unavailable.store(false, Ordering::SeqCst);
    assert_eq!(watching.change().await, ("bob".into(), "ann".into(), (Status::Online, None)));
}

#[tokio::test]
async fn refusals_carry_the_correlation_id_and_the_stream_lives() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve", "joe"]);
    let node = world
        .node_with(|config| {
            config.start_grace_ms = 1;
            config.watch_users_max = 2;
            config.watch_pairs_max = 3;
        })
        .await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    watching.add("bob", 1, &["ann", "eve", "joe"]).await;
    assert_eq!(watching.refused().await, (1, "LIMIT_EXCEEDED".into()));
    watching.add("bob", 2, &["ann", "eve"]).await;
    watching.snapshot().await;
    watching.add("bob", 3, &["ann", "eve"]).await;
    assert_eq!(watching.snapshot().await.0, 3, "no new pair");
    watching.add("eve", 4, &["ann", "bob"]).await;
    assert_eq!(watching.refused().await, (4, "LIMIT_EXCEEDED".into()), "of the stream");
    watching.add("bob", 5, &[""]).await;
    assert_eq!(watching.refused().await, (5, "INVALID_ARGUMENT".into()));
    watching.add("", 6, &["ann"]).await;
    assert_eq!(watching.refused().await, (6, "PERMISSION_DENIED".into()), "for nobody");
    let many = proto::WatchAdd { user_ids: vec!["ann".to_owned(); 201] };
    watching.ask("bob", 7, Asked::Add(many)).await;
    assert_eq!(watching.refused().await, (7, "LIMIT_EXCEEDED".into()));
    world.members.unavailable.store(true, Ordering::SeqCst);
    watching.remove("bob", &["ann", "eve"]).await;
    watching.add("bob", 8, &["joe"]).await;
    assert_eq!(watching.refused().await, (8, "STORE_UNAVAILABLE".into()));
    world.members.unavailable.store(false, Ordering::SeqCst);
    assert_eq!(watching.follow("bob", "joe").await.0, Status::Offline);
}

#[tokio::test]
async fn one_silent_question_holds_up_nobody_else() {
    let world = World::new();
    world.members.conversation(1, &["ann", "bob", "eve"]);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    *world.members.silent_about.lock() = Some("bob".into());
    watching.add("bob", 1, &["ann"]).await;
    watching.add("eve", 2, &["ann"]).await;
    let begun = Instant::now();
    assert_eq!(watching.snapshot().await.0, 2);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(watching.refused().await, (1, "STORE_UNAVAILABLE".into()), "after the time for one question");
}

#[tokio::test]
async fn who_asks_again_after_a_removal_is_checked_at_once() {
    let world = World::new();
    let id = world.members.conversation(1, &["ann", "bob"]);
    let node = world.node().await;
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Online).await;
    let mut watching = Watching::open(&mut client).await;
    assert_eq!(watching.follow("bob", "ann").await.0, Status::Online);
    world.members.remove(id, "bob");
    assert_eq!(watching.follow("bob", "ann").await, (Status::Unspecified, None));
    assert_eq!(node.metric("watch_pairs"), 0.0);
    gateway.take_away("ann").await;
    watching.assert_quiet().await;
    assert_eq!(status_of(&mut client, "bob", "ann").await, Status::Unspecified);
}

#[tokio::test]
async fn a_stream_says_that_it_lives() {
    let world = World::new();
    let node = world.node_with(|config| config.heartbeat_interval_ms = 20).await;
    let mut client = node.client_as(&[Scope::ActForUsers]);
    let mut watching = Watching::open(&mut client).await;
    assert!(matches!(watching.push().await, Push::Heartbeat(_)));
    assert!(matches!(watching.push().await, Push::Heartbeat(_)));
}
