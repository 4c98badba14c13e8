//! The store on SQLite: WAL, synced at each commit; one connection writes, a few read.
//!
//! Map: `open` makes connections, `migrate` brings the schema up to date, `rows` reads rows; the others are the parts of
//! the trait, by what they are about.
//!
//! Invariants:
//! - Every write is one `BEGIN IMMEDIATE` transaction, so that what it has read cannot change before it commits, in this
//!   process or another. SQLite lets one write at a time: change ids come in commit order.
//! - What is seen by a read is committed; readers never wait for the writer.

mod activity;
mod authorize;
mod block;
mod change;
#[cfg(test)]
mod conformance;
mod direct;
mod group;
mod inherit;
mod list;
mod migrate;
mod open;
mod outbox;
mod read;
mod request;
mod rows;
#[cfg(test)]
mod seed;
mod settings;
mod sharing;
#[cfg(test)]
mod tests;
mod user;
mod watch;

use std::sync::Arc;

use sqlx::sqlite::{Sqlite, SqlitePool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

pub(crate) use open::{OpenError, Options};

use super::{
    Audience, Block, ChangeError, ChangeId, ConversationStore, Encode, EncodeEntry, Executed, ListPage, ListPosition,
    MissedChange, NamePosition, OutboxEntry, Pruned, Readers, RequestKey, StoreError, StoredChange,
};
use crate::domain::{
    Activity, Authorization, ConversationView, DirectPair, GroupChange, Limits, Member, MemberSettings, Membership,
    NewGroup, Profile, SettingsUpdate, Viewer,
};

/// Writes that may wait for the one connection; more are refused at once.
const WAITING_WRITES_MAX: usize = 1_024;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    waiting_writes: Arc<Semaphore>,
}

/// A transaction that nobody else writes beside. Rolled back when dropped.
struct Write {
    transaction: sqlx::Transaction<'static, Sqlite>,
    _permit: OwnedSemaphorePermit,
}

impl SqliteStore {
    /// Opens the file, makes it if need be, and brings its schema up to date.
    pub(crate) async fn open(options: &Options) -> Result<Self, OpenError> {
        let (writer, readers) = open::open(options).await?;
        Ok(Self { writer, readers, waiting_writes: Arc::new(Semaphore::new(WAITING_WRITES_MAX)) })
    }

    /// Waits for what runs, writes the log file back and closes.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<Write, StoreError> {
        let permit = self.waiting_writes.clone().try_acquire_owned();
        let permit = permit.map_err(|_| StoreError::Unavailable("too many writes are waiting".into()))?;
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { transaction, _permit: permit })
    }
}

impl Write {
    fn connection(&mut self) -> &mut sqlx::SqliteConnection {
        &mut self.transaction
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(|error| StoreError::OutcomeUnknown(Box::new(error)))
    }
}

