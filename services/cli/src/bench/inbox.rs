//! One user with 10,000 conversations: connects, resumes, lists.
//!
//! The server is started again before each cold step, so that it finds no caches.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use viberchat_proto::conversation::v1::ListConversationsRequest;
use viberchat_proto::gateway::v1::ResumeCursor;
use viberchat_proto::message::v1::BatchGetHeadsRequest;

use super::Bench;
use super::client::{Client, Reply, Request};
use super::floor::BlockingFloor;
use super::report::{Row, Workload};
use super::sample::{Faults, Series};
use super::seed::Seed;
use super::server::{Deployment, Server};

const USER: &str = "inbox";
/// The largest page.
const PAGE: u32 = 200;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let conversations = if bench.plan.quick { 1_000 } else { 10_000 };
    let deployment = Deployment::create(bench, "inbox")?;
    let server = deployment.start().await?;
    let pairs = (0..conversations).map(|index| (USER.to_owned(), format!("inbox-peer-{index:05}")));
    Seed::of(&server)?.directs(pairs).await.context("the conversations could not be made")?;
    server.stop().await?;
    let mut floor = BlockingFloor::start(bench.folder(), &bench.pinning)?;
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for _ in 0..bench.plan.runs {
        let server = deployment.start().await?;
        let cursors = visit(&server, conversations, &mut floor, &mut figures, &mut faults).await?;
        resume(&server, &cursors, &mut figures.resume, &mut floor, &mut faults).await?;
        server.stop().await?;
        let server = deployment.start().await?;
        resume(&server, &cursors, &mut figures.cold_resume, &mut floor, &mut faults).await?;
        server.stop().await?;
    }
    Ok(figures.workload(conversations, faults))
}

/// Each step and its floor: the same bytes there and back over a bare socket, in as many round trips.
async fn visit(
    server: &Server,
    conversations: usize,
    floor: &mut BlockingFloor,
    figures: &mut Figures,
    faults: &mut Faults,
) -> anyhow::Result<Vec<ResumeCursor>> {
    for step in [&mut figures.cold, &mut figures.warm] {
        let start = Instant::now();
        let mut client = connect(server, false).await?;
        client.ready().await?;
        step.end(start, &client, 0, 1, floor)?;
    }
    let mut client = connect(server, false).await?;
    client.ready().await?;
    let (start, bytes) = (Instant::now(), client.bytes_in);
    let ids = list(&mut client).await?;
    let pages = conversations.div_ceil(PAGE as usize);
    figures.list.end(start, &client, bytes, pages, floor)?;
    let distinct: HashSet<_> = ids.iter().collect();
    faults.lost += conversations.abs_diff(distinct.len()) as u64;
    faults.disordered += (ids.len() - distinct.len()) as u64;

    let (start, bytes) = (Instant::now(), client.bytes_in);
    let cursors = heads(&mut client, &ids).await?;
    figures.heads.end(start, &client, bytes, pages, floor)?;
    faults.lost += ids.len().abs_diff(cursors.len()) as u64;
    Ok(cursors)
}

/// With everything known: each conversation is confirmed, and nothing else comes.
async fn resume(
    server: &Server,
    cursors: &[ResumeCursor],
    step: &mut Step,
    floor: &mut BlockingFloor,
    faults: &mut Faults,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut client = connect(server, true).await?;
    client.resume(cursors).await?;
    let readiness = client.ready().await?;
    step.end(start, &client, 0, 1, floor)?;
    faults.lost += cursors.len().abs_diff(readiness.complete) as u64 + readiness.incomplete as u64;
    faults.disordered += readiness.entries as u64;
    Ok(())
}

async fn connect(server: &Server, resume: bool) -> anyhow::Result<Client> {
    Client::connect(server.http, USER, &server.token(USER)?, resume).await
}

async fn list(client: &mut Client) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListConversationsRequest { page_size: PAGE, page_token, ..ListConversationsRequest::default() };
        let Some(Reply::ListConversations(page)) = client.call(Request::ListConversations(request)).await? else {
            bail!("list_conversations has another answer");
        };
        ids.extend(page.conversations.into_iter().map(|conversation| conversation.conversation_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(ids);
        }
        ensure!(ids.len() < 100_000, "the list does not end");
    }
}

async fn heads(client: &mut Client, ids: &[String]) -> anyhow::Result<Vec<ResumeCursor>> {
    let mut cursors = Vec::new();
    for conversation_ids in ids.chunks(PAGE as usize) {
        let request = BatchGetHeadsRequest { conversation_ids: conversation_ids.to_vec() };
        let Some(Reply::GetHeads(page)) = client.call(Request::GetHeads(request)).await? else {
            bail!("get_heads has another answer");
        };
        cursors.extend(
            page.heads
                .into_iter()
                .map(|head| ResumeCursor { conversation_id: head.conversation_id, seq: head.head_seq }),
        );
    }
    Ok(cursors)
}

/// Milliseconds of a step and of its floor.
#[derive(Default)]
struct Step {
    time: Series,
    floor: Series,
}

impl Step {
    fn end(
        &mut self,
        start: Instant,
        client: &Client,
        bytes_before: u64,
        round_trips: usize,
        floor: &mut BlockingFloor,
    ) -> anyhow::Result<()> {
        self.time.push(start.elapsed().as_secs_f64() * 1e3);
        let back = u32::try_from((client.bytes_in - bytes_before) / round_trips as u64)?;
        let there = vec![b'x'; if bytes_before == 0 { usize::try_from(client.bytes_out)? } else { 100 }];
        let start = Instant::now();
        for _ in 0..round_trips {
            floor.transfer(&there, back)?;
        }
        self.floor.push(start.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn row(self, figure: &'static str) -> Row {
        Row::new(figure, "ms").result(self.time).floor("the same bytes", self.floor)
    }
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    cold: Step,
    warm: Step,
    list: Step,
    heads: Step,
    resume: Step,
    cold_resume: Step,
}

impl Figures {
    fn workload(self, conversations: usize, faults: Faults) -> Workload {
        let rows = vec![
            self.cold.row("connect to ready, cold"),
            self.warm.row("connect to ready"),
            self.cold_resume.row("connect, resume all, to ready, cold"),
            self.resume.row("connect, resume all, to ready"),
            self.list.row("list all, 200 a page"),
            self.heads.row("heads and unread of all"),
        ];
        let what = format!("one user with {conversations} conversations");
        Workload { id: "inbox", what, rows, faults, notes: Vec::new() }
    }
}
