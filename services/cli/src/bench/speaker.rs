//! One member who sends to a group on a socket: one message after the other, as fast as all can take it, or at a pace.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use viberchat_proto::gateway::v1::Heartbeat;

use super::client::{ANSWER_TIMEOUT, Client, Incoming, Reply, Request};
use super::crowd::Delivered;
use super::order;
use super::sample::Latencies;
use super::seed::Group;
use super::server::Server;

/// Sends that are not acknowledged yet: what a session may have under way, twice.
const UNACKED_MAX: u64 = 64;
/// How far sending may be ahead of what the members have received on average: less than what waits for a socket.
const AHEAD_MAX: u64 = 128;

pub(crate) struct Speaker {
    client: Client,
    group: Group,
    next_number: u64,
    unacked: u64,
}

impl Speaker {
    /// Connects the group's owner, whose next message has this number.
    pub(crate) async fn connect(server: &Server, group: Group, next_number: u64) -> anyhow::Result<Self> {
        let mut client = Client::connect(server.http, &group.owner, &server.token(&group.owner)?, false).await?;
        client.ready().await?;
        Ok(Self { client, group, next_number, unacked: 0 })
    }

    pub(crate) fn conversation(&self) -> &str {
        &self.group.conversation
    }

    /// The group with the head that it has now, and the next message's number: one that was used before would be taken for
    /// a repetition.
    pub(crate) fn end(self) -> (Group, u64) {
        (self.group, self.next_number)
    }

    pub(crate) async fn heartbeat(&mut self) -> anyhow::Result<()> {
        self.client.call(Request::Heartbeat(Heartbeat {})).await?;
        Ok(())
    }

    /// The head now and after `count` more messages.
    pub(crate) fn range(&self, count: u64) -> (u64, u64) {
        (self.group.head, self.group.head + count)
    }

    /// The next message's number.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// One message after the other, each when all `members` have the one before: how long each took to reach the last.
    pub(crate) async fn one_by_one(
        &mut self,
        count: u64,
        members: usize,
        delivered: &Delivered,
        spreads: &mut Latencies,
    ) -> anyhow::Result<()> {
        for turn in 1..=count {
            let start = Instant::now();
            self.send().await?;
            let last = delivered.reach(turn * members as u64).await;
            spreads.record(last - start);
            self.drain().await?;
        }
        Ok(())
    }

    /// `count` messages as fast as they are acknowledged and the members receive them.
    pub(crate) async fn burst(&mut self, count: u64, members: usize, delivered: &Delivered) -> anyhow::Result<()> {
        let mut sent = 0;
        while sent < count {
            if self.unacked == UNACKED_MAX {
                self.acked().await?;
            } else if sent * members as u64 > delivered.total() + AHEAD_MAX * members as u64 {
                // Acks are read meanwhile, or the server would stop to read from here.
                tokio::select! {
                    _ = delivered.reach((sent - AHEAD_MAX) * members as u64) => {}
                    answered = self.acked(), if self.unacked > 0 => answered?,
                }
            } else {
                self.send().await?;
                sent += 1;
            }
        }
        self.drain().await
    }

    /// `count` messages, each at its intended time, whatever the answers do.
    pub(crate) async fn pace(&mut self, start: Instant, interval: Duration, count: u32) -> anyhow::Result<()> {
        for turn in 0..count {
            let intended = tokio::time::Instant::from_std(start + interval * turn);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(intended) => break,
                    answered = self.acked(), if self.unacked > 0 => answered?,
                }
            }
            self.send().await?;
        }
        self.drain().await
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let request = order::message(&self.group.conversation, 0, self.next_number, self.group.head);
        self.client.send(Request::Send(request)).await?;
        self.next_number += 1;
        self.unacked += 1;
        Ok(())
    }

    /// Reads until one more is acknowledged. Cancel safe, as it changes what it knows only after the last wait.
    async fn acked(&mut self) -> anyhow::Result<()> {
        loop {
            match self.client.next().await? {
                Incoming::Reply(_, Some(Reply::Send(ack))) => {
                    anyhow::ensure!(!ack.duplicate, "a message was taken for a repetition");
                    let seq = ack.message.context("an ack has a message")?.seq;
                    self.group.head = self.group.head.max(seq);
                    self.unacked -= 1;
                    return Ok(());
                }
                Incoming::Refused(_, error) => bail!("a message was refused: {}: {}", error.reason, error.message),
                Incoming::Reply(..) | Incoming::Push(_) => {}
            }
        }
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        while self.unacked > 0 {
            tokio::time::timeout(ANSWER_TIMEOUT, self.acked())
                .await
                .context("a message was not acknowledged in time")??;
        }
        Ok(())
    }
}
