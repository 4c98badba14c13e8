//! W6: everybody connects at once, with a token; then the server is killed, and all resume with 20 missed messages in 5
//! conversations.
//!
//! The server is killed twice: once with everybody connected, and once more after the missed messages were acknowledged. So
//! what everybody resumes from is what a crash left, and no cache is warm.

mod storm;

use std::time::Instant;

use anyhow::Context as _;
use viberchat_proto::gateway::v1::ResumeCursor;

use self::storm::{Resumed, Storm, Token, bare_handshakes};
use super::report::{Better, Row, Workload};
use super::sample::{Faults, Series};
use super::seed::{Group, Seed};
use super::server::{Deployment, Server};
use super::{Bench, order};

/// Conversations of each user.
const CONVERSATIONS: usize = 5;
const GROUP_MEMBERS: usize = 50;
/// Of each conversation: 20 in all.
const MISSED: u64 = 4;
/// Of the reference machine: bare handshakes a second, the middle of the range, and seconds until 10,000 are subscribed.
const REFERENCE_HANDSHAKES: f64 = 17_000.0;
const REFERENCE_READY_S: f64 = 0.65;
/// The table's seconds are for so many sockets.
const TABLE_SOCKETS: f64 = 10_000.0;

fn user(index: usize) -> String {
    format!("w6-{index:06}")
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Workload> {
    let wanted = bench.plan.sockets.unwrap_or(if bench.plan.quick { 500 } else { 10_000 });
    let (sockets, capped) = bench.sockets(wanted);
    let deployment = Deployment::create(bench, "w6")?;
    let server = deployment.start().await?;
    let seed = Seed::of(&server)?;
    let mut groups = seed.opened_groups(members(sockets).map(|group| group.into_iter().map(user).collect())).await?;
    let tokens = (0..sockets).map(|index| Token::of(&server, user(index))).collect::<Result<Vec<_>, _>>()?;
    server.stop().await?;
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for run in 0..u64::from(bench.plan.runs) {
        let handshakes = bare_handshakes(bench, sockets).await?;
        figures.floor_rate.push(handshakes);
        figures.floor_time.push(sockets as f64 / handshakes);
        let server = deployment.start().await?;
        let storm = Storm::connect(&server, &tokens).await.context("they did not all connect")?;
        figures.welcomed.push(sockets as f64 / storm.welcomed.as_secs_f64());
        figures.ready.push(storm.ready.as_secs_f64());
        figures.retries += storm.retries;
        server.kill().await?;
        storm.ended().await.context("a socket outlived its server")?;

        let cursors = cursors(sockets, &groups);
        let server = deployment.start().await?;
        miss(&server, &mut groups, run).await.context("the missed messages could not be sent")?;
        server.kill().await?;
        let start = Instant::now();
        let server = deployment.start().await?;
        figures.restart.push(start.elapsed().as_secs_f64());
        let resumed = resume(&server, &tokens, &cursors, &mut figures).await.context("they did not all resume")?;
        faults.add(&resumed.faults);
        figures.retries += resumed.retries;
        server.stop().await?;
    }
    Ok(figures.workload(sockets, capped, faults))
}

/// Five times all users, each time cut into groups at other places.
fn members(users: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..CONVERSATIONS).flat_map(move |layer| {
        (0..users).step_by(GROUP_MEMBERS).map(move |first| {
            let last = (first + GROUP_MEMBERS).min(users);
            (first..last).map(|place| (place + layer * GROUP_MEMBERS / CONVERSATIONS) % users).collect()
        })
    })
}

/// What each user has.
fn cursors(users: usize, groups: &[Group]) -> Vec<Vec<ResumeCursor>> {
    let mut cursors = vec![Vec::new(); users];
    for (members, group) in members(users).zip(groups) {
        for member in members {
            cursors[member].push(ResumeCursor { conversation_id: group.conversation.clone(), seq: group.head });
        }
    }
    cursors
}

/// Sends the messages that nobody is there to receive.
async fn miss(server: &Server, groups: &mut [Group], run: u64) -> anyhow::Result<()> {
    let seed = Seed::of(server)?;
    for group in groups.iter_mut() {
        let number = |index| run * MISSED + index;
        let messages = (0..MISSED).map(|index| order::message(&group.conversation, 0, number(index), group.head));
        let head = seed.messages(group, messages).await?;
        anyhow::ensure!(head == group.head + MISSED, "the head is {head}, and was {}", group.head);
        group.head = head;
    }
    Ok(())
}

async fn resume(
    server: &Server,
    tokens: &[Token],
    cursors: &[Vec<ResumeCursor>],
    figures: &mut Figures,
) -> anyhow::Result<Resumed> {
    let cpu = server.cpu_time();
    let resumed = storm::resume(server, tokens, cursors, MISSED).await?;
    figures.resumed.push(resumed.time.as_secs_f64());
    if let Some((after, before)) = server.cpu_time().zip(cpu) {
        figures.cpu.push(after.saturating_sub(before).as_secs_f64() * 1e6 / tokens.len() as f64);
    }
    Ok(resumed)
}

/// Each figure over the runs.
#[derive(Default)]
struct Figures {
    welcomed: Series,
    ready: Series,
    resumed: Series,
    restart: Series,
    cpu: Series,
    floor_rate: Series,
    floor_time: Series,
    retries: u64,
}

impl Figures {
    fn workload(self, sockets: usize, capped: Option<String>, faults: Faults) -> Workload {
        const BARE: &str = "bare WebSocket handshakes";
        let scale = sockets as f64 / TABLE_SOCKETS;
        let seconds = |seconds: f64| (seconds * scale, Some(seconds / REFERENCE_READY_S));
        let ((ready, ready_ratio), (resumed, resumed_ratio)) = (seconds(1.2), seconds(5.0));
        let rows = vec![
            Row::new("connected and welcomed", "/s").result(self.welcomed).floor(BARE, self.floor_rate).target(
                Better::Higher,
                9_000.0,
                Some(9_000.0 / REFERENCE_HANDSHAKES),
            ),
            Row::new("until all are ready", "s").result(self.ready).floor(BARE, self.floor_time.clone()).target(
                Better::Lower,
                ready,
                ready_ratio,
            ),
            Row::new("until all have resumed", "s").result(self.resumed).floor(BARE, self.floor_time).target(
                Better::Lower,
                resumed,
                resumed_ratio,
            ),
            Row::new("CPU of the server a resume", "µs").result(self.cpu),
            Row::new("start of the killed server", "s").result(self.restart),
        ];
        let missed = MISSED * CONVERSATIONS as u64;
        let what = format!("{sockets} connect, the server is killed, all resume with {missed} missed messages");
        let storm = format!("{} connections are tried at once", storm::HANDSHAKES);
        let retries = format!("{} connects or resumes were tried again", self.retries);
        let groups = format!("{CONVERSATIONS} groups of {GROUP_MEMBERS} each, {MISSED} messages missed in each");
        Workload { id: "W6", what, rows, faults, notes: [groups, storm, retries].into_iter().chain(capped).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_user_has_five_conversations_and_a_cursor_in_each() {
        let users = 120;
        let groups: Vec<_> = members(users)
            .enumerate()
            .map(|(index, _)| Group { conversation: format!("c{index}"), owner: String::new(), head: index as u64 })
            .collect();
        for cursors in cursors(users, &groups) {
            let seqs: HashMap<_, _> = cursors.into_iter().map(|it| (it.conversation_id, it.seq)).collect();
            assert_eq!(seqs.len(), CONVERSATIONS);
            assert!(seqs.iter().all(|(conversation, seq)| *conversation == format!("c{seq}")));
        }
    }
}
