//! The store on Cassandra 5 and ScyllaDB: only what both speak.
//!
//! Map: `schema` the tables, `session` how the engine is reached, `statements` all that is asked, `routing` where appends
//! go, `error` what answers mean; `bucket` the partitions of a log, `known` what a handle remembers of one, `head` finds its
//! end, `together` asks for all who want to know it; `append` the conditional batch, `effects` what entries do, `project`
//! writes that; `log`, `ids`, `messages` and `position` are the reads; `row` turns rows into records.
//!
//! Invariants. Each was checked with a model of instances, crashes, late timeouts and commits on one replica; without any of
//! them a message is doubled or lost.
//! - The static `head_seq` is the fence: any instance may append, and no lease and no clock is part of it.
//! - A head is the last row of an unbroken run, read with its condition in one statement of one column list, or one's own
//!   applied batch. Never a condition or a row by itself.
//! - Statics are conditions, never values: numbers that go on continue from the last row.
//! - A timeout is a lost condition. It is never answered with "not stored", however the log looks.
//! - A batch never straddles buckets, and only whoever knows that a bucket is full opens the next one.
//! - Ids are looked up in the newest bucket at a quorum, and in older ones SERIAL.
//! - Projections carry the place of their entry as time; their rows are never deleted. Null is never written.
//! - A head that is shown with state is settled first: see `project`.

mod append;
mod bucket;
mod effects;
mod error;
mod examine;
mod head;
mod ids;
mod known;
mod log;
mod messages;
mod position;
mod project;
mod routing;
mod row;
mod schema;
mod session;
mod statements;
#[cfg(test)]
mod tests;
mod together;

pub(crate) use examine::examine;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use futures::{FutureExt as _, StreamExt as _, stream};
use moka::future::Cache;
use parking_lot::Mutex;
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::time::{Instant, sleep};
use viberchat_kit::clock::SharedClock;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::tls::TlsError;

use self::bucket::Buckets;
use self::error::{corrupt, unavailable};
use self::known::Known;
use self::messages::{KeptPage, PageKey};
use self::statements::Statements;
use super::{
    Append, Appended, LogSlice, MessageRange, MessageSlice, Overview, PositionSet, PositionSlice, ReactionKey,
    ReadLimit, Result, Store, WRITES_NOTICED_WITHIN,
};
use crate::config::CassandraConfig;
use crate::domain::dedup::{Found, WriteId};
use crate::domain::head::Head;
use crate::domain::position::Mark;
use crate::metrics::StoreMetrics;

/// Logs that one question about many asks for at once.
const AT_ONCE: usize = 32;
/// Bytes of pages that are kept.
const PAGES_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Logs of which something waits to be written, at the most. What waits beyond is written by whoever reads that log next.
const DUE_MAX: usize = 16_384;
/// How long it waits: readers take from the log what is not written, so this only bounds what they have to read.
const DUE_WITHIN: Duration = Duration::from_secs(30);
/// Entries that it waits for. They are one read.
const DUE_ENTRIES: u64 = 64;
/// How long one turn of it begins with more.
const WRITING_MAX: Duration = Duration::from_secs(1);
/// Between two looks at what is due.
const DUE_INTERVAL: Duration = Duration::from_millis(400);
/// Other handles' writes cannot be seen cheaply, so they are taken for granted this often.
const ELSEWHERE_INTERVAL: Duration = Duration::from_millis(900);

const _: () = assert!(ELSEWHERE_INTERVAL.as_millis() < WRITES_NOTICED_WITHIN.as_millis());

/// Why a keyspace cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The engine does not answer, or says no.
    #[error("Cassandra: {0}")]
    Engine(String),
    /// It refuses what stands for something that another process may be making at this moment.
    #[error("Cassandra: {0}")]
    TooEarly(String),
    /// Its certificates or our key cannot be read.
    #[error("message.cassandra: {0}")]
    Tls(#[from] TlsError),
    /// Nobody has brought it up to date.
    #[error(
        "the keyspace {keyspace} has schema version {found}, this release needs {known}: run `viberchat migrate schema`"
    )]
    Behind {
        /// The keyspace.
        keyspace: String,
        /// Its version; 0: nothing is there.
        found: usize,
        /// The version of this release.
        known: usize,
    },
    /// Written by a later release.
    #[error("the keyspace {keyspace} has schema version {found}, this release knows {known}")]
    TooNew {
        /// The keyspace.
        keyspace: String,
        /// Its version.
        found: usize,
        /// The last one that is known here.
        known: usize,
    },
}

/// A handle on one keyspace.
pub(crate) struct CassandraStore {
    session: Session,
    statements: Statements,
    appending: ExecutionProfileHandle,
    buckets: Buckets,
    clock: SharedClock,
    /// What is known of logs. Losing some costs reads.
    logs: Cache<ConversationId, Arc<Known>>,
    /// Pages of messages that were read.
    pages: Cache<PageKey, Arc<KeptPage>>,
    metrics: StoreMetrics,
    due: Mutex<HashMap<ConversationId, Waiting>>,
    times: Mutex<Times>,
    #[cfg(test)]
    dies_before_projecting: bool,
}

