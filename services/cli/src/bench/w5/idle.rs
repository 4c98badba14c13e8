//! Sockets that do nothing but live.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use viberchat_proto::conversation::v1::ListConversationsRequest;
use viberchat_proto::gateway::v1::Heartbeat;

use super::super::client::{ANSWER_TIMEOUT, Client, Incoming, Push, Reply, Request};
use super::super::order;
use super::super::sample::Faults;
use super::super::server::Server;
use super::user;

/// Sockets whose list is read at the end.
const CHECKED: usize = 50;

#[derive(Default)]
pub(super) struct Idle {
    clients: Vec<Client>,
}

impl Idle {
    /// Connects until there are `sockets`, all ready, in the order of their users.
    pub(super) async fn connect(&mut self, server: &Server, sockets: usize, handshakes: usize) -> anyhow::Result<()> {
        let connecting = (self.clients.len()..sockets).map(async |index| {
            let user = user(index);
            let mut client = Client::connect(server.http, &user, &server.token(&user)?, false).await?;
            client.ready().await?;
            anyhow::Ok(client)
        });
        let mut connected = futures::stream::iter(connecting).buffered(handshakes);
        while let Some(client) = connected.try_next().await? {
            self.clients.push(client);
        }
        Ok(())
    }

    pub(super) fn heartbeat(&self) -> Duration {
        self.clients.first().map_or(Duration::from_secs(15), |client| client.heartbeat)
    }

    /// Sends heartbeats as clients do, and reads what comes. Fails if a socket ends.
    pub(super) async fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        let count = u32::try_from(self.clients.len().max(1))?;
        let waiting: FuturesUnordered<_> = (0..)
            .zip(&mut self.clients)
            .map(|(index, client)| {
                // Spread over the interval, as sockets that came by themselves are.
                let first = client.heartbeat * index / count;
                wait(client, Instant::now() + first, until)
            })
            .collect();
        waiting.try_collect::<()>().await
    }

    /// Whether they are what they claim: each of some lists its conversations, and a message comes through. `number`
    /// names that message: another one at each check.
    pub(super) async fn check(mut self, conversations: usize, number: u32, faults: &mut Faults) -> anyhow::Result<()> {
        let step = (self.clients.len() / CHECKED).max(1);
        let mut direct = None;
        for (index, client) in self.clients.iter_mut().enumerate().step_by(step) {
            let request = ListConversationsRequest { page_size: 200, ..ListConversationsRequest::default() };
            let Some(Reply::ListConversations(page)) = client.call(Request::ListConversations(request)).await? else {
                bail!("list_conversations has another answer");
            };
            let ids: HashSet<_> = page.conversations.iter().map(|it| it.conversation_id.as_str()).collect();
            faults.lost += conversations.abs_diff(ids.len()) as u64;
            if index == 0 {
                let to_next = page.conversations.iter().find(|it| it.peer_user_id == user(1));
                direct = to_next.map(|it| it.conversation_id.clone());
            }
        }
        let conversation = direct.context("the first user has no direct with the second")?;
        let [first, second, ..] = &mut self.clients[..] else { bail!("two sockets are needed") };
        first.call(Request::Send(order::message(&conversation, 0, number.into(), 0))).await?;
        let arriving = async {
            loop {
                if let Incoming::Push(Push::Entry(entry)) = second.next().await?
                    && entry.conversation_id == conversation
                {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, arriving).await.context("an idle socket got no message")?
    }
}

async fn wait(client: &mut Client, mut next_heartbeat: Instant, until: Instant) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            incoming = client.next() => if let Incoming::Refused(_, error) = incoming? {
                bail!("a heartbeat was refused: {}", error.reason);
            },
            () = tokio::time::sleep_until(next_heartbeat.min(until)) => {
                if Instant::now() >= until {
                    return Ok(());
                }
                client.send(Request::Heartbeat(Heartbeat {})).await?;
                next_heartbeat += client.heartbeat;
            }
        }
    }
}
