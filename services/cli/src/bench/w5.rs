//! W5: idle, authenticated sockets of users with 20 conversations each: memory and CPU of the server.
//!
//! The conversations are made first and the server is started again, so that memory which the making left behind does not
//! hide what the sockets take.

mod floor;
mod idle;

use std::time::{Duration, Instant};

use self::idle::Idle;
use super::machine::{self, KernelMemory};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Series};
use super::seed::Seed;
use super::server::{Deployment, Server};
use super::{Bench, settled};
use anyhow::Context as _;

/// Conversations a user: as many directs as groups.
const DIRECTS: usize = 10;
const GROUPS: usize = 10;
const GROUP_MEMBERS: usize = 50;
/// Handshakes under way at once.
const HANDSHAKES: usize = 64;
/// After connecting, before memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// The middle of what an idle WebSocket takes on the reference machine, in KiB.
const REFERENCE_FLOOR_KIB: f64 = 6.65;

pub(crate) fn user(index: usize) -> String {
    format!("w5-{index:06}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let (sockets, capped) = bench.sockets(bench.plan.sockets.unwrap_or(if bench.plan.quick { 500 } else { 5_000 }));
    let deployment = Deployment::create(bench, "w5")?;
    let server = deployment.start().await?;
    fill(&server, sockets).await.context("the conversations could not be made")?;
    server.stop().await?;
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for run in 1..=bench.plan.runs {
        figures.tcp.push(floor::tcp(bench, sockets).await?);
        let server = deployment.start().await?;
        let idle = measure(bench, &server, sockets, &mut figures).await?;
        let heartbeat = idle.heartbeat();
        idle.check(DIRECTS + GROUPS, run, &mut faults).await?;
        server.stop().await?;
        let floor = floor::web_socket(bench, sockets, heartbeat).await?;
        figures.web_socket.push(floor.memory_kib);
        floor.cpu_micros.into_iter().for_each(|micros| figures.echo.push(micros));
    }
    Ok(figures.workload(sockets, capped, faults))
}

/// Each user in 10 directs and 10 groups of 50.
async fn fill(server: &Server, users: usize) -> anyhow::Result<()> {
    anyhow::ensure!(users > DIRECTS, "more than {DIRECTS} sockets are needed");
    let seed = Seed::of(server)?;
    seed.directs(pairs(users).map(|(a, b)| (user(a), user(b)))).await?;
    seed.groups(groups(users)).await
}

/// Everyone with the next five: ten directs each.
fn pairs(users: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..users).flat_map(move |a| (1..=DIRECTS / 2).map(move |step| (a, (a + step) % users)))
}

/// Ten times all users, each time cut into groups at other places.
fn groups(users: usize) -> impl Iterator<Item = Vec<String>> {
    (0..GROUPS).flat_map(move |layer| {
        let cut = move |first: usize| {
            let last = (first + GROUP_MEMBERS).min(users);
            (first..last).map(|place| user((place + layer * GROUP_MEMBERS / GROUPS) % users)).collect()
        };
        (0..users).step_by(GROUP_MEMBERS).map(cut)
    })
}

async fn measure(bench: &Bench, server: &Server, sockets: usize, figures: &mut Figures) -> anyhow::Result<Idle> {
    let resident = |what| machine::resident_bytes(server.pid).context(what);
    let before = settled(|| resident("the server's memory is not readable")).await?;
    let kernel = KernelMemory::read();
    let start = Instant::now();
    let mut idle = Idle::default();
    idle.connect(server, sockets / 2, HANDSHAKES).await?;
    let pause = Instant::now();
    idle.wait(SETTLE).await?;
    let half = resident("the server ended")?;
    let pause = pause.elapsed();
    idle.connect(server, sockets, HANDSHAKES).await?;
    figures.connected.push((start.elapsed() - pause).as_secs_f64());
    idle.wait(SETTLE).await?;
    let further = resident("the server ended")?.saturating_sub(half);
    figures.further.push(further as f64 / (sockets - sockets / 2) as f64 / 1024.0);
    let kernel_after = KernelMemory::read();
    let (cpu, since) = (server.cpu_time(), Instant::now());
    idle.wait(idle.heartbeat() * if bench.plan.quick { 1 } else { 2 }).await?;
    let waited = since.elapsed();
    let grown = resident("the server ended")?.saturating_sub(before);
    figures.memory.push(grown as f64 / sockets as f64 / 1024.0);
    if let Some((after, before)) = server.cpu_time().zip(cpu) {
        let micros = after.saturating_sub(before).as_secs_f64() * 1e6;
        figures.cpu.push(micros / sockets as f64 / waited.as_secs_f64());
    }
    if let Some((after, before)) = kernel_after.zip(kernel) {
        let a_socket = |after: u64, before: u64| after.saturating_sub(before) as f64 / sockets as f64 / 1024.0;
        figures.buffers.push(a_socket(after.tcp_buffers, before.tcp_buffers));
        figures.slab.push(a_socket(after.slab, before.slab));
    }
    Ok(idle)
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    memory: Series,
    /// Of the second half: without what the first sockets fill once, like the stores' page caches.
    further: Series,
    cpu: Series,
    connected: Series,
    buffers: Series,
    slab: Series,
    tcp: Series,
    web_socket: Series,
    /// CPU of the floor.
    echo: Series,
}

impl Figures {
    fn workload(self, sockets: usize, capped: Option<String>, faults: Faults) -> Workload {
        let ratio = Some(8.0 / REFERENCE_FLOOR_KIB);
        let rows = vec![
            Row::new("memory a socket", "KiB").result(self.memory).floor("bare WebSocket", self.web_socket).target(
                Better::Lower,
                8.0,
                ratio,
            ),
            Row::new("memory a further socket", "KiB").result(self.further),
            Row::new("CPU a socket and second", "µs").result(self.cpu).floor("an echo a heartbeat", self.echo).target(
                Better::Lower,
                1.5,
                None,
            ),
            Row::new("all connected and ready", "s").result(self.connected),
            Row::new("kernel: TCP buffers, both ends", "KiB").result(self.buffers),
            Row::new("kernel: slab, both ends", "KiB").result(self.slab),
            Row::new("bare TCP, memory a socket", "KiB").result(self.tcp),
        ];
        let conversations = DIRECTS + GROUPS;
        let what = format!("{sockets} idle sockets of users with {conversations} conversations each");
        let notes = std::iter::once(format!("{DIRECTS} directs and {GROUPS} groups of {GROUP_MEMBERS} each"));
        Workload { id: "W5", what, rows, faults, notes: notes.chain(capped).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_user_has_ten_directs_with_different_people_and_ten_groups() {
        let users = 120;
        let mut count: HashMap<String, (usize, usize)> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for (a, b) in pairs(users) {
            assert!(a != b && seen.insert((a.min(b), a.max(b))), "{a} and {b} twice");
            count.entry(user(a)).or_default().0 += 1;
            count.entry(user(b)).or_default().0 += 1;
        }
        for group in groups(users) {
            assert!(group.len() <= GROUP_MEMBERS);
            group.into_iter().for_each(|member| count.entry(member).or_default().1 += 1);
        }
        assert_eq!(count.len(), users);
        assert!(count.values().all(|count| *count == (DIRECTS, GROUPS)), "{count:?}");
    }
}
