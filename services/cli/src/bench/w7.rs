//! W7: pages of history over gRPC: the newest one, which the service keeps in memory; random ones all over the log, which
//! the store reads; and one page that all 1,000 members want at the same moment.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_proto::message::v1::ListMessagesRequest;
use viberchat_proto::message::v1::list_messages_request::Anchor;
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;

use super::client::ANSWER_TIMEOUT;
use super::floor::{BlockingFloor, What, page_place};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Latencies, Series};
use super::seed::Seed;
use super::server::{Deployment, Server};
use super::{Bench, order};

/// Messages a page.
const PAGE: u32 = 50;
/// Calls under way at once, when not all members ask.
const CALLS: usize = 64;
/// Connections that share the calls: one HTTP/2 connection has one lock.
const CHANNELS: usize = 4;
const OWNER: &str = "w7-owner";
/// Of the store's pages, when the store is asked.
const UNCACHED_PART: f64 = 0.5;

fn user(index: usize) -> String {
    format!("w7-{index:04}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let (members, messages) = if bench.plan.quick { (200, 2_000) } else { (1_000, 20_000) };
    let phase = Duration::from_secs(if bench.plan.quick { 1 } else { 3 });
    let deployment = Deployment::create(bench, "w7")?;
    let server = deployment.start().await?;
    let users: Vec<_> = (0..members).map(user).collect();
    let seed = Seed::of(&server)?;
    let group = seed.large_group("w7", OWNER, &users).await?;
    let sent = (0..messages.into()).map(|number| order::message(&group.conversation, 0, number, group.head));
    let head = seed.messages(&group, sent).await.context("the history could not be made")?;
    let mut floor = BlockingFloor::start(bench.folder(), &bench.pinning)?;
    least(bench, &mut floor, phase / 10, messages)?;
    let readers = Readers::open(&server, &group.conversation, head, messages, &users)?;
    readers.read(&server, phase / 4, CALLS, Which::Newest).await?;
    readers.read(&server, phase / 4, members, Which::Deep).await?;
    let mut figures = Figures::default();
    for run in 0..bench.plan.runs {
        figures.floor.push(least(bench, &mut floor, phase / 3, messages)?);
        figures.newest.push(&readers.read(&server, phase, CALLS, Which::Newest).await?);
        figures.deep.push(&readers.read(&server, phase, CALLS, Which::Deep).await?);
        figures.herd.push(&readers.herds(&server, phase, run).await?);
        figures.floor.push(least(bench, &mut floor, phase / 3, messages)?);
    }
    server.stop().await?;
    Ok(figures.workload(members, messages, readers.faults.into_inner()))
}

/// Pages a second that the store gives at the most.
fn least(bench: &Bench, floor: &mut BlockingFloor, time: Duration, messages: u32) -> anyhow::Result<f64> {
    match bench.driver(floor, What::Read { messages, calls: CALLS }, time)? {
        Some((rate, _)) => Ok(rate),
        None => floor.sqlite_pages(time, messages),
    }
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Newest,
    Deep,
}

/// Members who page.
struct Readers {
    clients: Vec<MessageServiceClient<Channel>>,
    users: Vec<UserId>,
    conversation: String,
    faults: RefCell<Faults>,
    /// Of the last message, which none is missing before.
    head: u64,
    messages: u32,
}

/// What some time of reading brought.
struct Read {
    pages_a_second: f64,
    latencies: Latencies,
    cpu_micros: Option<f64>,
}

impl Readers {
    fn open(server: &Server, conversation: &str, head: u64, messages: u32, users: &[String]) -> anyhow::Result<Self> {
        let channels = (0..CHANNELS).map(|_| server.message()).collect::<Result<Vec<_>, _>>()?;
        let clients = channels.into_iter().map(MessageServiceClient::new).collect();
        let users = users.iter().map(UserId::parse).collect::<Result<_, _>>()?;
        Ok(Self { clients, users, conversation: conversation.to_owned(), faults: RefCell::default(), head, messages })
    }

    /// Pages for some time, `calls` at once.
    async fn read(&self, server: &Server, time: Duration, calls: usize, which: Which) -> anyhow::Result<Read> {
        let until = Instant::now() + time;
        self.measured(server, |turn| (Instant::now() < until).then(|| self.anchor(which, turn)), calls).await
    }

    /// All members ask for the same page, and when all have it, for another; latency is that of each.
    async fn herds(&self, server: &Server, time: Duration, run: u32) -> anyhow::Result<Read> {
        let (until, mut latencies) = (Instant::now() + time, Latencies::new());
        let (mut rates, mut cpu) = (Series::default(), Series::default());
        for herd in 0.. {
            if Instant::now() >= until {
                break;
            }
            let place = self.anchor(Which::Deep, run * 100_000 + herd);
            let members = u32::try_from(self.users.len())?;
            let read = self.measured(server, |turn| (turn < members).then_some(place), self.users.len()).await?;
            rates.push(read.pages_a_second);
            read.cpu_micros.into_iter().for_each(|micros| cpu.push(micros));
            latencies.record(Duration::from_secs_f64(f64::from(members) / read.pages_a_second));
        }
        Ok(Read { pages_a_second: rates.median().context("no herd")?, latencies, cpu_micros: cpu.median() })
    }

    /// Asks for pages, one after the other, until there is none to ask for.
    async fn measured(
        &self,
        server: &Server,
        next: impl Fn(u32) -> Option<Option<u64>>,
        calls: usize,
    ) -> anyhow::Result<Read> {
        let (cpu, start) = (server.cpu_time(), Instant::now());
        let turns = (0..).map_while(|turn| Some((turn, next(turn)?)));
        let pages = futures::stream::iter(turns).map(|(turn, before)| self.page(turn, before)).buffer_unordered(calls);
        let (count, latencies) = pages
            .try_fold((0_u64, Latencies::new()), |(count, mut latencies), latency| {
                latency.into_iter().for_each(|latency| latencies.record(latency));
                std::future::ready(Ok((count + u64::from(latency.is_some()), latencies)))
            })
            .await?;
        let time = start.elapsed();
        let cpu = server.cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        Ok(Read {
            pages_a_second: count.max(1) as f64 / time.as_secs_f64(),
            latencies,
            cpu_micros: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count.max(1) as f64),
        })
    }

    fn anchor(&self, which: Which, turn: u32) -> Option<u64> {
        match which {
            Which::Newest => None,
            Which::Deep => Some(self.head - u64::from(self.messages) + u64::from(page_place(turn, self.messages))),
        }
    }

    /// One page, which has to be whole and in its place. `None`: it was refused, which is counted.
    async fn page(&self, turn: u32, before: Option<u64>) -> anyhow::Result<Option<Duration>> {
        let request = ListMessagesRequest {
            conversation_id: self.conversation.clone(),
            page_size: PAGE,
            anchor: before.map(Anchor::BeforeSeq),
            ..ListMessagesRequest::default()
        };
        let index = turn as usize;
        let request = on_behalf_of(tonic::Request::new(request), &self.users[index % self.users.len()]);
        let mut client = self.clients[index % self.clients.len()].clone();
        let start = Instant::now();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.list_messages(request)).await;
        let latency = start.elapsed();
        let page = match answer.context("no page in time")? {
            Ok(page) => page.into_inner(),
            Err(status) => {
                self.faults.borrow_mut().refuse(&format!("{:?}", status.code()));
                return Ok(None);
            }
        };
        let last = before.map_or(self.head, |before| before - 1);
        let seqs = page.messages.iter().map(|message| message.seq);
        anyhow::ensure!(
            seqs.eq(last + 1 - u64::from(PAGE)..=last),
            "the page before {before:?} has {} messages or is not in its place",
            page.messages.len()
        );
        Ok(Some(latency))
    }
}

