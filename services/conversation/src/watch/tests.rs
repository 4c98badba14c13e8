use viberchat_kit::telemetry::Metrics;

use crate::domain::{Kind, Role};
use crate::testing::user;

use super::*;

fn hub(change: impl FnOnce(&mut Config)) -> Hub {
    let mut config = Config::default();
    change(&mut config);
    Hub::new(&config, ServiceMetrics::register(&Metrics::new()))
}

fn event(id: &str, version: u64) -> MembershipEvent {
    let conversation = viberchat_kit::id::ConversationId::from_bytes([3; 16]);
    let membership = Membership { conversation, kind: Kind::Group, role: Role::Member, version };
    MembershipEvent { id: ChangeId(version), user: user(id), kind: MembershipChangeKind::Changed, membership }
}

#[tokio::test]
async fn a_stream_hears_of_whom_it_follows_and_of_no_other() {
    let hub = hub(|_| {});
    let (mut one, mut two) = (hub.open(), hub.open());
    one.follow(&user("alice")).unwrap();
    one.follow(&user("alice")).unwrap();
    two.follow(&user("bob")).unwrap();
    two.follow(&user("alice")).unwrap();
    two.unfollow(&user("alice"));
    two.unfollow(&user("carol"));
    for heard in [event("carol", 1), event("bob", 2), event("alice", 3)] {
        hub.push(&heard);
    }
    assert_eq!(one.next().await, Some(event("alice", 3)));
    assert_eq!(two.next().await, Some(event("bob", 2)));
    assert!(one.events.is_empty() && two.events.is_empty());
}

#[tokio::test]
async fn what_waits_is_taken_in_order_and_how_far_it_goes_is_said() {
    let hub = hub(|config| config.watch_queue_max = 16);
    let mut stream = hub.open();
    stream.follow(&user("alice")).unwrap();
    for version in 1..4 {
        hub.push(&event("alice", version));
        hub.set_dispatched(ChangeId(version));
    }
    assert_eq!(stream.dispatched(), ChangeId(3));
    assert_eq!(stream.take_waiting(), (1..4).map(|version| event("alice", version)).collect::<Vec<_>>());
    assert!(stream.take_waiting().is_empty());
    // Who has missed something takes nothing for granted.
    for version in 4..22 {
        hub.push(&event("alice", version));
    }
    assert!(stream.take_waiting().is_empty() && stream.broken().is_cancelled());
}

#[tokio::test]
async fn a_full_queue_ends_its_stream_and_no_other() {
    let hub = hub(|config| config.watch_queue_max = 16);
    let (mut slow, mut quick) = (hub.open(), hub.open());
    slow.follow(&user("alice")).unwrap();
    quick.follow(&user("alice")).unwrap();
    for version in 0..17 {
        hub.push(&event("alice", version));
        assert_eq!(quick.next().await, Some(event("alice", version)));
    }
    assert_eq!(slow.next().await, None);
    assert!(!quick.broken().is_cancelled());
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_nothing() {
    let hub = hub(|_| {});
    let (one, two) = (hub.open(), hub.open());
    for id in ["alice", "bob"] {
        one.follow(&user(id)).unwrap();
    }
    two.follow(&user("bob")).unwrap();
    assert_eq!((hub.0.metrics.watch_streams.get(), hub.0.metrics.watched_users.get()), (2, 3));
    drop(one);
    assert!(!hub.follows(&user("alice")) && hub.follows(&user("bob")));
    drop(two);
    assert!(hub.is_idle());
    assert_eq!((hub.0.metrics.watch_streams.get(), hub.0.metrics.watched_users.get()), (0, 0));
}

#[tokio::test]
async fn a_stream_follows_as_many_as_it_may() {
    let hub = hub(|config| config.watch_users_max = 2);
    let stream = hub.open();
    stream.follow(&user("a")).unwrap();
    stream.follow(&user("b")).unwrap();
    assert_eq!(stream.follow(&user("c")).unwrap_err().reason, Reason::LimitExceeded);
    assert!(!hub.follows(&user("c")));
    stream.follow(&user("b")).unwrap();
    stream.unfollow(&user("a"));
    stream.follow(&user("c")).unwrap();
}
