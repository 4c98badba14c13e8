//! Members who stop reading, and what they have in the end.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use viberchat_proto::gateway::v1::{Heartbeat, ResumeCursor};
use viberchat_proto::message::v1::LogEntry;

use super::super::client::{Client, Incoming, Push, Request};
use super::super::sample::Faults;
use super::super::server::Server;

/// What the kernel keeps at the reader's end, about.
const RECEIVE_BYTES: u32 = 8 * 1024;
/// Handshakes under way at once.
const HANDSHAKES: usize = 32;
/// For all to get everything: hundreds of megabytes in the end.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CLOSED_AS_SLOW: &str = "4008";

/// All slow ones.
pub(super) struct Slow {
    readers: Vec<Reader>,
}

/// How those ended who never read on.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) closed_as_slow: u64,
    /// The connection ended without a close frame that could still be read.
    pub(super) ended_otherwise: u64,
}

struct Reader {
    user: String,
    client: Client,
    seen: Seen,
}

/// The next entry of each conversation.
struct Seen {
    next: HashMap<String, u64>,
    disordered: u64,
}

impl Slow {
    /// Connects them with small buffers; `heads` is what they have of each conversation.
    pub(super) async fn connect(server: &Server, users: &[String], heads: &[(String, u64)]) -> anyhow::Result<Self> {
        let connecting = users.iter().map(async |user| {
            let token = server.token(user)?;
            let mut client = Client::connect_small(server.http, user, &token, RECEIVE_BYTES).await?;
            client.ready().await?;
            anyhow::Ok(Reader { user: user.clone(), client, seen: Seen::after(heads) })
        });
        let readers = futures::stream::iter(connecting).buffered(HANDSHAKES).try_collect().await?;
        Ok(Self { readers })
    }

    pub(super) fn count(&self) -> usize {
        self.readers.len()
    }

    /// Says that they live, which also those do who do not read.
    pub(super) async fn heartbeat(&mut self) -> anyhow::Result<()> {
        for reader in &mut self.readers {
            // Of a closed one it fails, which shows when it is read from.
            let _sent = reader.client.send(Request::Heartbeat(Heartbeat {})).await;
        }
        Ok(())
    }

    /// All read up to these heads.
    pub(super) async fn read_to(&mut self, heads: &[(String, u64)]) -> anyhow::Result<()> {
        read_all(&mut self.readers, heads).await
    }

    /// The first half reads up to these heads.
    pub(super) async fn read_on(&mut self, heads: &[(String, u64)]) -> anyhow::Result<()> {
        let half = self.readers.len() / 2;
        read_all(&mut self.readers[..half], heads).await
    }

    /// The other half reads what is left for it until it hears that it was closed, connects again and resumes.
    pub(super) async fn resume(&mut self, server: &Server, heads: &[(String, u64)]) -> anyhow::Result<Ended> {
        let half = self.readers.len() / 2;
        let mut ended = Ended::default();
        for reader in &mut self.readers[half..] {
            let resuming = async {
                let why = reader.read_to_end().await;
                reader.resume(server, heads).await?;
                anyhow::Ok(why)
            };
            let why = tokio::time::timeout(READ_TIMEOUT, resuming).await.context("not in time")??;
            let count =
                if why.contains(CLOSED_AS_SLOW) { &mut ended.closed_as_slow } else { &mut ended.ended_otherwise };
            *count += 1;
        }
        Ok(ended)
    }

    pub(super) fn faults(&self) -> Faults {
        Faults { disordered: self.readers.iter().map(|reader| reader.seen.disordered).sum(), ..Faults::default() }
    }
}

async fn read_all(readers: &mut [Reader], heads: &[(String, u64)]) -> anyhow::Result<()> {
    let reading: FuturesUnordered<_> = readers.iter_mut().map(|reader| reader.read_to(heads)).collect();
    tokio::time::timeout(READ_TIMEOUT, reading.try_collect::<()>())
        .await
        .context("entries were lost, or came too late")?
}

impl Reader {
    async fn read_to(&mut self, heads: &[(String, u64)]) -> anyhow::Result<()> {
        while !self.seen.has(heads) {
            if let Incoming::Push(Push::Entry(entry)) = self.client.next().await? {
                self.seen.take(&entry);
            }
        }
        Ok(())
    }

    /// Returns why it ended.
    async fn read_to_end(&mut self) -> String {
        loop {
            match self.client.next().await {
                Ok(Incoming::Push(Push::Entry(entry))) => self.seen.take(&entry),
                Ok(_) => {}
                Err(why) => return format!("{why:#}"),
            }
        }
    }

    async fn resume(&mut self, server: &Server, heads: &[(String, u64)]) -> anyhow::Result<()> {
        let token = server.token(&self.user)?;
        self.client = Client::connect(server.http, &self.user, &token, true).await?;
        self.client.resume(&self.seen.cursors()).await?;
        let seen = &mut self.seen;
        let readiness = self.client.ready_with(|entry| seen.take(entry)).await?;
        anyhow::ensure!(readiness.incomplete == 0, "{} conversations have a gap", readiness.incomplete);
        anyhow::ensure!(self.seen.has(heads), "the resume did not bring everything");
        Ok(())
    }
}

impl Seen {
    fn after(heads: &[(String, u64)]) -> Self {
        Self {
            next: heads.iter().map(|(conversation, head)| (conversation.clone(), head + 1)).collect(),
            disordered: 0,
        }
    }

    fn take(&mut self, entry: &LogEntry) {
        let Some(next) = self.next.get_mut(&entry.conversation_id) else { return };
        self.disordered += u64::from(entry.seq != *next);
        *next = (*next).max(entry.seq + 1);
    }

    fn has(&self, heads: &[(String, u64)]) -> bool {
        heads.iter().all(|(conversation, head)| self.next.get(conversation).is_some_and(|next| next > head))
    }

    fn cursors(&self) -> Vec<ResumeCursor> {
        let cursor = |(conversation, next): (&String, &u64)| ResumeCursor {
            conversation_id: conversation.clone(),
            seq: next - 1,
        };
        self.next.iter().map(cursor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_and_a_repetition_are_each_seen_and_cursors_are_the_last_seen() {
        let heads = [("a".to_owned(), 4), ("b".to_owned(), 0)];
        let mut seen = Seen::after(&heads);
        let entry =
            |conversation: &str, seq| LogEntry { conversation_id: conversation.into(), seq, ..LogEntry::default() };
        assert!(seen.has(&heads));
        seen.take(&entry("a", 5));
        seen.take(&entry("other", 9));
        assert_eq!(seen.disordered, 0);
        seen.take(&entry("a", 7));
        seen.take(&entry("a", 7));
        assert_eq!(seen.disordered, 2);
        assert!(seen.has(&[("a".to_owned(), 7)]) && !seen.has(&[("a".to_owned(), 7), ("b".to_owned(), 1)]));
        let seqs: HashMap<_, _> = seen.cursors().into_iter().map(|it| (it.conversation_id, it.seq)).collect();
        assert_eq!(seqs, HashMap::from([("a".to_owned(), 7), ("b".to_owned(), 0)]));
    }
}
