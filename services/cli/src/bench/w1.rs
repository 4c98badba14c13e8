//! W1: two users in a direct, one message in flight: send → durable ack, send → delivery at the other.
//!
//! Twice: each message as soon as the one before has arrived, which is what work on a warm machine costs; and one intended
//! each 5 ms, whatever the one before does, which adds waking up, and what waits for a stalled one.
//!
//! Rounds of floor, product, floor follow each other within each run, so that a slow moment of the disk meets all.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use viberchat_proto::conversation::v1::GetOrCreateDirectConversationRequest;
use viberchat_proto::gateway::v1::Heartbeat;

use super::client::{ANSWER_TIMEOUT, Client, Incoming, Push, Reply, Request};
use super::floor::{BlockingFloor, What};
use super::order::{self, Observer};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::server::{Deployment, Server};
use super::{Bench, pace};

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Following,
    Intended,
}

const ROUNDS: u32 = 4;
/// Slow enough that a disk of some milliseconds keeps up: what waits for its turn is counted as latency.
const INTERVAL: Duration = Duration::from_millis(5);
const WARM_UP: u32 = 50;
/// Of the driver alone.
const STORE_TIME: Duration = Duration::from_secs(2);

/// The floor of the reference machine, in milliseconds.
const REFERENCE_FLOOR_MS: f64 = 0.22;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Workload>> {
    let deployment = Deployment::create(bench, "w1")?;
    let server = deployment.start().await?;
    let mut floor = BlockingFloor::start(bench.folder(), &bench.pinning)?;
    let mut pair = Pair::connect(&server).await?;
    pair.exchange_all(WARM_UP, Pace::Following, &mut Measured::new()).await?;
    let (mut following, mut intended) = (Figures::default(), Figures::default());
    for _ in 0..bench.plan.runs {
        pair.heartbeat().await?;
        let store = bench.driver(&mut floor, What::Append { partitions: 1, entries: 1 }, STORE_TIME)?;
        for (pace, figures) in [(Pace::Following, &mut following), (Pace::Intended, &mut intended)] {
            let mut measured = Measured::new();
            for _ in 0..ROUNDS {
                round(bench, &server, &mut pair, &mut floor, pace, &mut measured).await?;
            }
            figures.push(&measured, store.map(|(_, p50)| p50));
        }
    }
    server.stop().await?;
    // One conversation: what was lost of it is a fault of both.
    let faults = pair.end();
    Ok(vec![following.workload(Pace::Following, faults.clone()), intended.workload(Pace::Intended, faults)])
}

async fn round(
    bench: &Bench,
    server: &Server,
    pair: &mut Pair,
    floor: &mut BlockingFloor,
    pace: Pace,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let count = if bench.plan.quick { 50 } else { 250 };
    let bytes = pair.frame_bytes()?;
    // The floors block this thread, and the receiver never sends: both are to be heard of in time.
    pair.heartbeat().await?;
    exchange_floor(count, pace, &mut measured.synced, || floor.synced_echo(&bytes))?;
    pair.heartbeat().await?;
    let cpu = server.cpu_time();
    pair.exchange_all(count, pace, measured).await?;
    let cpu = server.cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    measured.cpu += cpu.unwrap_or_default();
    exchange_floor(count, pace, &mut measured.socket, || floor.echo(&bytes))
}

impl Pace {
    /// Waits until a message is to be sent, and returns when that was intended.
    fn wait(self, start: Instant, turn: u32) -> Instant {
        match self {
            Self::Following => Instant::now(),
            Self::Intended => {
                let intended = start + INTERVAL * turn;
                pace(intended);
                intended
            }
        }
    }
}

/// Latencies of one run.
struct Measured {
    ack: Latencies,
    delivery: Latencies,
    beyond_ack: Latencies,
    synced: Latencies,
    socket: Latencies,
    cpu: Duration,
}

