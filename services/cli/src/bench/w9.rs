//! W9: a tenth of a group stops reading. What the others notice of it, what the server holds for each slow one, and what
//! becomes of the slow ones: half of them read on and are filled in, half never do, are closed, and resume.
//!
//! The kernel takes megabytes for a socket before the server notices anything, so the slow ones are in a second group, too,
//! whose messages fill those buffers.

mod slow;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use viberchat_proto::message::v1::SendMessageRequest;

use self::slow::Slow;
use super::crowd::Crowd;
use super::machine::{self, KernelMemory};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::seed::{Group, Seed};
use super::server::{Deployment, Server};
use super::speaker::Speaker;
use super::{Bench, order, settled};

/// One of so many is slow.
const SLOW_PART: usize = 10;
/// Between two messages of the healthy part: far below what saturates.
const INTERVAL: Duration = Duration::from_millis(10);
/// More than the kernel takes for a socket, in messages of this size.
const FILLER: u64 = 320;
/// Of them, so many while nobody is heard of: all of them take longer than silence may, where all read them.
const FILLER_PART: u64 = 40;
const FILLER_BYTES: usize = 16_000;
/// More than a slow one misses: none has to page.
const RESUME_ENTRIES_MAX: u64 = 5_000;
/// Each run waits until the slow ones are closed.
const RUNS_MAX: u32 = 2;
const OWNER: &str = "w9-owner";

struct Sizes {
    members: usize,
    messages: u32,
    stall: Duration,
}

fn user(index: usize) -> String {
    format!("w9-{index:05}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let sizes = if bench.plan.quick {
        Sizes { members: 200, messages: 200, stall: Duration::from_secs(15) }
    } else {
        Sizes { members: 1_000, messages: 500, stall: Duration::from_secs(40) }
    };
    let settings = format!("resume_entries_max = {RESUME_ENTRIES_MAX}\nstall_ms_max = {}\n", sizes.stall.as_millis());
    let deployment = Deployment::create_with(bench, "w9", &settings)?;
    let users: Vec<_> = (0..sizes.members).map(user).collect();
    let (slow, healthy) = users.split_at(sizes.members / SLOW_PART);
    let server = deployment.start().await?;
    let seed = Seed::of(&server)?;
    let mut group = seed.large_group("w9", OWNER, &users).await?;
    let mut filler = seed.large_group("w9-slow", OWNER, slow).await?;
    drop(seed);
    server.stop().await?;
    let (mut figures, mut faults, mut number) = (Figures::default(), Faults::default(), 0);
    for run in 0..bench.plan.runs.min(RUNS_MAX) {
        // A fresh process: what a run before left in its memory is not held for anybody.
        let server = deployment.start().await?;
        let speaker = Speaker::connect(&server, group, number).await?;
        let crowd = Crowd::connect(&server, healthy).await?;
        let heads =
            [(speaker.conversation().to_owned(), speaker.range(0).0), (filler.conversation.clone(), filler.head)];
        let slow = Slow::connect(&server, slow, &heads).await?;
        let mut stage = Stage { sizes: &sizes, server: &server, speaker, crowd, slow, filler, number: 0 };
        stage.measure(run, &mut figures).await?;
        faults.add(&stage.crowd.faults());
        faults.add(&stage.slow.faults());
        let Stage { speaker, filler: filled, .. } = stage;
        ((group, number), filler) = (speaker.end(), filled);
        server.stop().await?;
    }
    Ok(figures.workload(&sizes, faults))
}

struct Stage<'a> {
    sizes: &'a Sizes,
    server: &'a Server,
    speaker: Speaker,
    crowd: Crowd,
    slow: Slow,
    filler: Group,
    /// Of the next filler.
    number: u64,
}

