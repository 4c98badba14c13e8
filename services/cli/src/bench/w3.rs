//! W3: one conversation, 16 senders over gRPC `SendMessages`, pipelined; an observer on a socket checks the order.
//!
//! Two phases a run. `saturate`: each sender keeps a bounded window full; the rate is what the server sustains. `paced`:
//! open-loop at four fifths of that rate, latency from the intended time of each send.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use viberchat_proto::conversation::v1::CreateGroupConversationRequest;

use super::Bench;
use super::client::{ANSWER_TIMEOUT, Client, Incoming, Push, Reply, Request};
use super::floor::{BlockingFloor, What};
use super::order::Observer;
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::senders::{Lane, Progress, Senders};
use super::server::{Deployment, Server};

/// The floors of the reference machine, entries a second: the middle of their ranges.
const REFERENCE_FLOOR: f64 = 25_500.0;
const REFERENCE_FLOOR_CASSANDRA: f64 = 30_000.0;
const PACED_PART: f64 = 0.8;
const SENDERS: usize = 16;
/// Entries that the service puts into one append, at most.
const GROUP: usize = 64;
/// In flight of one sender: twice a full batch of 64 in all would do; this leaves room for a slow sync.
const WINDOW: usize = 32;

fn user(sender: usize) -> String {
    format!("w3-sender-{sender:02}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let deployment = Deployment::create(bench, "w3")?;
    let server = deployment.start().await?;
    let mut floor = BlockingFloor::start(bench.folder(), &bench.pinning)?;
    let phase = Duration::from_secs(if bench.plan.quick { 2 } else { 5 });
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for run in 0..bench.plan.runs {
        figures.push_floors(bench, &mut floor, phase / 4)?;
        let mut stage = Stage::open(&server, run).await?;
        let saturated = stage.saturate(&server, phase).await?;
        let paced = stage.pace(saturated.acked_a_second * PACED_PART, phase).await?;
        figures.push(&saturated, &paced);
        faults.add(&stage.end());
        figures.push_floors(bench, &mut floor, phase / 4)?;
    }
    server.stop().await?;
    Ok(figures.workload(bench.engines.is_some(), faults))
}

/// A fresh group, its senders and its observer.
struct Stage {
    senders: Senders,
    client: Client,
    observer: Observer,
}

struct Saturated {
    acked_a_second: f64,
    delivered_a_second: f64,
    cpu_micros_an_entry: Option<f64>,
}

impl Stage {
    async fn open(server: &Server, run: u32) -> anyhow::Result<Self> {
        let observer = format!("w3-observer-{run}");
        let mut client = Client::connect(server.http, &observer, &server.token(&observer)?, false).await?;
        client.ready().await?;
        let request = CreateGroupConversationRequest {
            name: "W3".to_owned(),
            member_user_ids: (0..SENDERS).map(user).collect(),
            request_id: "w3".to_owned(),
            ..CreateGroupConversationRequest::default()
        };
        let Some(Reply::CreateGroup(group)) = client.call(Request::CreateGroup(request)).await? else {
            bail!("create_group has another answer");
        };
        anyhow::ensure!(!group.pending, "the group's entry is still pending");
        let conversation = group.conversation.context("create_group has a conversation")?.conversation_id;
        let lane = |index| Lane { user: user(index), conversation: conversation.clone(), index, head: group.seq };
        let senders = Senders::open(|| server.message(), (0..SENDERS).map(lane).collect(), WINDOW).await?;
        let observer = Observer::after(client.added(&conversation).await?, SENDERS);
        let mut stage = Self { senders, client, observer };
        stage.warm_up().await?;
        Ok(stage)
    }

    async fn warm_up(&mut self) -> anyhow::Result<()> {
        self.together(async |senders, progress| senders.saturate(Duration::from_millis(300), progress).await).await?;
        Ok(())
    }

    async fn saturate(&mut self, server: &Server, time: Duration) -> anyhow::Result<Saturated> {
        let cpu = server.cpu_time();
        let before = self.observer.messages();
        let start = Instant::now();
        let acked = self.together(async |senders, progress| senders.saturate(time, progress).await).await?;
        let delivered = self.observer.messages() - before;
        let cpu = server.cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        Ok(Saturated {
            acked_a_second: acked.count as f64 / (acked.last - start).as_secs_f64(),
            delivered_a_second: delivered as f64 / start.elapsed().as_secs_f64(),
            cpu_micros_an_entry: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / acked.count.max(1) as f64),
        })
    }

    async fn pace(&mut self, rate: f64, time: Duration) -> anyhow::Result<Latencies> {
        self.together(async |senders, progress| senders.pace(rate, time, progress).await).await
    }

    /// Sends while the observer reads; ends when it has everything that was acknowledged.
    async fn together<T>(
        &mut self,
        send: impl AsyncFnOnce(&mut Senders, &Progress) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let progress = Progress::default();
        let (client, observer) = (&mut self.client, &mut self.observer);
        let observing = async {
            while !progress.is_over(observer.head()) {
                tokio::select! {
                    incoming = client.next() => match incoming? {
                        Incoming::Push(Push::Entry(entry)) => drop(observer.observe(&entry)),
                        Incoming::Push(_) => {}
                        other => bail!("the observer got {other:?}"),
                    },
                    () = progress.changed() => {}
                    // What does not come by then is lost, and counted as that.
                    () = tokio::time::sleep(ANSWER_TIMEOUT) => break,
                }
            }
            Ok(())
        };
        let sending = async {
            let sent = send(&mut self.senders, &progress).await;
            progress.end();
            sent
        };
        let (sent, observed) = tokio::join!(sending, observing);
        observed?;
        sent
    }

    fn end(self) -> Faults {
        let mut faults = self.observer.end(self.senders.acked());
        faults.add(&self.senders.faults());
        faults
    }
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    acked: Series,
    delivered: Series,
    cpu: Series,
    paced_p50: Series,
    paced_p99: Series,
    store: Series,
    file: Series,
}

