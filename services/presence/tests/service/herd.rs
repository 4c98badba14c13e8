use std::time::Duration;

use tokio::time::Instant;
use viberchat_proto::presence::v1::{SessionState, Status};

use crate::support::*;

#[tokio::test]
async fn a_thousand_watchers_of_one_user_hear_of_each_change_once() {
    let world = World::new();
    let names: Vec<_> = (0..1_000).map(|n| format!("user{n}")).collect();
    let mut users: Vec<_> = names.iter().map(String::as_str).collect();
    users.push("star");
    world.members.conversation(1, &users);
    let node = world.node().await;
    let mut client = node.client();
    let mut watching = Watching::open(&mut client).await;
    for name in &names {
        assert_eq!(watching.follow(name, "star").await.0, Status::Offline);
    }
    let gateway = Gateway::attach(&mut client, "g").await;
    let begun = Instant::now();
    gateway.bring(&["star"]).await;
    let mut told = std::collections::BTreeSet::new();
    for _ in &names {
        let (watcher, user, seen) = watching.change().await;
        assert_eq!((user.as_str(), seen.0), ("star", Status::Online));
        told.insert(watcher);
    }
    assert_eq!(told.len(), 1_000);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    watching.assert_quiet().await;
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_and_gets_the_latest_of_each_only() {
    let world = World::new();
    let names: Vec<_> = (0..50).map(|n| format!("user{n}")).collect();
    let mut users: Vec<_> = names.iter().map(String::as_str).collect();
    users.push("slow");
    users.push("quick");
    world.members.conversation(1, &users);
    let node = world.node().await;
    let mut client = node.client();
    let followed: Vec<_> = names.iter().map(String::as_str).collect();
    let (mut slow, mut quick) = (Watching::open(&mut client).await, Watching::open(&mut client).await);
    slow.add("slow", 1, &followed).await;
    slow.snapshot().await;
    quick.add("quick", 1, &followed).await;
    quick.snapshot().await;

    let gateway = Gateway::attach(&mut client, "g").await;
    const ROUNDS: usize = 40;
    for round in 0..ROUNDS {
        let state = if round % 2 == 0 { SessionState::Active } else { SessionState::Idle };
        let reports: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str(), state)).collect();
        gateway.report(&reports, false).await;
        let expected = if round % 2 == 0 { Status::Online } else { Status::Away };
        for _ in &names {
            assert_eq!(quick.change().await.2.0, expected, "who reads hears everything");
        }
    }
    // 2,000 changes were made: the stream has kept of whom, and reads the latest.
    let mut last = std::collections::BTreeMap::new();
    for _ in &names {
        let (_, user, seen) = slow.change().await;
        last.insert(user, seen.0);
    }
    assert!(last.len() == names.len() && last.values().all(|status| *status == Status::Away), "{last:?}");
    slow.assert_quiet().await;
}