/// A log of which something waits to be written, and since when.
type Waiting = (Arc<Known>, Instant);

struct Times {
    written: Instant,
    said: Option<Instant>,
    closed: bool,
}

/// Brings the schema of the configured keyspace up to date, and makes the keyspace if it is missing. Returns the statements
/// that it ran, or would run.
pub(crate) async fn migrate(config: &CassandraConfig, dry_run: bool) -> std::result::Result<Vec<String>, OpenError> {
    schema::migrate(&session::connect(config).await?, config, dry_run).await
}

impl CassandraStore {
    /// Connects to the keyspace, whose schema is up to date, or is brought there if the settings say so.
    pub(crate) async fn open(
        config: &CassandraConfig,
        clock: SharedClock,
        metrics: StoreMetrics,
    ) -> std::result::Result<Self, OpenError> {
        Self::open_with(config, clock, metrics, fault::bucket_shift().unwrap_or(bucket::SHIFT)).await
    }

    async fn open_with(
        config: &CassandraConfig,
        clock: SharedClock,
        metrics: StoreMetrics,
        bucket_shift: u32,
    ) -> std::result::Result<Self, OpenError> {
        let engine = |error: String| OpenError::Engine(error);
        let session = session::connect(config).await?;
        if config.migrate_on_start {
            schema::migrate(&session, config, false).await?;
        } else {
            schema::require(&session, config).await?;
        }
        session.use_keyspace(config.keyspace(), false).await.map_err(|error| engine(error.to_string()))?;
        let statements = Statements::ready(&session).await.map_err(|error| engine(error.to_string()))?;
        Ok(Self {
            session,
            statements,
            appending: session::appending(config),
            buckets: Buckets::of(bucket_shift),
            clock,
            logs: Cache::builder().max_capacity(config.logs_max).build(),
            pages: Cache::builder()
                .max_capacity(PAGES_BYTES_MAX)
                .weigher(|_, page: &Arc<KeptPage>| page.cost())
                .build(),
            metrics,
            due: Mutex::default(),
            times: Mutex::new(Times { written: Instant::now(), said: None, closed: false }),
            #[cfg(test)]
            dies_before_projecting: false,
        })
    }

    /// A conversation's id, as the driver takes it.
    fn key(&self, conversation_id: ConversationId) -> uuid::Uuid {
        uuid::Uuid::from_bytes(*conversation_id.as_bytes())
    }

    /// The rows of a question of one partition.
    async fn rows<R>(&self, statement: &PreparedStatement, parameters: impl SerializeRow) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.session.execute_unpaged(statement, parameters).await.map_err(unavailable)?;
        let rows = result.into_rows_result().map_err(corrupt)?;
        rows.rows::<R>().map_err(corrupt)?.collect::<std::result::Result<_, _>>().map_err(corrupt)
    }

    /// A write that names its own time, so that repeating it changes nothing.
    async fn write(&self, statement: &PreparedStatement, parameters: impl SerializeRow) -> Result<()> {
        self.session.execute_unpaged(statement, parameters).await.map(drop).map_err(unavailable)
    }

    /// Something about this log waits to be written.
    fn note_due(&self, known: &Arc<Known>) {
        let mut due = self.due.lock();
        if let Some((waiting, _)) = due.get_mut(&known.conversation_id) {
            waiting.clone_from(known);
        } else if due.len() < DUE_MAX {
            due.insert(known.conversation_id, (known.clone(), Instant::now()));
        }
    }

    /// What has waited long enough, longest first.
    fn due_now(&self) -> Vec<Arc<Known>> {
        let now = Instant::now();
        let due = self.due.lock();
        let is_crowded = due.len() >= DUE_MAX / 2;
        let is_due = |known: &Known, since: Instant| {
            is_crowded || now.duration_since(since) >= DUE_WITHIN || known.unwritten() >= DUE_ENTRIES
        };
        let mut logs: Vec<_> = due.values().filter(|(known, since)| is_due(known, *since)).cloned().collect();
        drop(due);
        logs.sort_unstable_by_key(|(_, since)| *since);
        logs.into_iter().map(|(known, _)| known).collect()
    }

    /// All that waits.
    fn all_due(&self) -> Vec<Arc<Known>> {
        self.due.lock().values().map(|(known, _)| known.clone()).collect()
    }

    /// Writes what waits of these logs, as much as is begun in a moment. The rest waits on, and nobody misses it.
    async fn write_waiting(&self, logs: Vec<Arc<Known>>) {
        let begun = stream::iter(logs).take_until(sleep(WRITING_MAX));
        let writing = begun.for_each_concurrent(AT_ONCE, |known| async move {
            let written = match known.due() {
                Some(due) => self.write_due(&known, &due).await,
                None => Ok(()),
            };
            if let Err(error) = written {
                tracing::debug!(conversation_id = %known.conversation_id, %error, "positions are not written yet");
            }
            self.wait_anew(&known);
        });
        writing.await;
    }

    /// What came meanwhile, or could not be written, waits behind all others.
    fn wait_anew(&self, known: &Arc<Known>) {
        let mut due = self.due.lock();
        let Some((waiting, since)) = due.get_mut(&known.conversation_id) else { return };
        if waiting.due().is_some() {
            *since = Instant::now();
        } else {
            due.remove(&known.conversation_id);
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.times.lock().closed { Err(unavailable("the store is closed")) } else { Ok(()) }
    }
}

