use std::collections::BTreeSet;

use bytes::Bytes;
use tokio::time::timeout;
use viberchat_engines::Server;

use super::*;
use crate::id::SystemEntropy;
use crate::lifecycle::Lifecycle;

const TOPIC: &str = "log";
const PATIENCE: Duration = Duration::from_secs(20);

/// A process on the bus.
struct Process {
    bus: Bus,
    lifecycle: Lifecycle,
}

impl Process {
    async fn new(url: &str, namespace: &str) -> Self {
        let lifecycle = Lifecycle::new();
        let config = Config { url: url.into(), namespace: namespace.into(), ..Config::default() };
        let bus = Bus::connect(&config, lifecycle.handle(), &Metrics::new()).await.unwrap();
        Self { bus, lifecycle }
    }

    fn publisher(&self) -> Publisher {
        self.bus.publisher(TOPIC, &SystemEntropy)
    }

    async fn listener(&self) -> Listener {
        let listener = self.bus.listen(TOPIC).await.unwrap();
        // Said before the subscription has arrived, a hint is lost, as it may be. Whatever the server answers, it has it then.
        let answer = self.bus.client.request("nobody.is.here", Bytes::new()).await;
        assert!(answer.is_err_and(|error| error.kind() == async_nats::RequestErrorKind::NoResponders));
        listener
    }
}

/// A namespace of its own in the shared server. `None`: there is no server.
async fn two(name: &str) -> Option<(Process, Process)> {
    let url = tokio::task::spawn_blocking(|| Server::Nats.address()).await.unwrap()?;
    let namespace = format!("{name}-{}", std::process::id());
    Some((Process::new(&url, &namespace).await, Process::new(&url, &namespace).await))
}

async fn next(listener: &mut Listener) -> Heard {
    timeout(PATIENCE, listener.next()).await.expect("something is heard")
}

fn one_shard(shard: u8) -> ShardSet {
    let mut set = ShardSet::default();
    set.insert(shard);
    set
}

#[tokio::test]
async fn what_one_says_the_other_hears_in_its_order_and_oneself_does_not() {
    let Some((one, other)) = two("order").await else { return };
    let (mut own, mut heard) = (one.listener().await, other.listener().await);
    let publisher = one.publisher();
    for number in 0..500_u16 {
        publisher.publish((number % 7) as u8, &number.to_be_bytes());
    }
    for number in 0..500_u16 {
        assert_eq!(next(&mut heard).await, Heard::Hint(Bytes::copy_from_slice(&number.to_be_bytes())));
    }
    other.publisher().publish(0, b"from the other");
    assert_eq!(next(&mut own).await, Heard::Hint(Bytes::from("from the other")), "nothing of one's own before it");
}

#[tokio::test]
async fn another_namespace_is_another_world() {
    let Some((one, _other)) = two("world").await else { return };
    let url = Server::Nats.address().unwrap();
    let stranger = Process::new(&url, "world-of-others").await;
    let mut heard = one.listener().await;
    stranger.publisher().publish(0, b"not for you");
    let friend = Process::new(&url, one.bus.prefix.strip_suffix(".v1.").unwrap()).await;
    friend.publisher().publish(0, b"for you");
    assert_eq!(next(&mut heard).await, Heard::Hint(Bytes::from("for you")));
}

#[tokio::test]
async fn a_hint_that_was_lost_is_missed() {
    let Some((one, other)) = two("lost").await else { return };
    let mut heard = other.listener().await;
    let publisher = one.publisher();
    // Loses what stands between: a number is given, and nothing is sent.
    let lose = |shard: u8| publisher.numbered.lock().last[usize::from(shard)] += 1;
    publisher.publish(3, b"first");
    lose(3);
    publisher.publish(3, b"third");
    lose(9);
    assert_eq!(next(&mut heard).await, Heard::Hint(Bytes::from("first")));
    let mut rest = BTreeSet::new();
    let mut missed = ShardSet::default();
    while !(missed.contains(3) && missed.contains(9)) {
        match next(&mut heard).await {
            Heard::Hint(hint) => drop(rest.insert(hint)),
            Heard::Missed(shards) => missed.extend(shards),
        }
    }
    assert_eq!(rest, BTreeSet::from([Bytes::from("third")]));
    let mut both = one_shard(3);
    both.extend(one_shard(9));
    assert_eq!(missed, both, "no other shard is looked at");
}

#[tokio::test]
async fn who_ends_without_a_word_is_noticed() {
    let Some((one, other)) = two("silent").await else { return };
    let mut heard = other.listener().await;
    one.publisher().publish(5, b"the last words");
    assert_eq!(next(&mut heard).await, Heard::Hint(Bytes::from("the last words")));
    one.lifecycle.shutdown(Duration::ZERO).await;
    assert_eq!(next(&mut heard).await, Heard::Missed(one_shard(5)));
}

#[tokio::test]
async fn without_a_server_nothing_waits_and_it_is_found_when_it_comes() {
    let Some(running) = tokio::task::spawn_blocking(|| Server::Nats.run().unwrap()).await.unwrap() else { return };
    let url = running.address().to_owned();
    // Whoever runs the server, it is ended here only if it is ours.
    if std::env::var_os(Server::Nats.variable()).is_some() {
        return;
    }
    let one = Process::new(&url, "alone").await;
    let publisher = one.publisher();
    one.bus.client.flush().await.unwrap();
    tokio::task::spawn_blocking(move || drop(running)).await.unwrap();
    for _ in 0..10 * QUEUE_MAX {
        publisher.publish(0, &[0; 1_000]);
    }
    let lifecycle = one.lifecycle;
    let report = timeout(PATIENCE, lifecycle.shutdown(Duration::from_secs(5))).await.expect("the tasks end");
    assert!(report.left_running.is_empty(), "{report:?}");
}

#[test]
fn keys_go_to_all_shards_and_always_to_the_same() {
    assert_eq!((shard_of(b""), shard_of(b"viberchat"), shard_of(&[0; 16])), (193, 167, 220));
    let used: BTreeSet<u8> = (0..4_096_u32).map(|key| shard_of(&key.to_be_bytes())).collect();
    assert_eq!(used.len(), SHARDS);
}
