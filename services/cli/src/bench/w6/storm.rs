//! Many connections at once, and the check of what each resume brought.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;
use tokio_websockets::ClientBuilder;
use viberchat_proto::gateway::v1::ResumeCursor;
use viberchat_proto::message::v1::LogEntry;

use super::super::Bench;
use super::super::client::{ANSWER_TIMEOUT, Client};
use super::super::floor::{FloorKind, FloorProcess};
use super::super::sample::Faults;
use super::super::server::Server;

/// Connections under way at once.
pub(super) const HANDSHAKES: usize = 256;
/// How often one is tried that the server turned away.
const TRIES: u32 = 20;
/// Before it is tried again, times the try.
const BACKOFF: Duration = Duration::from_millis(25);

/// A user's, made before the clock starts.
pub(super) struct Token {
    user: String,
    token: String,
}

impl Token {
    pub(super) fn of(server: &Server, user: String) -> anyhow::Result<Self> {
        Ok(Self { token: server.token(&user)?, user })
    }
}

/// All connected.
pub(super) struct Storm {
    clients: Vec<Client>,
    /// From the first connect to the last welcome, and to the last ready.
    pub(super) welcomed: Duration,
    pub(super) ready: Duration,
    pub(super) retries: u64,
}

impl Storm {
    pub(super) async fn connect(server: &Server, tokens: &[Token]) -> anyhow::Result<Self> {
        let (start, welcomed, retries) = (Instant::now(), Cell::new(Duration::ZERO), Cell::new(0));
        let connecting = tokens.iter().map(async |token| {
            again(&retries, async || {
                let mut client = Client::connect(server.http, &token.user, &token.token, false).await?;
                welcomed.set(start.elapsed());
                client.ready().await?;
                Ok(client)
            })
            .await
        });
        let clients = futures::stream::iter(connecting).buffer_unordered(HANDSHAKES).try_collect().await?;
        Ok(Self { clients, welcomed: welcomed.get(), ready: start.elapsed(), retries: retries.get() })
    }

    /// The server is gone: each socket has to say so.
    pub(super) async fn ended(mut self) -> anyhow::Result<()> {
        let ending = async {
            for client in &mut self.clients {
                while client.next().await.is_ok() {}
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, ending).await.context("not in time")
    }
}

/// What a storm of resumes brought.
pub(super) struct Resumed {
    /// From the first connect until the last one was ready.
    pub(super) time: Duration,
    pub(super) faults: Faults,
    pub(super) retries: u64,
}

/// All connect and resume from their cursors; each has missed `missed` entries of each conversation.
pub(super) async fn resume(
    server: &Server,
    tokens: &[Token],
    cursors: &[Vec<ResumeCursor>],
    missed: u64,
) -> anyhow::Result<Resumed> {
    let (start, retries) = (Instant::now(), Cell::new(0));
    let resuming = tokens.iter().zip(cursors).map(async |(token, cursors)| {
        again(&retries, async || {
            let mut client = Client::connect(server.http, &token.user, &token.token, true).await?;
            client.resume(cursors).await?;
            let mut check = Check::new(cursors, missed);
            let readiness = client.ready_with(|entry| check.take(entry)).await?;
            anyhow::ensure!(readiness.incomplete == 0, "{} conversations were not resumed", readiness.incomplete);
            // It stays open until all have resumed.
            Ok((client, check.end()))
        })
        .await
    });
    let all: Vec<_> = futures::stream::iter(resuming).buffer_unordered(HANDSHAKES).try_collect().await?;
    let time = start.elapsed();
    let mut faults = Faults::default();
    all.iter().for_each(|(_, found)| faults.add(found));
    Ok(Resumed { time, faults, retries: retries.get() })
}

/// Bare WebSocket handshakes a second.
pub(super) async fn bare_handshakes(bench: &Bench, sockets: usize) -> anyhow::Result<f64> {
    let process = FloorProcess::start(FloorKind::WebSocket, bench.folder(), &bench.pinning)?;
    let address = process.address;
    let start = Instant::now();
    let connecting = (0..sockets).map(async |_| {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(ClientBuilder::new().uri(&format!("ws://{address}/"))?.connect_on(stream).await?.0)
    });
    let all = futures::stream::iter(connecting).buffer_unordered(HANDSHAKES).try_collect::<Vec<_>>();
    let all = tokio::time::timeout(ANSWER_TIMEOUT * 3, all).await.context("no floor in time")??;
    Ok(all.len() as f64 / start.elapsed().as_secs_f64())
}

/// Tries again what a server turned away that is full of others.
async fn again<T>(retries: &Cell<u64>, attempt: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for number in 1..TRIES {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(_) => retries.set(retries.get() + 1),
        }
        tokio::time::sleep(BACKOFF * number).await;
    }
    attempt().await
}

/// Each conversation goes on after its cursor, entry by entry.
struct Check {
    next: HashMap<String, u64>,
    left: u64,
    doubled: u64,
    lost: u64,
}

impl Check {
    fn new(cursors: &[ResumeCursor], missed: u64) -> Self {
        let next = cursors.iter().map(|cursor| (cursor.conversation_id.clone(), cursor.seq + 1)).collect();
        Self { next, left: cursors.len() as u64 * missed, doubled: 0, lost: 0 }
    }

    fn take(&mut self, entry: &LogEntry) {
        let Some(next) = self.next.get_mut(&entry.conversation_id).filter(|next| entry.seq >= **next) else {
            // It had this one, or never asked for it.
            self.doubled += 1;
            return;
        };
        self.lost += entry.seq - *next;
        *next = entry.seq + 1;
        self.left = self.left.saturating_sub(1);
    }

    fn end(self) -> Faults {
        Faults { lost: self.lost.max(self.left), disordered: self.doubled, ..Faults::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seqs: &[u64]) -> (u64, u64) {
        let cursor = ResumeCursor { conversation_id: "c".into(), seq: 3 };
        let mut check = Check::new(&[cursor], 2);
        for seq in seqs {
            check.take(&LogEntry { conversation_id: "c".into(), seq: *seq, ..LogEntry::default() });
        }
        let faults = check.end();
        (faults.lost, faults.disordered)
    }

    #[test]
    fn what_a_resume_lost_or_doubled_is_seen() {
        assert_eq!(check(&[4, 5]), (0, 0));
        assert_eq!(check(&[4]), (1, 0));
        assert_eq!(check(&[]), (2, 0));
        assert_eq!(check(&[5]), (1, 0));
        assert_eq!(check(&[4, 4, 5]), (0, 1));
        assert_eq!(check(&[3, 4, 5]), (0, 1));
    }

    #[tokio::test]
    async fn what_is_turned_away_is_tried_again_and_counted() {
        let (retries, tries) = (Cell::new(0), Cell::new(0));
        let done = again(&retries, async || {
            tries.set(tries.get() + 1);
            anyhow::ensure!(tries.get() == 3, "full");
            Ok(tries.get())
        });
        assert_eq!(done.await.unwrap(), 3);
        assert_eq!(retries.get(), 2);
    }
}