impl Store for CassandraStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended>> {
        async move {
            self.check_open()?;
            self.append_entries(append).await
        }
        .boxed()
    }

    fn find_ids(
        &self,
        conversation_id: ConversationId,
        ids: Vec<WriteId>,
        after_seq: u64,
    ) -> BoxFuture<'_, Result<(Head, Vec<Option<Found>>)>> {
        async move { self.ids(conversation_id, &ids, after_seq + 1).await }.boxed()
    }

    fn find_version(&self, conversation_id: ConversationId, version: u64) -> BoxFuture<'_, Result<Option<u64>>> {
        self.version_seq(conversation_id, version).boxed()
    }

    fn read_log(
        &self,
        conversation_id: ConversationId,
        after_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<LogSlice>> {
        self.log_after(conversation_id, after_seq, limit).boxed()
    }

    fn tail(&self, conversation_id: ConversationId, entries: usize) -> BoxFuture<'_, Result<LogSlice>> {
        self.log_tail(conversation_id, entries).boxed()
    }

    fn messages(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        range: MessageRange,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        async move { self.message_page(conversation_id, &viewer, range, limit).await }.boxed()
    }

    fn messages_at(
        &self,
        conversation_id: ConversationId,
        viewer: Option<UserId>,
        seqs: Vec<u64>,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        async move { self.messages_of(conversation_id, viewer.as_ref(), &seqs).await }.boxed()
    }

    fn pins(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        before_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        async move { self.pinned_page(conversation_id, &viewer, before_seq, limit).await }.boxed()
    }

    fn pin_count(&self, conversation_id: ConversationId) -> BoxFuture<'_, Result<(Head, u64)>> {
        self.pins_counted(conversation_id).boxed()
    }

    fn find_reactions(
        &self,
        conversation_id: ConversationId,
        keys: Vec<ReactionKey>,
    ) -> BoxFuture<'_, Result<(Head, Vec<bool>)>> {
        async move { self.reactions_given(conversation_id, &keys).await }.boxed()
    }

    fn heads(&self, conversation_ids: Vec<ConversationId>) -> BoxFuture<'_, Result<Vec<Head>>> {
        async move {
            let mut heads = Vec::with_capacity(conversation_ids.len());
            for some in conversation_ids.chunks(AT_ONCE) {
                let read = try_join_all(some.iter().map(|conversation_id| self.current(*conversation_id)));
                heads.extend(read.await?.into_iter().map(|(_, head)| head));
            }
            Ok(heads)
        }
        .boxed()
    }

    fn overviews(
        &self,
        user: UserId,
        conversations: Vec<(ConversationId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<Overview>>> {
        async move { self.overviews_of(&user, &conversations).await }.boxed()
    }

    fn set_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> BoxFuture<'_, Result<PositionSet>> {
        async move {
            self.check_open()?;
            self.move_position(conversation_id, user, mark).await
        }
        .boxed()
    }

    fn positions(
        &self,
        conversation_id: ConversationId,
        after: Option<UserId>,
        items: usize,
    ) -> BoxFuture<'_, Result<PositionSlice>> {
        async move { self.position_page(conversation_id, after.as_ref(), items).await }.boxed()
    }

    fn written_elsewhere(&self) -> BoxFuture<'_, Result<bool>> {
        async move {
            let now = Instant::now();
            let is_due = {
                let mut times = self.times.lock();
                let is_due = now.duration_since(times.written) >= DUE_INTERVAL;
                if is_due {
                    times.written = now;
                }
                is_due
            };
            if is_due {
                self.write_waiting(self.due_now()).await;
            }
            let mut times = self.times.lock();
            let says = times.said.is_none_or(|said| now.duration_since(said) >= ELSEWHERE_INTERVAL);
            if says {
                times.said = Some(now);
            }
            Ok(says)
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        async move { self.rows::<(String,)>(&self.statements.ping, ()).await.map(drop) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.times.lock().closed = true;
            self.write_waiting(self.all_due()).await;
            Ok(())
        }
        .boxed()
    }
}
