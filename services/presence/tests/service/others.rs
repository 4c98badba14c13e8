//! Two instances on one store, and the bus between them.

use tokio::time::{Duration, Instant, timeout};
use viberchat_engines::Server;
use viberchat_kit::bus::{Bus, shard_of};
use viberchat_kit::id::SystemEntropy;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::presence::v1::Status;

use crate::support::*;
use crate::typing::{Following, set_typing};

/// Where the bus is. `None`: it is not installed, which has been said.
async fn bus() -> Option<String> {
    tokio::task::spawn_blocking(|| Server::Nats.address()).await.unwrap()
}

fn namespace(test: &str) -> String {
    format!("presence-{test}-{}", std::process::id())
}

/// Two instances that hear each other, and gateways that are attached to both.
struct Pair {
    here: Node,
    there: Node,
}

impl Pair {
    /// `None`: there is no bus.
    async fn start(world: &World, test: &str) -> Option<Self> {
        let (url, namespace) = (bus().await?, namespace(test));
        let (here, there) = (world.node_on_bus(&url, &namespace).await, world.node_on_bus(&url, &namespace).await);
        // Until the subscriptions have arrived hints may be lost, and are found by the beacon; typing is not.
        for (from, to) in [(&here, &there), (&there, &here)] {
            let before = to.metric_of("bus_heard_total");
            eventually(async || {
                set_status(&mut from.client(), "herald", Status::Busy).await;
                to.metric_of("bus_heard_total") > before
            })
            .await;
        }
        Some(Self { here, there })
    }

    /// A gateway with sessions of these users.
    async fn gateway(&self, incarnation: &str, users: &[&str]) -> [Gateway; 2] {
        let gateways = [
            Gateway::attach(&mut self.here.client(), incarnation).await,
            Gateway::attach(&mut self.there.client(), incarnation).await,
        ];
        for gateway in &gateways {
            gateway.bring(users).await;
        }
        for node in [&self.here, &self.there] {
            let mut client = node.client();
            for user in users {
                eventually(async || status_of(&mut client, user, user).await == Status::Online).await;
            }
        }
        gateways
    }
}

#[tokio::test]
async fn a_status_that_was_set_at_one_instance_shows_at_the_other() {
    let world = World::new();
    let Some(pair) = Pair::start(&world, "status").await else { return };
    world.members.conversation(1, &["ann", "bob"]);
    let _gateway = pair.gateway("g", &["ann"]).await;
    let mut watching = Watching::open(&mut pair.there.client()).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Online, None));
    set_status(&mut pair.here.client(), "ann", Status::Away).await;
    assert_eq!(watching.change().await.2, (Status::Away, None));
    set_status(&mut pair.here.client(), "ann", Status::Invisible).await;
    assert_eq!(watching.change().await.2, (Status::Offline, Some(MINUTE)), "seen until now");
    watching.assert_quiet().await;
    set_status(&mut pair.there.client(), "ann", Status::Busy).await;
    assert_eq!(watching.change().await.2, (Status::Busy, None));
    let mut client = pair.here.client();
    eventually(async || status_of(&mut client, "bob", "ann").await == Status::Busy).await;
}

#[tokio::test]
async fn statuses_that_are_set_at_both_at_once_end_as_the_same_at_both() {
    let world = World::new();
    let Some(pair) = Pair::start(&world, "race").await else { return };
    world.members.conversation(1, &["ann", "bob"]);
    let _gateway = pair.gateway("g", &["ann"]).await;
    let (mut here, mut there) = (pair.here.client(), pair.there.client());
    for round in 0..50 {
        tokio::join!(
            set_status(&mut here, "ann", Status::Away),
            set_status(&mut there, "ann", if round % 2 == 0 { Status::Busy } else { Status::Invisible }),
        );
        eventually(async || {
            let (one, other) = (status_of(&mut here, "ann", "ann").await, status_of(&mut there, "ann", "ann").await);
            one == other
        })
        .await;
    }
    let reader = world.node().await;
    let mut client = reader.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || status_of(&mut client, "ann", "ann").await != Status::Offline).await;
    let stored = status_of(&mut client, "ann", "ann").await;
    eventually(async || status_of(&mut here, "ann", "ann").await == stored).await;
    eventually(async || status_of(&mut there, "ann", "ann").await == stored).await;
}

#[tokio::test]
async fn typing_at_one_instance_shows_at_the_other_and_ends() {
    let world = World::new();
    let Some(pair) = Pair::start(&world, "typing").await else { return };
    let id = world.members.conversation(1, &["ann", "bob"]);
    let _gateway = pair.gateway("g", &["ann"]).await;
    let (mut here, mut there) = (pair.here.client(), pair.there.client());
    let (mut at_here, mut at_there) = (Following::open(&mut here).await, Following::open(&mut there).await);
    for following in [&mut at_here, &mut at_there] {
        following.add("bob", 1, &[id]).await;
        following.assert_quiet().await;
    }
    // The end may be said at another instance than the begin.
    for (mut client, typing) in [(here.clone(), true), (there.clone(), false), (there.clone(), true)] {
        let begun = Instant::now();
        assert_eq!(set_typing(&mut client, "ann", id, typing).await, None);
        assert_eq!(at_here.change().await, ("ann".into(), typing));
        assert_eq!(at_there.change().await, ("ann".into(), typing));
        assert!(begun.elapsed() < Duration::from_secs(4), "sooner than it ends by itself");
    }
    let mut late = Following::open(&mut here).await;
    late.add("bob", 1, &[id]).await;
    assert_eq!(late.change().await, ("ann".into(), true), "who comes later is told");
    assert_eq!(set_typing(&mut here, "ann", id, false).await, None);
    for mut following in [at_here, at_there, late] {
        assert_eq!(following.change().await, ("ann".into(), false));
        following.assert_quiet().await;
    }
}

