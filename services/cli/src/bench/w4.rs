//! W4: group fan-out to members on sockets. One message after the other: how long until the last member has it. And a
//! burst that saturates: deliveries a second of the server's own CPU, which does not depend on how fast the load reads.
//!
//! A write to a socket costs many times what is written, so a burst costs what its frames a write make of it. The floor
//! of a burst makes as many writes of as many frames as the server just did, which the kernel counts.

use super::Bench;
use super::crowd::Crowd;
use super::fan_out::FanOutFloor;
use super::machine;
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::seed::Seed;
use super::server::{Deployment, Server};
use super::speaker::Speaker;

/// A size of the group, with what the table says of it.
struct Size {
    members: usize,
    spread: &'static str,
    burst: &'static str,
    /// The floors of the reference machine: milliseconds, and millions a core-second.
    floors: (f64, f64),
    burst_target: f64,
}

const SIZES: [Size; 3] = [
    Size {
        members: 100,
        spread: "100 members: send to last delivery",
        burst: "100 members: deliveries a core-second",
        floors: (1.0, 2.1),
        burst_target: 1.3,
    },
    Size {
        members: 1_000,
        spread: "1,000 members: send to last delivery",
        burst: "1,000 members: deliveries a core-second",
        floors: (11.75, 1.7),
        burst_target: 1.2,
    },
    Size {
        members: 5_000,
        spread: "5,000 members: send to last delivery",
        burst: "5,000 members: deliveries a core-second",
        floors: (54.0, 1.4),
        burst_target: 0.9,
    },
];

impl Size {
    /// All but the owner, who sends.
    fn listeners(&self) -> usize {
        self.members - 1
    }
}

/// What waits for a socket at most, about.
const FRAMES_A_WRITE_MAX: u64 = 256;
/// Of the table, relative to the floor.
const SPREAD_RATIO: f64 = 1.2;
const OWNER: &str = "w4-owner";

fn user(index: usize) -> String {
    format!("w4-{index:06}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let wanted = if bench.plan.quick { 1_000 } else { 5_000 };
    let (sockets, capped) = bench.sockets(wanted);
    let sizes = || SIZES.iter().filter(|size| size.members <= sockets);
    let deployment = Deployment::create(bench, "w4")?;
    let server = deployment.start().await?;
    let users: Vec<_> = (0..sizes().map(Size::listeners).max().unwrap_or(0)).map(user).collect();
    let mut stages = Vec::new();
    for size in sizes() {
        let name = format!("w4-{}", size.members);
        let group = Seed::of(&server)?.large_group(&name, OWNER, &users[..size.listeners()]).await?;
        let speaker = Speaker::connect(&server, group, 0).await?;
        stages.push(Stage { size, speaker, figures: Figures::default() });
    }
    let mut crowd = Crowd::connect(&server, &users).await?;
    for _ in 0..bench.plan.runs {
        for stage in &mut stages {
            stage.measure(bench, &server, &mut crowd).await?;
        }
    }
    server.stop().await?;
    let faults = crowd.faults();
    Ok(workload(stages, capped, faults))
}

/// One size of the group.
struct Stage {
    size: &'static Size,
    speaker: Speaker,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    spread: Series,
    burst: Series,
    floor_spread: Series,
    floor_burst: Series,
    /// By the clock.
    burst_rate: Series,
    frames_a_write: Series,
}

impl Stage {
    async fn measure(&mut self, bench: &Bench, server: &Server, crowd: &mut Crowd) -> anyhow::Result<()> {
        let members = self.size.listeners();
        let (messages, deliveries) = if bench.plan.quick { (10, 100_000) } else { (30, 1_000_000) };
        crowd.heartbeat().await?;
        let (mut spreads, range, speaker) = (Latencies::new(), self.speaker.range(messages), &mut self.speaker);
        let sending = async |delivered: &_| {
            speaker.one_by_one(messages, members, delivered, &mut spreads).await?;
            anyhow::Ok(super::crowd::Delivered::frame_bytes(delivered))
        };
        let frame_bytes = crowd.hear(members, range, sending, |_| {}).await?;
        self.figures.spread.push(spreads.percentile_ms(50.0));

        crowd.heartbeat().await?;
        let messages = deliveries / members as u64;
        let (range, speaker) = (self.speaker.range(messages), &mut self.speaker);
        let (cpu, start) = (server.cpu_time(), std::time::Instant::now());
        let written = machine::write_calls(server.pid);
        crowd.hear(members, range, async |delivered| speaker.burst(messages, members, delivered).await, |_| {}).await?;
        let cpu = server.cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let count = (messages * members as u64) as f64;
        let written = machine::write_calls(server.pid).zip(written).map(|(after, before)| after.saturating_sub(before));
        let frames_a_write = count / written.unwrap_or_default().max(1) as f64;
        self.figures.frames_a_write.push(frames_a_write);
        self.figures.burst_rate.push(count / start.elapsed().as_secs_f64() / 1e6);
        cpu.filter(|cpu| !cpu.is_zero())
            .into_iter()
            .for_each(|cpu| self.figures.burst.push(count / cpu.as_secs_f64() / 1e6));

        let mut floor = FanOutFloor::connect(bench, members, frame_bytes).await?;
        self.figures.floor_spread.push(floor.one_by_one(10).await?.percentile_ms(50.0));
        floor
            .burst(deliveries, (frames_a_write.round() as u64).clamp(1, FRAMES_A_WRITE_MAX))
            .await?
            .into_iter()
            .for_each(|rate| self.figures.floor_burst.push(rate));
        Ok(())
    }
}

fn workload(stages: Vec<Stage>, capped: Option<String>, faults: Faults) -> Workload {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for Stage { size, figures, .. } in stages {
        let (floor_ms, floor_rate) = size.floors;
        let Figures { spread, burst, floor_spread, floor_burst, burst_rate, frames_a_write } = figures;
        rows.push(Row::new(size.spread, "ms").result(spread).floor("a write a socket", floor_spread).target(
            Better::Lower,
            SPREAD_RATIO * floor_ms,
            Some(SPREAD_RATIO),
        ));
        rows.push(Row::new(size.burst, "M").result(burst).floor("as many frames a write", floor_burst).target(
            Better::Higher,
            size.burst_target,
            Some(size.burst_target / floor_rate),
        ));
        let (rate, frames) = (burst_rate.median().unwrap_or_default(), frames_a_write.median().unwrap_or_default());
        notes.push(format!(
            "{} members, burst: {frames:.1} frames a write; by the clock, load included, {rate:.2} M deliveries/s",
            size.members
        ));
    }
    notes.extend(capped);
    Workload { id: "W4", what: "a group on sockets, 200 bytes, durable".to_owned(), rows, faults, notes }
}
