//! The store on PostgreSQL, shared by any number of instances.
//!
//! Map: `migrate` lists the files of the schema, `rows` reads rows, `lock` says in which order is locked; the others are the
//! parts of the trait, by what they are about, as for SQLite. How a call is bounded and tried again is kit's.
//!
//! Invariants:
//! - READ COMMITTED: each statement sees what is committed when it begins. What decides is read under a lock of what it is
//!   about, or is a row that only one can insert.
//! - Locks are taken in the order of `lock`; what deadlocks all the same, is tried again.
//! - Whatever is compared is compared by bytes.

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
mod lock;
mod migrate;
mod outbox;
mod read;
mod request;
mod rows;
mod settings;
mod sharing;
#[cfg(test)]
mod tests;
mod user;
mod watch;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::SchemaReport;
use viberchat_kit::store::postgres::{self, Database, SchemaError, Settings};

use super::{
    Audience, Block, ChangeError, ChangeId, ConversationStore, Encode, EncodeEntry, Executed, ListPage, ListPosition,
    MissedChange, NamePosition, OutboxEntry, Pruned, Readers, RequestKey, StoreError, StoredChange,
};
use crate::domain::{
    Activity, Authorization, ConversationView, DirectPair, GroupChange, Limits, Member, MemberSettings, Membership,
    NewGroup, Profile, SettingsUpdate, Viewer,
};

/// What the name of the schema ends with.
pub(crate) const SERVICE: &str = "conversation";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct PostgresStore(Database);

impl PostgresStore {
    /// Connects. Brings the schema up to date where that is configured, and else refuses one that is not.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, SchemaError> {
        if settings.migrate_on_start {
            migrate(settings, false).await?;
        }
        let database = Database::connect(settings, SERVICE).await?;
        postgres::require(&database, migrate::MIGRATIONS).await?;
        Ok(Self(database))
    }

    /// Waits for what runs, and closes.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// Brings the schema up to date.
pub(crate) async fn migrate(settings: &Settings, dry_run: bool) -> Result<SchemaReport, SchemaError> {
    postgres::migrate(settings, SERVICE, migrate::MIGRATIONS, dry_run).await
}