#[tokio::test]
async fn typing_whose_instance_is_lost_ends_by_itself() {
    let world = World::new();
    let Some(Pair { here, there }) = Pair::start(&world, "lost").await else { return };
    let id = world.members.conversation(1, &["ann", "bob"]);
    let mut following = Following::open(&mut there.client()).await;
    following.add("bob", 1, &[id]).await;
    following.assert_quiet().await;
    assert_eq!(set_typing(&mut here.client(), "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true), "without a session, too");
    here.stop().await;
    assert_eq!(following.change().await, ("ann".into(), false));
}

#[tokio::test]
async fn who_hides_at_one_instance_types_unseen_at_all() {
    let world = World::new();
    let Some(pair) = Pair::start(&world, "hidden").await else { return };
    let id = world.members.conversation(1, &["ann", "bob"]);
    let _gateway = pair.gateway("g", &["ann"]).await;
    let (mut here, mut there) = (pair.here.client(), pair.there.client());
    let (mut at_here, mut at_there) = (Following::open(&mut here).await, Following::open(&mut there).await);
    for (number, following) in [&mut at_here, &mut at_there].into_iter().enumerate() {
        following.add("bob", number as u64, &[id]).await;
        following.assert_quiet().await;
    }
    for round in 0..20 {
        assert_eq!(set_typing(&mut here, "ann", id, true).await, None);
        assert_eq!(at_here.change().await, ("ann".into(), true), "round {round}");
        assert_eq!(at_there.change().await, ("ann".into(), true));
        set_status(&mut there, "ann", Status::Invisible).await;
        // Here nobody may have heard of it yet.
        assert_eq!(set_typing(&mut here, "ann", id, true).await, None);
        assert_eq!(at_there.change().await, ("ann".into(), false), "round {round}");
        assert_eq!(at_here.change().await, ("ann".into(), false));
        set_status(&mut here, "ann", Status::Online).await;
        eventually(async || status_of(&mut there, "bob", "ann").await == Status::Online).await;
        eventually(async || status_of(&mut here, "bob", "ann").await == Status::Online).await;
    }
    at_here.assert_quiet().await;
    at_there.assert_quiet().await;
}

/// Nothing tells of it but the store: the instance at which the user hides is on no bus.
#[tokio::test]
async fn who_has_hidden_a_moment_ago_is_not_seen_to_type_before_the_hint_has_come() {
    let world = World::new();
    let Some(url) = bus().await else { return };
    let id = world.members.conversation(1, &["ann", "bob"]);
    let (silent, node) = (world.node().await, world.node_on_bus(&url, &namespace("moment")).await);
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    eventually(async || node.metric_of("bus_connected") == 1.0).await;
    let mut following = Following::open(&mut client).await;
    following.add("bob", 1, &[id]).await;
    let begun = Instant::now();
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), true));
    set_status(&mut silent.client(), "ann", Status::Invisible).await;
    assert_eq!(set_typing(&mut client, "ann", id, true).await, None);
    assert_eq!(following.change().await, ("ann".into(), false), "and what was seen ends");
    assert!(begun.elapsed() < Duration::from_secs(4), "sooner than by itself");
    following.assert_quiet().await;
}

/// A status that no hint tells of: the instance that sets it is on no bus.
#[tokio::test]
async fn where_hints_were_missed_the_rows_are_read_again() {
    let world = World::new();
    let Some(url) = bus().await else { return };
    let namespace = namespace("missed");
    let (silent, node) = (world.node().await, world.node_on_bus(&url, &namespace).await);
    world.members.conversation(1, &["ann", "bob"]);
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    let mut watching = Watching::open(&mut client).await;
    eventually(async || status_of(&mut client, "ann", "ann").await == Status::Online).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Online, None));
    // While the bus is not there yet, all rows are read again and again.
    eventually(async || node.metric_of("bus_connected") == 1.0).await;
    set_status(&mut silent.client(), "ann", Status::Away).await;
    let lifecycle = Lifecycle::new();
    let config = bus_config(&url, &namespace);
    let stranger = Bus::connect(&config, lifecycle.handle(), &Metrics::new()).await.unwrap();
    let publisher = stranger.publisher("presence", &SystemEntropy);
    // More than wait for the connection: the rest is dropped, and missed.
    for _ in 0..5_000 {
        publisher.publish(shard_of(b"ann"), b"");
    }
    let begun = Instant::now();
    assert_eq!(watching.change().await.2, (Status::Away, None));
    assert!(begun.elapsed() < Duration::from_secs(30), "sooner than all rows are read");
    lifecycle.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn without_the_bus_statuses_of_the_other_instance_take_a_few_seconds() {
    let world = World::new();
    // Nobody listens at the first port.
    let (silent, node) = (world.node().await, world.node_on_bus("nats://127.0.0.1:1", "nowhere").await);
    world.members.conversation(1, &["ann", "bob"]);
    let mut client = node.client();
    let gateway = Gateway::attach(&mut client, "g").await;
    gateway.bring(&["ann"]).await;
    let mut watching = Watching::open(&mut client).await;
    eventually(async || status_of(&mut client, "ann", "ann").await == Status::Online).await;
    assert_eq!(watching.follow("bob", "ann").await, (Status::Online, None));
    set_status(&mut silent.client(), "ann", Status::Away).await;
    let change = timeout(Duration::from_secs(8), watching.change()).await.expect("it is read");
    assert_eq!(change.2, (Status::Away, None));
}