impl Measured {
    fn new() -> Self {
        Self {
            ack: Latencies::new(),
            delivery: Latencies::new(),
            beyond_ack: Latencies::new(),
            synced: Latencies::new(),
            socket: Latencies::new(),
            cpu: Duration::ZERO,
        }
    }
}

/// Sender, receiver, and what both have seen.
struct Pair {
    sender: Client,
    receiver: Client,
    conversation: String,
    sent: u64,
    /// Messages that the receiver has not to be sent.
    before: u64,
    at_sender: Observer,
    at_receiver: Observer,
}

impl Pair {
    async fn connect(server: &Server) -> anyhow::Result<Self> {
        let mut sender = Client::connect(server.http, "w1-alice", &server.token("w1-alice")?, false).await?;
        let mut receiver = Client::connect(server.http, "w1-bob", &server.token("w1-bob")?, false).await?;
        sender.ready().await?;
        receiver.ready().await?;
        let request = GetOrCreateDirectConversationRequest { peer_user_id: "w1-bob".to_owned() };
        let Some(Reply::StartDirect(direct)) = sender.call(Request::StartDirect(request)).await? else {
            bail!("start_direct has another answer");
        };
        let conversation = direct.conversation.context("start_direct has a conversation")?.conversation_id;
        // The peer learns of a direct by its first message; whether that comes as an entry or is in the head is open.
        sender.call(Request::Send(order::message(&conversation, 0, 0, 0))).await?;
        let at_sender = Observer::after(sender.added(&conversation).await?, 1);
        let before = receiver.added(&conversation).await?;
        let at_receiver = Observer::after(before, 1);
        Ok(Self { sender, receiver, conversation, sent: 1, before, at_sender, at_receiver })
    }

    /// The bytes that the next send puts on the wire, for the floor.
    fn frame_bytes(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&order::message(&self.conversation, 0, self.sent, self.sent))?)
    }

    async fn heartbeat(&mut self) -> anyhow::Result<()> {
        for client in [&mut self.sender, &mut self.receiver] {
            client.call(Request::Heartbeat(Heartbeat {})).await?;
        }
        Ok(())
    }

    async fn exchange_all(&mut self, count: u32, pace: Pace, measured: &mut Measured) -> anyhow::Result<()> {
        let start = Instant::now();
        for turn in 0..count {
            let intended = pace.wait(start, turn);
            let (ack, delivery) = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange())
                .await
                .context("a message was not acknowledged and delivered in time")??;
            measured.ack.record(ack - intended);
            measured.delivery.record(delivery - intended);
            measured.beyond_ack.record(delivery.saturating_duration_since(ack));
        }
        Ok(())
    }

    /// One message; returns when its ack and its delivery came.
    async fn exchange(&mut self) -> anyhow::Result<(Instant, Instant)> {
        let request = order::message(&self.conversation, 0, self.sent, self.at_receiver.head());
        let id = self.sender.send(Request::Send(request)).await?;
        let message = Some((0, self.sent));
        self.sent += 1;
        let (mut acked, mut delivered) = (None, None);
        loop {
            if let (Some(acked), Some(delivered)) = (acked, delivered) {
                return Ok((acked, delivered));
            }
            tokio::select! {
                incoming = self.sender.next() => match incoming? {
                    Incoming::Reply(answered, Some(Reply::Send(_))) if answered == id => acked = Some(Instant::now()),
                    Incoming::Push(Push::Entry(entry)) => drop(self.at_sender.observe(&entry)),
                    Incoming::Push(_) => {}
                    other => bail!("a send was answered with {other:?}"),
                },
                incoming = self.receiver.next() => match incoming? {
                    Incoming::Push(Push::Entry(entry)) => {
                        let now = Instant::now();
                        if self.at_receiver.observe(&entry) == message {
                            delivered = Some(now);
                        }
                    }
                    Incoming::Push(_) => {}
                    other => bail!("the receiver got {other:?}"),
                },
            }
        }
    }

    fn end(self) -> Faults {
        let mut faults = self.at_receiver.end(self.sent - self.before);
        // The sender's own copy of the last entry may still be under way.
        faults.add(&Faults { disordered: self.at_sender.faults.disordered, ..Faults::default() });
        faults
    }
}