impl From<sqlx::Error> for StoreError {
    /// Of everything but a commit: nothing was stored.
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_CORRUPT and SQLITE_NOTADB; the low byte of an extended code is the code.
        const BROKEN_FILE: [i32; 2] = [11, 26];
        match &error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt(error.to_string())
            }
            sqlx::Error::Database(database) => {
                let code = database.code().and_then(|code| code.parse::<i32>().ok());
                match code {
                    Some(code) if BROKEN_FILE.contains(&(code & 0xff)) => Self::Corrupt(error.to_string()),
                    _ => Self::Unavailable(Box::new(error)),
                }
            }
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl ConversationStore for SqliteStore {
    async fn get_or_create_direct(
        &self,
        id: ConversationId,
        pair: &DirectPair,
        creator: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(ConversationView, bool), ChangeError> {
        direct::get_or_create(self, &direct::NewDirect { id, pair, creator, now }, limits).await
    }

    async fn create_group(
        &self,
        group: &NewGroup,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> Result<Executed, ChangeError> {
        group::create(self, group, request, limits, now, encode).await
    }

    async fn change_group(
        &self,
        conversation: ConversationId,
        change: &GroupChange,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> Result<Executed, ChangeError> {
        change::change(self, &change::Asked { conversation, change, request, now }, limits, encode).await
    }

    async fn entry_seq(&self, request: &RequestKey) -> Result<Option<u64>, StoreError> {
        request::entry_seq(&self.readers, request).await
    }

    async fn update_settings(
        &self,
        conversation: ConversationId,
        user: &UserId,
        update: &SettingsUpdate,
        now: Timestamp,
    ) -> Result<Option<MemberSettings>, StoreError> {
        settings::update(self, conversation, user, update, now).await
    }

    async fn record_activity(
        &self,
        activities: &[(ConversationId, Activity)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        activity::record(self, activities, now).await
    }

    async fn authorize(&self, pairs: &[(ConversationId, UserId)]) -> Result<Vec<Option<Authorization>>, StoreError> {
        authorize::authorize(&self.readers, pairs).await
    }

    async fn conversations(
        &self,
        ids: &[ConversationId],
        viewer: &Viewer,
    ) -> Result<Vec<ConversationView>, StoreError> {
        read::conversations(&self.readers, ids, viewer).await
    }

    async fn list(
        &self,
        user: &UserId,
        page: &ListPage<ListPosition>,
    ) -> Result<Vec<(ConversationView, ListPosition)>, StoreError> {
        list::by_activity(&self.readers, user, page).await
    }

    async fn list_by_name(
        &self,
        user: &UserId,
        page: &ListPage<NamePosition>,
    ) -> Result<Vec<(ConversationView, NamePosition)>, StoreError> {
        list::by_name(&self.readers, user, page).await
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        read::members(&self.readers, conversation, after, limit).await
    }

    async fn outbox_conversations(
        &self,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        outbox::conversations(&self.readers, after, limit).await
    }

    async fn outbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        outbox::entries(&self.readers, conversation, limit).await
    }

    async fn write_back(
        &self,
        conversation: ConversationId,
        version: u64,
        seq: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        outbox::write_back(self, conversation, version, seq, now).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        watch::memberships(&self.readers, user, after, limit).await
    }

    async fn newest_change(&self) -> Result<ChangeId, StoreError> {
        watch::newest_change(&self.readers).await
    }

    async fn changes_after(&self, after: ChangeId, limit: usize) -> Result<Option<Vec<StoredChange>>, StoreError> {
        watch::changes_after(&self.readers, after, limit).await
    }

    async fn missed_changes(
        &self,
        user: &UserId,
        after: ChangeId,
        limit: usize,
    ) -> Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError> {
        watch::missed_changes(&self.readers, user, after, limit).await
    }

    async fn readers(&self, conversation: ConversationId, audience: &Audience) -> Result<Option<Readers>, StoreError> {
        watch::readers(&self.readers, conversation, audience).await
    }

    async fn block_user(
        &self,
        user: &UserId,
        blocked: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        block::block(self, user, blocked, limits, now).await
    }

    async fn unblock_user(&self, user: &UserId, blocked: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        block::unblock(self, user, blocked, now).await
    }

    async fn blocks(&self, user: &UserId, after: Option<&UserId>, limit: usize) -> Result<Vec<Block>, StoreError> {
        block::blocks(&self.readers, user, after, limit).await
    }

    async fn sharing(&self, user: &UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        sharing::sharing(&self.readers, user, others).await
    }

    async fn upsert_users(
        &self,
        profiles: &[Profile],
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<(), StoreError> {
        user::upsert(self, profiles, now, encode).await
    }

    async fn deactivate_user(
        &self,
        user: &UserId,
        limits: &Limits,
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<bool, ChangeError> {
        user::deactivate(self, user, limits, now, encode).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        user::by_ids(&self.readers, ids).await
    }

    async fn search_users(
        &self,
        prefix: &str,
        after: Option<(&str, &UserId)>,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        user::search(&self.readers, prefix, after, limit).await
    }

    async fn prune(&self, now: Timestamp, changes_before: Timestamp, limit: usize) -> Result<Pruned, StoreError> {
        request::prune(self, now, changes_before, limit).await
    }
}