impl Stage<'_> {
    async fn measure(&mut self, run: u32, figures: &mut Figures) -> anyhow::Result<()> {
        let resident = || machine::resident_bytes(self.server.pid).context("the server's memory is not readable");
        // All read, the fillers too: what the service keeps of the newest messages is there before anybody is slow.
        let seed = Seed::of(self.server)?;
        for _ in 0..FILLER / FILLER_PART {
            self.heartbeat().await?;
            let heads = self.heads(FILLER_PART, 0);
            let filling = fill(&seed, &self.filler, &mut self.number, FILLER_PART, run);
            let (head, ()) = futures::future::try_join(filling, self.slow.read_to(&heads)).await?;
            self.filler.head = head;
        }
        figures.without.push(self.pace(true).await?.percentile_ms(99.0));

        let (before, kernel) = (settled(resident).await?, KernelMemory::read());
        self.heartbeat().await?;
        let stopped = Instant::now();
        self.filler.head = fill(&seed, &self.filler, &mut self.number, FILLER, run).await?;
        // The server gives the kernel what it takes for those who stopped: hundreds of megabytes, which are not measured.
        self.heartbeat().await?;
        settled(|| Ok(resident()? + KernelMemory::read().map_or(0, |kernel| kernel.tcp_buffers))).await?;
        figures.with.push(self.pace(false).await?.percentile_ms(99.0));
        let each = |bytes: u64| bytes as f64 / self.slow.count() as f64 / 1024.0;
        figures.held.push(each(machine::resident_bytes(self.server.pid).context("it ended")?.saturating_sub(before)));
        if let Some((after, before)) = KernelMemory::read().zip(kernel) {
            figures.kernel.push(each(after.tcp_buffers.saturating_sub(before.tcp_buffers)));
        }
        self.recover(stopped, figures).await
    }

    /// Half reads on; the others do once they have been closed.
    async fn recover(&mut self, stopped: Instant, figures: &mut Figures) -> anyhow::Result<()> {
        let heads = self.heads(0, 0);
        let start = Instant::now();
        self.slow.read_on(&heads).await.context("a slow one was not filled in")?;
        figures.filled_in.push(start.elapsed().as_secs_f64());
        let closed = stopped + self.sizes.stall * 2 + Duration::from_secs(5);
        while Instant::now() < closed {
            self.heartbeat().await?;
            tokio::time::sleep(Duration::from_secs(5).min(closed - Instant::now())).await;
        }
        let outcome = self.slow.resume(self.server, &heads).await.context("a slow one did not resume")?;
        figures.closed += outcome.closed_as_slow;
        figures.ended += outcome.ended_otherwise;
        Ok(())
    }

    /// Messages at their times; latency is of each delivery to a healthy member.
    async fn pace(&mut self, slow_ones_read: bool) -> anyhow::Result<Latencies> {
        self.heartbeat().await?;
        let (count, members) = (self.sizes.messages, self.sizes.members - self.slow.count());
        let heads = self.heads(0, count.into());
        let (range, first) = (self.speaker.range(count.into()), self.speaker.next_number());
        let start = Instant::now() + INTERVAL;
        let mut latencies = Latencies::new();
        let on_message = |number: u64| {
            let turn = u32::try_from(number.saturating_sub(first)).unwrap_or(u32::MAX);
            latencies.record(start.elapsed().saturating_sub(INTERVAL * turn));
        };
        let speaker = &mut self.speaker;
        let hearing = self.crowd.hear(members, range, async |_| speaker.pace(start, INTERVAL, count).await, on_message);
        if slow_ones_read {
            futures::future::try_join(hearing, self.slow.read_to(&heads)).await?;
        } else {
            hearing.await?;
        }
        Ok(latencies)
    }

    /// Of both conversations, after so many more messages in each.
    fn heads(&self, fillers: u64, messages: u64) -> [(String, u64); 2] {
        let filler = (self.filler.conversation.clone(), self.filler.head + fillers);
        [(self.speaker.conversation().to_owned(), self.speaker.range(messages).1), filler]
    }

    async fn heartbeat(&mut self) -> anyhow::Result<()> {
        self.speaker.heartbeat().await?;
        self.slow.heartbeat().await?;
        self.crowd.heartbeat().await
    }
}

/// Messages that only the slow ones get; returns the head then.
async fn fill(seed: &Seed, group: &Group, number: &mut u64, count: u64, run: u32) -> anyhow::Result<u64> {
    let first = *number;
    *number += count;
    let requests = (first..first + count).map(|number| SendMessageRequest {
        text: ".".repeat(FILLER_BYTES),
        client_message_id: format!("filler-{run}-{number}"),
        ..order::message(&group.conversation, 0, number, group.head)
    });
    seed.messages(group, requests).await
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    without: Series,
    with: Series,
    held: Series,
    kernel: Series,
    filled_in: Series,
    closed: u64,
    ended: u64,
}

impl Figures {
    fn workload(self, sizes: &Sizes, faults: Faults) -> Workload {
        let Sizes { members, stall, .. } = sizes;
        let alone = self.without.median().unwrap_or_default();
        let rows = vec![
            Row::new("delivery p99 of the others", "ms").result(self.with).floor("all read", self.without).target(
                Better::Lower,
                alone * 1.1,
                Some(1.1),
            ),
            Row::new("memory of the server a slow one", "KiB").result(self.held).target(Better::Lower, 256.0, None),
            Row::new("kernel: TCP buffers a slow one", "KiB").result(self.kernel),
            Row::new("half reads on: until all are filled in", "s").result(self.filled_in),
        ];
        let slow = members / SLOW_PART;
        let what = format!("{slow} of {members} members stop reading, a message each {} ms", INTERVAL.as_millis());
        let notes = vec![
            format!(
                "the other half was closed after {} s: {} with 4008, {} otherwise; all of them resumed",
                stall.as_secs(),
                self.closed,
                self.ended
            ),
            format!("at most {RUNS_MAX} runs"),
        ];
        Workload { id: "W9", what, rows, faults, notes }
    }
}