fn exchange_floor(
    count: u32,
    pace: Pace,
    latencies: &mut Latencies,
    mut exchange: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    for turn in 0..count {
        let intended = pace.wait(start, turn);
        exchange()?;
        latencies.record(intended.elapsed());
    }
    Ok(())
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    ack_p50: Series,
    ack_p99: Series,
    delivery_p50: Series,
    delivery_p99: Series,
    beyond_ack_p50: Series,
    synced_p50: Series,
    synced_p99: Series,
    socket_p50: Series,
    /// On engines: one conditional batch of the driver, and what the ack takes more.
    store_p50: Series,
    beyond_store_p50: Series,
    cpu: Series,
    messages: u64,
}

impl Figures {
    fn push(&mut self, measured: &Measured, store_p50: Option<f64>) {
        if let Some(store_p50) = store_p50 {
            self.store_p50.push(store_p50);
            self.beyond_store_p50.push(measured.ack.percentile_ms(50.0) - store_p50);
        }
        self.ack_p50.push(measured.ack.percentile_ms(50.0));
        self.ack_p99.push(measured.ack.percentile_ms(99.0));
        self.delivery_p50.push(measured.delivery.percentile_ms(50.0));
        self.delivery_p99.push(measured.delivery.percentile_ms(99.0));
        self.beyond_ack_p50.push(measured.beyond_ack.percentile_ms(50.0));
        self.synced_p50.push(measured.synced.percentile_ms(50.0));
        self.synced_p99.push(measured.synced.percentile_ms(99.0));
        self.socket_p50.push(measured.socket.percentile_ms(50.0));
        self.cpu.push(measured.cpu.as_secs_f64() * 1e6 / measured.ack.count().max(1) as f64);
        self.messages += measured.ack.count();
    }

    fn workload(self, pace: Pace, faults: Faults) -> Workload {
        const SYNCED: &str = "echo + synced write";
        const DRIVER: &str = "the driver alone, one conditional batch";
        let ratio = Some(0.35 / REFERENCE_FLOOR_MS);
        let (p50, p99) =
            (Row::new("ack p50", "ms").result(self.ack_p50), Row::new("ack p99", "ms").result(self.ack_p99));
        let mut rows = if self.store_p50.median().is_some() {
            let beyond = Row::new("ack p50 beyond the driver's", "ms").result(self.beyond_store_p50);
            vec![p50.floor(DRIVER, self.store_p50), p99, beyond.target(Better::Lower, 1.0, None)]
        } else {
            vec![
                p50.floor(SYNCED, self.synced_p50.clone()).target(Better::Lower, 0.35, ratio),
                p99.floor(SYNCED, self.synced_p99.clone()).target(Better::Lower, 1.0, None),
            ]
        };
        rows.extend([
            Row::new("delivery p50", "ms").result(self.delivery_p50).floor(SYNCED, self.synced_p50),
            Row::new("delivery p99", "ms").result(self.delivery_p99).floor(SYNCED, self.synced_p99),
            Row::new("delivery after the ack p50", "ms")
                .result(self.beyond_ack_p50)
                .floor("echo, not durable", self.socket_p50)
                .target(Better::Lower, 0.1, None),
            Row::new("CPU of the server a message", "µs").result(self.cpu),
        ]);
        let when = match pace {
            Pace::Following => "the next one at once".to_owned(),
            Pace::Intended => format!("one intended each {} ms", INTERVAL.as_millis()),
        };
        let what = format!("a direct over two sockets, one message in flight, {when}, 200 bytes, durable");
        Workload { id: "W1", what, rows, faults, notes: vec![format!("{} messages", self.messages)] }
    }
}
