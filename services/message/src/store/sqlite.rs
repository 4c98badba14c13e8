//! The store on SQLite: one file, one writer, many readers.
//!
//! Map: `connection` opens and sets up; `migrations` brings the schema up to date; `writer` is the one thread that writes,
//! and commits what has queued up across conversations at once; `append` and `position` are what it does in a transaction;
//! `checkpoint` gets erased texts off the disk; `readers` are the threads that read, `log`, `messages`, `reaction` and
//! `overview` what is asked of them, `pages` what they keep; `change` is what entries do to messages; `row` turns rows into records.
//!
//! Invariants
//! - Only the writer's connection writes.
//! - Rows of `log` are appended at the table's end, are never removed and never grow (why: the migration says it).
//! - Two processes on one file are correct, only slower: the condition is checked under the file's write lock.

mod append;
mod change;
mod checkpoint;
mod connection;
mod log;
mod messages;
mod migrations;
mod overview;
mod pages;
mod position;
mod reaction;
mod readers;
mod row;
#[cfg(test)]
pub(crate) mod stamp;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use viberchat_kit::id::{ConversationId, UserId};

use self::readers::{Readers, Reading};
use self::writer::Writer;
use super::{
    Append, Appended, LogSlice, MessageRange, MessageSlice, Overview, PositionSet, PositionSlice, ReactionKey,
    ReadLimit, Result, Store,
};
use crate::domain::dedup::{Found, WriteId};
use crate::domain::head::Head;
use crate::domain::position::Mark;
use crate::metrics::StoreMetrics;

/// How the store is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SqliteOptions {
    /// Threads that read, each with a connection.
    pub(crate) readers: usize,
    /// Writes that may wait for the writer.
    pub(crate) queue: usize,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// SQLite says no.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// The file.
        path: String,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a later release.
    #[error("the database {path} has schema version {found}, this release knows {known}")]
    TooNew {
        /// The file.
        path: String,
        /// Its version.
        found: usize,
        /// The last one that is known here.
        known: usize,
    },
    /// No thread for the writer or a reader.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// A handle on one database file.
pub(crate) struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the file, makes it if it is missing, and brings its schema up to date. Blocks.
    pub(crate) fn open(
        path: &Path,
        options: SqliteOptions,
        metrics: StoreMetrics,
    ) -> std::result::Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.display().to_string(), source };
        let mut writing = connection::open_writer(path).map_err(failed)?;
        migrations::run(&mut writing).map_err(|error| error.at(path))?;
        connection::loosen_for_mutants(&writing).map_err(failed)?;
        // A crash may have come between an erasure and its checkpoint.
        checkpoint::truncate(&writing).map_err(failed)?;
        let readers = Readers::open(path, options.readers, &metrics)?;
        let writer = Writer::start(writing, options.queue, metrics)?;
        Ok(Self { writer, readers })
    }
}

impl Store for SqliteStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended>> {
        self.writer.append(append).boxed()
    }

    fn find_ids(
        &self,
        conversation_id: ConversationId,
        ids: Vec<WriteId>,
        _after_seq: u64,
    ) -> BoxFuture<'_, Result<(Head, Vec<Option<Found>>)>> {
        // The index finds an id as fast in the whole log.
        self.readers.read(move |connection| log::find_ids(connection, conversation_id, &ids)).boxed()
    }

    fn find_version(&self, conversation_id: ConversationId, version: u64) -> BoxFuture<'_, Result<Option<u64>>> {
        self.readers.read(move |connection| log::find_version(connection, conversation_id, version)).boxed()
    }

    fn read_log(
        &self,
        conversation_id: ConversationId,
        after_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<LogSlice>> {
        let page = move |reading: &mut Reading<'_>| pages::of_log(reading, conversation_id, after_seq, limit);
        self.readers.read_page(conversation_id, page).boxed()
    }

    fn tail(&self, conversation_id: ConversationId, entries: usize) -> BoxFuture<'_, Result<LogSlice>> {
        self.readers.read(move |connection| log::tail(connection, conversation_id, entries)).boxed()
    }

    fn messages(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        range: MessageRange,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        let page = move |reading: &mut Reading<'_>| pages::of_messages(reading, conversation_id, &viewer, range, limit);
        self.readers.read_page(conversation_id, page).boxed()
    }

    fn messages_at(
        &self,
        conversation_id: ConversationId,
        viewer: Option<UserId>,
        seqs: Vec<u64>,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        self.readers.read(move |connection| messages::at(connection, conversation_id, viewer.as_ref(), &seqs)).boxed()
    }

    fn pins(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        before_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        let page = move |connection: &_| messages::pinned(connection, conversation_id, &viewer, before_seq, limit);
        self.readers.read(page).boxed()
    }

    fn pin_count(&self, conversation_id: ConversationId) -> BoxFuture<'_, Result<(Head, u64)>> {
        self.readers.read(move |connection| messages::pin_count(connection, conversation_id)).boxed()
    }

    fn find_reactions(
        &self,
        conversation_id: ConversationId,
        keys: Vec<ReactionKey>,
    ) -> BoxFuture<'_, Result<(Head, Vec<bool>)>> {
        self.readers.read(move |connection| reaction::find(connection, conversation_id, &keys)).boxed()
    }

    fn heads(&self, conversation_ids: Vec<ConversationId>) -> BoxFuture<'_, Result<Vec<Head>>> {
        self.readers.read(move |connection| log::heads(connection, &conversation_ids)).boxed()
    }

    fn overviews(
        &self,
        user: UserId,
        conversations: Vec<(ConversationId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<Overview>>> {
        self.readers.read(move |connection| overview::read(connection, &user, &conversations)).boxed()
    }

    fn set_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> BoxFuture<'_, Result<PositionSet>> {
        async move {
            // Most calls repeat what is known or follow a send: those need no write and no sync.
            let asked = user.clone();
            let present =
                self.readers.read(move |connection| position::present(connection, conversation_id, &asked, mark));
            match present.await? {
                Some(settled) => Ok(settled),
                None => self.writer.set_position(conversation_id, user, mark).await,
            }
        }
        .boxed()
    }

    fn positions(
        &self,
        conversation_id: ConversationId,
        after: Option<UserId>,
        items: usize,
    ) -> BoxFuture<'_, Result<PositionSlice>> {
        self.readers.read(move |connection| position::page(connection, conversation_id, after.as_ref(), items)).boxed()
    }

    fn written_elsewhere(&self) -> BoxFuture<'_, Result<bool>> {
        self.writer.maintain().boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.readers.read(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.writer.close().boxed()
    }
}
