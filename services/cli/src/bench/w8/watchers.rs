//! Those who watch: many of one user, who look at the text only; and some of many users each.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{Message, WebSocketStream};
use viberchat_proto::gateway::v1::WatchPresence;
use viberchat_proto::presence::v1::{Presence, Status};

use super::super::client::{Client, Incoming, Push, Reply, Request};
use super::super::crowd::HEARTBEAT;
use super::super::server::Server;

/// Handshakes under way at once.
const HANDSHAKES: usize = 64;
/// Users that one frame may name.
const NAMED_MAX: usize = 200;

/// Sockets of which only the status is looked for.
pub(super) struct Watchers {
    sockets: Vec<WebSocketStream<TcpStream>>,
    frame_bytes: usize,
}

impl Watchers {
    /// Connects them all; each watches one user.
    pub(super) async fn connect(server: &Server, users: &[String], watched: &str) -> anyhow::Result<Self> {
        let connecting = users.iter().map(async |user| {
            let mut client = Client::connect(server.http, user, &server.token(user)?, false).await?;
            client.ready().await?;
            watch(&mut client, &[watched.to_owned()]).await?;
            // The user's presence so far: what is waited for is a change.
            client.forget_early();
            client.into_socket()
        });
        let sockets = futures::stream::iter(connecting).buffered(HANDSHAKES).try_collect().await?;
        Ok(Self { sockets, frame_bytes: 0 })
    }

    /// Bytes of the last frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    pub(super) async fn heartbeat(&mut self) -> anyhow::Result<()> {
        for socket in &mut self.sockets {
            socket.send(Message::text(HEARTBEAT.to_owned())).await?;
        }
        Ok(())
    }

    /// Returns when the last of them has heard of this status.
    pub(super) async fn hear(&mut self, status: &str) -> anyhow::Result<Instant> {
        let hearing: FuturesUnordered<_> = self.sockets.iter_mut().map(|socket| hear(socket, status)).collect();
        let lengths = tokio::task::unconstrained(hearing.try_collect::<Vec<_>>()).await?;
        self.frame_bytes = lengths.last().copied().unwrap_or_default();
        Ok(Instant::now())
    }
}

async fn hear(socket: &mut WebSocketStream<TcpStream>, status: &str) -> anyhow::Result<usize> {
    loop {
        let message = socket.next().await.context("the server closed a socket")??;
        if let Some((code, reason)) = message.as_close() {
            bail!("the server closed a socket: {} {reason}", u16::from(code));
        }
        if let Some(text) = message.as_text().filter(|text| text.contains(status)) {
            return Ok(text.len());
        }
    }
}

async fn watch(client: &mut Client, users: &[String]) -> anyhow::Result<Vec<Presence>> {
    let Some(Reply::WatchPresence(watched)) =
        client.call(Request::WatchPresence(WatchPresence { user_ids: users.to_vec() })).await?
    else {
        bail!("watch_presence has another answer");
    };
    Ok(watched.presences)
}

/// One who follows many.
pub(super) struct Followers {
    client: Client,
    seen: HashMap<String, Status>,
}

impl Followers {
    pub(super) async fn connect(server: &Server, user: &str, followed: &[String]) -> anyhow::Result<Self> {
        let mut client = Client::connect(server.http, user, &server.token(user)?, false).await?;
        client.ready().await?;
        let mut seen: HashMap<_, _> = followed.iter().map(|user| (user.clone(), Status::Unspecified)).collect();
        for users in followed.chunks(NAMED_MAX) {
            let presences = watch(&mut client, users).await?;
            seen.extend(presences.into_iter().map(|presence| (presence.user_id.clone(), presence.status())));
        }
        Ok(Self { client, seen })
    }

    /// Reads until all have this status.
    pub(super) async fn see_all(&mut self, status: Status) -> anyhow::Result<()> {
        let mut others = self.seen.values().filter(|seen| **seen != status).count();
        while others > 0 {
            let Incoming::Push(Push::Presence(changed)) = self.client.next().await? else { continue };
            for presence in changed.presences {
                let now = presence.status();
                let Some(seen) = self.seen.get_mut(&presence.user_id) else { continue };
                let was = std::mem::replace(seen, now);
                others =
                    others + usize::from(was == status && now != status) - usize::from(was != status && now == status);
            }
        }
        Ok(())
    }
}