impl ConversationStore for PostgresStore {
    async fn get_or_create_direct(
        &self,
        id: ConversationId,
        pair: &DirectPair,
        creator: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(ConversationView, bool), ChangeError> {
        let new = &direct::NewDirect { id, pair, creator, now };
        self.0.run(|attempt| async move { direct::get_or_create(&attempt, new, limits).await }).await
    }

    async fn create_group(
        &self,
        group: &NewGroup,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> Result<Executed, ChangeError> {
        let encode = &encode;
        self.0.run(|attempt| async move { group::create(&attempt, group, request, limits, now, encode).await }).await
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
        let (asked, encode) = (&change::Asked { conversation, change, request, now }, &encode);
        self.0.run(|attempt| async move { change::change(&attempt, asked, limits, encode).await }).await
    }

    async fn entry_seq(&self, request: &RequestKey) -> Result<Option<u64>, StoreError> {
        self.0.run(|attempt| async move { request::entry_seq(&attempt, request).await }).await
    }

    async fn update_settings(
        &self,
        conversation: ConversationId,
        user: &UserId,
        update: &SettingsUpdate,
        now: Timestamp,
    ) -> Result<Option<MemberSettings>, StoreError> {
        self.0.run(|attempt| async move { settings::update(&attempt, conversation, user, update, now).await }).await
    }

    async fn record_activity(
        &self,
        activities: &[(ConversationId, Activity)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        self.0.run(|attempt| async move { activity::record(&attempt, activities, now).await }).await
    }

    async fn authorize(&self, pairs: &[(ConversationId, UserId)]) -> Result<Vec<Option<Authorization>>, StoreError> {
        self.0.run(|attempt| async move { authorize::authorize(&attempt, pairs).await }).await
    }

    async fn conversations(
        &self,
        ids: &[ConversationId],
        viewer: &Viewer,
    ) -> Result<Vec<ConversationView>, StoreError> {
        self.0.run(|attempt| async move { read::conversations(&attempt, ids, viewer).await }).await
    }

    async fn list(
        &self,
        user: &UserId,
        page: &ListPage<ListPosition>,
    ) -> Result<Vec<(ConversationView, ListPosition)>, StoreError> {
        self.0.run(|attempt| async move { list::by_activity(&attempt, user, page).await }).await
    }

    async fn list_by_name(
        &self,
        user: &UserId,
        page: &ListPage<NamePosition>,
    ) -> Result<Vec<(ConversationView, NamePosition)>, StoreError> {
        self.0.run(|attempt| async move { list::by_name(&attempt, user, page).await }).await
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.0.run(|attempt| async move { read::members(attempt.pool(), conversation, after, limit).await }).await
    }

    async fn outbox_conversations(
        &self,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        self.0.run(|attempt| async move { outbox::conversations(&attempt, after, limit).await }).await
    }

    async fn outbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.0.run(|attempt| async move { outbox::entries(&attempt, conversation, limit).await }).await
    }

    async fn write_back(
        &self,
        conversation: ConversationId,
        version: u64,
        seq: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.run(|attempt| async move { outbox::write_back(&attempt, conversation, version, seq, now).await }).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.0.run(|attempt| async move { watch::memberships(&attempt, user, after, limit).await }).await
    }

    async fn newest_change(&self) -> Result<ChangeId, StoreError> {
        self.0.run(|attempt| async move { watch::newest_change(&attempt).await }).await
    }

    async fn changes_after(&self, after: ChangeId, limit: usize) -> Result<Option<Vec<StoredChange>>, StoreError> {
        self.0.run(|attempt| async move { watch::changes_after(&attempt, after, limit).await }).await
    }

    async fn missed_changes(
        &self,
        user: &UserId,
        after: ChangeId,
        limit: usize,
    ) -> Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError> {
        self.0.run(|attempt| async move { watch::missed_changes(&attempt, user, after, limit).await }).await
    }

    async fn readers(&self, conversation: ConversationId, audience: &Audience) -> Result<Option<Readers>, StoreError> {
        self.0.run(|attempt| async move { watch::readers(&attempt, conversation, audience).await }).await
    }

    async fn block_user(
        &self,
        user: &UserId,
        blocked: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        self.0.run(|attempt| async move { block::block(&attempt, user, blocked, limits, now).await }).await
    }

    async fn unblock_user(&self, user: &UserId, blocked: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        self.0.run(|attempt| async move { block::unblock(&attempt, user, blocked, now).await }).await
    }

    async fn blocks(&self, user: &UserId, after: Option<&UserId>, limit: usize) -> Result<Vec<Block>, StoreError> {
        self.0.run(|attempt| async move { block::blocks(&attempt, user, after, limit).await }).await
    }

    async fn sharing(&self, user: &UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.0.run(|attempt| async move { sharing::sharing(&attempt, user, others).await }).await
    }

    async fn upsert_users(
        &self,
        profiles: &[Profile],
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<(), StoreError> {
        let encode = &encode;
        self.0.run(|attempt| async move { user::upsert(&attempt, profiles, now, encode).await }).await
    }

    async fn deactivate_user(
        &self,
        user: &UserId,
        limits: &Limits,
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<bool, ChangeError> {
        let encode = &encode;
        self.0.run(|attempt| async move { user::deactivate(&attempt, user, limits, now, encode).await }).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.0.run(|attempt| async move { user::by_ids(&attempt, ids).await }).await
    }

    async fn search_users(
        &self,
        prefix: &str,
        after: Option<(&str, &UserId)>,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        self.0.run(|attempt| async move { user::search(&attempt, prefix, after, limit).await }).await
    }

    async fn prune(&self, now: Timestamp, changes_before: Timestamp, limit: usize) -> Result<Pruned, StoreError> {
        self.0.run(|attempt| async move { request::prune(&attempt, now, changes_before, limit).await }).await
    }
}