impl Figures {
    fn push_floors(&mut self, bench: &Bench, floor: &mut BlockingFloor, time: Duration) -> anyhow::Result<()> {
        match bench.driver(floor, What::Append { partitions: 1, entries: GROUP }, time)? {
            Some((rate, _)) => self.store.push(rate),
            None => {
                self.store.push(floor.sqlite_groups(time)?);
                self.file.push(floor.file_groups(time)?);
            }
        }
        Ok(())
    }

    fn push(&mut self, saturated: &Saturated, paced: &Latencies) {
        self.acked.push(saturated.acked_a_second);
        self.delivered.push(saturated.delivered_a_second);
        saturated.cpu_micros_an_entry.into_iter().for_each(|cpu| self.cpu.push(cpu));
        self.paced_p50.push(paced.percentile_ms(50.0));
        self.paced_p99.push(paced.percentile_ms(99.0));
    }

    fn workload(self, on_engines: bool, faults: Faults) -> Workload {
        let (store, target, ratio) = match on_engines {
            true => ("the driver alone, 64 a conditional batch", 15_000.0, Some(15_000.0 / REFERENCE_FLOOR_CASSANDRA)),
            false => ("SQLite, 64 a synced transaction", 20_000.0, Some(20_000.0 / REFERENCE_FLOOR)),
        };
        let rows = vec![
            Row::new("acknowledged", "/s").result(self.acked).floor(store, self.store.clone()).target(
                Better::Higher,
                target,
                ratio,
            ),
            Row::new("delivered in order", "/s").result(self.delivered).floor(store, self.store),
            Row::new("ack p50 at 0.8 of the rate", "ms").result(self.paced_p50),
            Row::new("ack p99 at 0.8 of the rate", "ms").result(self.paced_p99),
            Row::new("CPU of the server an entry", "µs").result(self.cpu),
        ];
        let file = self.file.median().map(|rate| format!("a plain file, 64 entries a synced write: {rate:.0}/s"));
        let what =
            format!("one conversation, {SENDERS} senders over gRPC, an observer on a socket, 200 bytes, durable");
        Workload { id: "W3", what, rows, faults, notes: file.into_iter().collect() }
    }
}