/// One kind of reading over the runs.
#[derive(Default)]
struct Pages {
    rate: Series,
    p50: Series,
    p99: Series,
    cpu: Series,
}

impl Pages {
    fn push(&mut self, read: &Read) {
        self.rate.push(read.pages_a_second);
        self.p50.push(read.latencies.percentile_ms(50.0));
        self.p99.push(read.latencies.percentile_ms(99.0));
        read.cpu_micros.into_iter().for_each(|micros| self.cpu.push(micros));
    }
}

#[derive(Default)]
struct Figures {
    newest: Pages,
    deep: Pages,
    herd: Pages,
    floor: Series,
}

impl Figures {
    fn workload(self, members: usize, messages: u32, faults: Faults) -> Workload {
        const STORE: &str = "the bare statement";
        let Self { newest, deep, herd, floor } = self;
        let half = floor.median().unwrap_or_default() * UNCACHED_PART;
        let rows = vec![
            Row::new("newest page", "/s").result(newest.rate).floor(STORE, floor.clone()).target(
                Better::Higher,
                10_000.0,
                None,
            ),
            Row::new("newest page, CPU of the server", "µs").result(newest.cpu),
            Row::new("newest page p99", "ms").result(newest.p99),
            Row::new("random page", "/s").result(deep.rate).floor(STORE, floor.clone()).target(
                Better::Higher,
                half,
                Some(UNCACHED_PART),
            ),
            Row::new("random page, CPU of the server", "µs").result(deep.cpu),
            Row::new("random page p99", "ms").result(deep.p99),
            Row::new("all members read one page", "/s").result(herd.rate).floor(STORE, floor),
            Row::new("all members read one page, CPU of the server", "µs").result(herd.cpu),
            Row::new("until all members have it p50", "ms").result(herd.p50),
        ];
        let what = format!("{messages} messages, pages of {PAGE} over gRPC, {members} members, {CALLS} calls at once");
        // A page that is not whole ends the run.
        let notes = vec!["each page was checked: whole, and in its place".to_owned()];
        Workload { id: "W7", what, rows, faults, notes }
    }
}
