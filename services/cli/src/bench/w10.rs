//! W10: sends to one conversation over gRPC, as calls and on streams, beside a server that answers the same with nothing.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use viberchat_kit::id::UserId;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, Instances, on_behalf_of};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;

use super::client::ANSWER_TIMEOUT;
use super::floor::{FloorKind, FloorProcess};
use super::report::{Row, Workload};
use super::sample::{Faults, Series};
use super::seed::{Group, Seed};
use super::senders::{Lane, Progress, Senders};
use super::server::{Deployment, Server};
use super::{Bench, order};

const SENDERS: usize = 16;
/// In flight of one stream.
const WINDOW: usize = 32;
/// Calls under way at once, over so many connections.
const CALLS: usize = 64;
const CHANNELS: usize = 4;

fn user(index: usize) -> String {
    format!("w10-{index:02}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let phase = Duration::from_secs(if bench.plan.quick { 1 } else { 3 });
    let deployment = Deployment::create(bench, "w10")?;
    let server = deployment.start().await?;
    let process = FloorProcess::start(FloorKind::Grpc, bench.folder(), &bench.pinning)?;
    let target = format!("http://{}", process.address).parse()?;
    let lifecycle = Lifecycle::new();
    let empty = || {
        let token = server.service_token();
        Ok(Channel::connect(&target, Instances::One, token, &lifecycle.handle()))
    };
    let users: Vec<_> = (0..SENDERS).map(user).collect();
    let seed = Seed::of(&server)?;
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for run in 0..bench.plan.runs {
        let group = seed.large_group(&format!("w10-{run}"), "w10-owner", &users).await?;
        figures.unary_floor.push(call(&empty, &group, phase / 2, &mut Faults::default()).await?);
        figures.streamed_floor.push(stream(&empty, &group, phase / 2, &mut Faults::default()).await?);
        let cpu = server.cpu_time();
        let unary = call(&|| server.message(), &group, phase, &mut faults).await?;
        figures.unary_cpu.push(cpu_an_entry(&server, cpu, unary, phase));
        figures.unary.push(unary);
        let group = seed.large_group(&format!("w10-streams-{run}"), "w10-owner", &users).await?;
        let cpu = server.cpu_time();
        let streamed = stream(&|| server.message(), &group, phase, &mut faults).await?;
        figures.streamed_cpu.push(cpu_an_entry(&server, cpu, streamed, phase));
        figures.streamed.push(streamed);
    }
    server.stop().await?;
    Ok(figures.workload(faults))
}

fn cpu_an_entry(server: &Server, before: Option<Duration>, rate: f64, time: Duration) -> f64 {
    let used = server.cpu_time().zip(before).map(|(after, before)| after.saturating_sub(before)).unwrap_or_default();
    used.as_secs_f64() * 1e6 / (rate * time.as_secs_f64()).max(1.0)
}

/// Calls a second.
async fn call(
    connect: &impl Fn() -> anyhow::Result<Channel>,
    group: &Group,
    time: Duration,
    faults: &mut Faults,
) -> anyhow::Result<f64> {
    let clients = (0..CHANNELS).map(|_| connect().map(MessageServiceClient::new)).collect::<Result<Vec<_>, _>>()?;
    let users = (0..SENDERS).map(|index| UserId::parse(user(index))).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let numbers = (0_u64..).take_while(|_| start.elapsed() < time);
    let calls = futures::stream::iter(numbers).map(|number| {
        let sender = number as usize % SENDERS;
        let mut client = clients[number as usize % CHANNELS].clone();
        let request = order::message(&group.conversation, sender, number, group.head);
        let request = on_behalf_of(tonic::Request::new(request), &users[sender]);
        async move {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.send_message(request)).await;
            anyhow::Ok(answer.context("a call was not answered in time")?.err())
        }
    });
    let (acked, refused) = calls
        .buffer_unordered(CALLS)
        .try_fold((0_u64, Vec::new()), |(acked, mut refused), error| {
            refused.extend(error.as_ref().map(tonic::Status::code));
            std::future::ready(Ok((acked + u64::from(error.is_none()), refused)))
        })
        .await?;
    refused.iter().for_each(|code| faults.refuse(&format!("{code:?}")));
    Ok(acked as f64 / start.elapsed().as_secs_f64())
}

/// Messages a second on streams.
async fn stream(
    connect: &impl Fn() -> anyhow::Result<Channel>,
    group: &Group,
    time: Duration,
    faults: &mut Faults,
) -> anyhow::Result<f64> {
    let lane = |index| Lane { user: user(index), conversation: group.conversation.clone(), index, head: group.head };
    let mut senders = Senders::open(connect, (0..SENDERS).map(lane).collect(), WINDOW).await?;
    let start = Instant::now();
    let acked = senders.saturate(time, &Progress::default()).await?;
    faults.add(&senders.faults());
    Ok(acked.count as f64 / (acked.last - start).as_secs_f64())
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    unary: Series,
    unary_cpu: Series,
    unary_floor: Series,
    streamed: Series,
    streamed_cpu: Series,
    streamed_floor: Series,
}

impl Figures {
    fn workload(self, faults: Faults) -> Workload {
        const EMPTY: &str = "an answer of nothing";
        let rows = vec![
            Row::new("calls", "/s").result(self.unary).floor(EMPTY, self.unary_floor),
            Row::new("calls, CPU of the server each", "µs").result(self.unary_cpu),
            Row::new("on streams", "/s").result(self.streamed).floor(EMPTY, self.streamed_floor),
            Row::new("on streams, CPU of the server each", "µs").result(self.streamed_cpu),
        ];
        let what = format!("one conversation, {CALLS} calls at once, {SENDERS} streams, 200 bytes, durable");
        // The load has one core, too: it may be what bounds the floors.
        Workload { id: "W10", what, rows, faults, notes: Vec::new() }
    }
}
