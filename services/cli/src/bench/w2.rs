//! W2: users in pairs, all pairs at once: many conversations with little in each.
//!
//! Two phases a run. `saturate`: each user has one message in flight. `knee`: open-loop, faster and faster, until the p99
//! from the intended time of a send is more than 50 ms; the rate before that is the figure.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Bench;
use super::floor::{BlockingFloor, What};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::seed::{Group, Seed};
use super::senders::{Lane, Progress, Senders};
use super::server::{Deployment, Server};

const PAIRS: usize = 64;
/// What a user bears to wait, at the 99th percentile.
const KNEE_MS: f64 = 50.0;
/// Of the saturated rate, where the search begins, and by how much it goes on.
const FIRST_PART: f64 = 0.5;
const STEP: f64 = 1.1;
const STEPS_MAX: usize = 12;
/// The floor of the reference machine, entries a second, and what is wanted of it.
const REFERENCE_FLOOR: f64 = 40_000.0;
const TARGET: f64 = 20_000.0;
/// Of the driver's conditional batches.
const DRIVER_PART: f64 = 0.8;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let deployment = Deployment::create(bench, "w2")?;
    let server = deployment.start().await?;
    let mut floor = BlockingFloor::start(bench.folder(), &bench.pinning)?;
    let phase = Duration::from_secs(if bench.plan.quick { 1 } else { 4 });
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for run in 0..bench.plan.runs {
        figures.floor.push(least(bench, &mut floor, phase / 2)?);
        let mut stage = Stage::open(&server, run).await?;
        stage.saturate(&server, phase, &mut figures).await?;
        stage.knee(phase / 2, &mut figures).await?;
        faults.add(&stage.end());
        figures.floor.push(least(bench, &mut floor, phase / 2)?);
    }
    server.stop().await?;
    Ok(figures.workload(bench.engines.is_some(), faults))
}

/// Entries a second that the store takes at the most: conditional batches of one entry, or groups in synced transactions.
fn least(bench: &Bench, floor: &mut BlockingFloor, time: Duration) -> anyhow::Result<f64> {
    match bench.driver(floor, What::Append { partitions: PAIRS, entries: 1 }, time)? {
        Some((rate, _)) => Ok(rate),
        None => floor.sqlite_groups(time),
    }
}

/// Fresh pairs and what they send with.
struct Stage {
    senders: Senders,
    directs: Vec<Group>,
    saturated: f64,
}

impl Stage {
    async fn open(server: &Server, run: u32) -> anyhow::Result<Self> {
        let user = |pair: usize, side: usize| format!("w2-{run}-{pair:03}-{side}");
        let pairs = (0..PAIRS).map(|pair| (user(pair, 0), user(pair, 1)));
        let directs = Seed::of(server)?.opened_directs(pairs).await.context("the directs could not be made")?;
        let lane = |(pair, direct): (usize, &Group), side| Lane {
            user: user(pair, side),
            conversation: direct.conversation.clone(),
            index: side,
            head: direct.head,
        };
        let lanes = directs.iter().enumerate().flat_map(|place| [lane(place, 0), lane(place, 1)]);
        let senders = Senders::open(|| server.message(), lanes.collect(), 1).await?;
        let mut stage = Self { senders, directs, saturated: 0.0 };
        stage.senders.saturate(Duration::from_millis(300), &Progress::default()).await?;
        Ok(stage)
    }

    async fn saturate(&mut self, server: &Server, time: Duration, figures: &mut Figures) -> anyhow::Result<()> {
        let (cpu, start) = (server.cpu_time(), Instant::now());
        let acked = self.senders.saturate(time, &Progress::default()).await?;
        self.saturated = acked.count as f64 / (acked.last - start).as_secs_f64();
        figures.saturated.push(self.saturated);
        if let Some((after, before)) = server.cpu_time().zip(cpu) {
            figures.cpu.push(after.saturating_sub(before).as_secs_f64() * 1e6 / acked.count.max(1) as f64);
        }
        Ok(())
    }

    async fn knee(&mut self, time: Duration, figures: &mut Figures) -> anyhow::Result<()> {
        let (mut knee, mut rate) = (0.0, self.saturated * FIRST_PART);
        for step in 0..STEPS_MAX {
            let latencies: Latencies = self.senders.pace(rate, time, &Progress::default()).await?;
            if step == 0 {
                figures.half_p50.push(latencies.percentile_ms(50.0));
                figures.half_p99.push(latencies.percentile_ms(99.0));
            }
            if latencies.percentile_ms(99.0) > KNEE_MS {
                break;
            }
            knee = rate;
            rate *= STEP;
        }
        figures.knee.push(knee);
        Ok(())
    }

    /// Each conversation holds what was acknowledged, and nothing else.
    fn end(self) -> Faults {
        let mut faults = self.senders.faults();
        let lanes: Vec<_> = self.senders.lanes().collect();
        for (direct, sides) in self.directs.iter().zip(lanes.chunks(2)) {
            let acked: u64 = sides.iter().map(|(_, acked)| acked).sum();
            let head = sides.iter().map(|(lane, _)| lane.head).max().unwrap_or_default();
            faults.lost += head.abs_diff(direct.head + acked);
        }
        faults
    }
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    saturated: Series,
    knee: Series,
    half_p50: Series,
    half_p99: Series,
    cpu: Series,
    floor: Series,
}

impl Figures {
    fn workload(self, on_engines: bool, faults: Faults) -> Workload {
        let least = self.floor.median().unwrap_or_default();
        let (what, target, ratio) = match on_engines {
            true => ("the driver alone, one entry a conditional batch", least * DRIVER_PART, DRIVER_PART),
            false => ("SQLite, 64 a synced transaction", TARGET, TARGET / REFERENCE_FLOOR),
        };
        let rows = vec![
            Row::new("acknowledged, one in flight a user", "/s")
                .result(self.saturated)
                .floor(what, self.floor.clone())
                .target(Better::Higher, target, Some(ratio)),
            Row::new("rate at which p99 is 50 ms at most", "/s").result(self.knee).floor(what, self.floor),
            Row::new("ack p50 at half the rate", "ms").result(self.half_p50),
            Row::new("ack p99 at half the rate", "ms").result(self.half_p99),
            Row::new("CPU of the server an entry", "µs").result(self.cpu),
        ];
        let what = format!("{PAIRS} pairs of users, all of them send over gRPC, 200 bytes, durable");
        Workload { id: "W2", what, rows, faults, notes: Vec::new() }
    }
}
