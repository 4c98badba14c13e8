//! W8: presence. One user whom 1,000 others watch changes their status; and thousands of connections break off at once,
//! without a goodbye, as they do when a gateway dies.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use viberchat_proto::presence::v1::{SetStatusRequest, Status};

use self::watchers::{Followers, Watchers};
use super::Bench;
use super::client::{ANSWER_TIMEOUT, Client, Request};
use super::crowd::Crowd;
use super::fan_out::FanOutFloor;
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::seed::Seed;
use super::server::{Deployment, Server};

mod watchers;

/// Changes of the status in one run, and between two of them: a session may make ten a second.
const CHANGES: u32 = 10;
const INTERVAL: Duration = Duration::from_millis(110);
/// Each run waits for thousands of sockets to come and go.
const RUNS_MAX: u32 = 3;
const TARGET: &str = "w8-target";
/// Of the table, in milliseconds and seconds; the floor of the first is the spread of one message to as many.
const CLEAN_TARGET_MS: f64 = 50.0;
const SPREAD_FLOOR_MS: f64 = 11.75;
const CRASH_TARGET_S: f64 = 10.0;
/// Whom one session may follow.
const FOLLOWED_MAX: usize = 500;

struct Sizes {
    watchers: usize,
    lost: usize,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let wanted = if bench.plan.quick { 600 } else { 5_000 };
    let (sockets, capped) = bench.sockets(wanted);
    let sizes = Sizes { watchers: (sockets / 5).max(1), lost: sockets - sockets.div_ceil(FOLLOWED_MAX) };
    let deployment = Deployment::create(bench, "w8")?;
    let server = deployment.start().await?;
    let mut figures = Figures::default();
    let runs = bench.plan.runs.min(RUNS_MAX);
    watched(bench, &server, &sizes, runs, &mut figures).await.context("one user's changes")?;
    broken_off(&server, &sizes, runs, &mut figures).await.context("connections that break off")?;
    server.stop().await?;
    Ok(figures.workload(&sizes, capped))
}

/// One user, whom many watch.
async fn watched(
    bench: &Bench,
    server: &Server,
    sizes: &Sizes,
    runs: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let users: Vec<_> = (0..sizes.watchers).map(|index| format!("w8-watcher-{index:05}")).collect();
    Seed::of(server)?.large_group("w8-watched", TARGET, &users).await?;
    let mut target = Client::connect(server.http, TARGET, &server.token(TARGET)?, false).await?;
    target.ready().await?;
    let mut watchers = Watchers::connect(server, &users, TARGET).await?;
    for _ in 0..runs {
        let mut spreads = Latencies::new();
        for turn in 0..CHANGES {
            tokio::time::sleep(INTERVAL).await;
            let status = if turn % 2 == 0 { Status::Busy } else { Status::Away };
            let start = Instant::now();
            let request = Request::SetStatus(SetStatusRequest { status: status.into() });
            let changing = async {
                target.call(request).await?;
                Ok(())
            };
            let hearing = watchers.hear(status.as_str_name());
            let both = futures::future::try_join(hearing, changing);
            let (last, ()) =
                tokio::time::timeout(ANSWER_TIMEOUT, both).await.context("not all heard of a change")??;
            spreads.record(last - start);
        }
        figures.clean.push(spreads.percentile_ms(50.0));
        figures.clean_p99.push(spreads.percentile_ms(99.0));
        let mut floor = FanOutFloor::connect(bench, users.len(), watchers.frame_bytes()).await?;
        figures.floor.push(floor.one_by_one(10).await?.percentile_ms(50.0));
        watchers.heartbeat().await?;
    }
    Ok(())
}

/// Thousands of users, each with one follower.
async fn broken_off(server: &Server, sizes: &Sizes, runs: u32, figures: &mut Figures) -> anyhow::Result<()> {
    let users: Vec<_> = (0..sizes.lost).map(|index| format!("w8-{index:05}")).collect();
    let followers: Vec<_> =
        (0..users.len().div_ceil(FOLLOWED_MAX)).map(|index| format!("w8-follower-{index}")).collect();
    let (owner, others) = followers.split_first().context("somebody follows")?;
    Seed::of(server)?.large_group("w8-lost", owner, &[others, &users].concat()).await?;
    let connecting = followers.iter().zip(users.chunks(FOLLOWED_MAX)).map(|(follower, users)| {
        // Each reads by itself.
        Followers::connect(server, follower, users)
    });
    let mut followers: Vec<_> = connecting.collect::<FuturesUnordered<_>>().try_collect().await?;
    for _ in 0..runs {
        let crowd = Crowd::connect(server, &users).await?;
        all_see(&mut followers, Status::Online).await.context("some never came online")?;
        let start = Instant::now();
        crowd.break_off()?;
        all_see(&mut followers, Status::Offline).await.context("some never went offline")?;
        figures.crash.push(start.elapsed().as_secs_f64());
    }
    Ok(())
}

async fn all_see(followers: &mut [Followers], status: Status) -> anyhow::Result<()> {
    let seeing = followers.iter_mut().map(|follower| follower.see_all(status));
    let seeing = seeing.collect::<FuturesUnordered<_>>().try_collect::<()>();
    tokio::time::timeout(ANSWER_TIMEOUT * 2, seeing).await.context("not in time")?
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    clean: Series,
    clean_p99: Series,
    floor: Series,
    crash: Series,
}

impl Figures {
    fn workload(self, sizes: &Sizes, capped: Option<String>) -> Workload {
        let clean_ratio = CLEAN_TARGET_MS / SPREAD_FLOOR_MS;
        let rows = vec![
            Row::new("status set to the last watcher p50", "ms")
                .result(self.clean)
                .floor("a write a socket", self.floor.clone())
                .target(Better::Lower, CLEAN_TARGET_MS, Some(clean_ratio)),
            Row::new("status set to the last watcher p99", "ms")
                .result(self.clean_p99)
                .floor("a write a socket", self.floor)
                .target(Better::Lower, CLEAN_TARGET_MS, Some(clean_ratio)),
            Row::new("all connections break off: until all are offline", "s").result(self.crash).target(
                Better::Lower,
                CRASH_TARGET_S,
                None,
            ),
        ];
        let Sizes { watchers, lost } = sizes;
        let what = format!("{watchers} watch one user; {lost} users lose their connections");
        let note = "in one process no gateway dies alone: the connections are reset instead, all at once".to_owned();
        let notes = [note, format!("at most {RUNS_MAX} runs")].into_iter().chain(capped).collect();
        Workload { id: "W8", what, rows, faults: Faults::default(), notes }
    }
}
