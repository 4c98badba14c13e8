//! A store with something done around each operation, whatever the engine.

use std::future::Future;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::{
    Audience, Block, ChangeError, ChangeId, ConversationStore, Encode, EncodeEntry, Executed, ListPage, ListPosition,
    MissedChange, NamePosition, OutboxEntry, Pruned, Readers, RequestKey, StoreError, StoredChange,
};
use crate::domain::{
    Activity, Authorization, ConversationView, DirectPair, GroupChange, Limits, Member, MemberSettings, Membership,
    NewGroup, Profile, SettingsUpdate, Viewer,
};

/// What is done around each operation.
pub(crate) trait Hook: Clone + Send + Sync + 'static {
    /// Runs the operation. Keeps its result, or fails as a store may.
    fn around<T: Send, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> impl Future<Output = Result<T, E>> + Send;
}

/// An error of an operation.
pub(crate) trait Failure: From<StoreError> + Send {
    /// `None`: a rule refused it, the store is well.
    fn of_store(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl Failure for ChangeError {
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Refused(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

/// Keeps every promise of the store inside.
#[derive(Clone)]
pub(crate) struct Decorated<S, H> {
    store: S,
    hook: H,
}

impl<S, H> Decorated<S, H> {
    pub(crate) fn new(store: S, hook: H) -> Self {
        Self { store, hook }
    }

    /// The store inside.
    #[cfg(test)]
    pub(crate) fn inner(&self) -> &S {
        &self.store
    }
}

impl<S: ConversationStore, H: Hook> ConversationStore for Decorated<S, H> {
    async fn get_or_create_direct(
        &self,
        id: ConversationId,
        pair: &DirectPair,
        creator: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(ConversationView, bool), ChangeError> {
        self.hook.around("get_or_create_direct", self.store.get_or_create_direct(id, pair, creator, limits, now)).await
    }

    async fn create_group(
        &self,
        group: &NewGroup,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> Result<Executed, ChangeError> {
        self.hook.around("create_group", self.store.create_group(group, request, limits, now, encode)).await
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
        self.hook
            .around("change_group", self.store.change_group(conversation, change, request, limits, now, encode))
            .await
    }

    async fn entry_seq(&self, request: &RequestKey) -> Result<Option<u64>, StoreError> {
        self.hook.around("entry_seq", self.store.entry_seq(request)).await
    }

    async fn update_settings(
        &self,
        conversation: ConversationId,
        user: &UserId,
        update: &SettingsUpdate,
        now: Timestamp,
    ) -> Result<Option<MemberSettings>, StoreError> {
        self.hook.around("update_settings", self.store.update_settings(conversation, user, update, now)).await
    }

    async fn record_activity(
        &self,
        activities: &[(ConversationId, Activity)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        self.hook.around("record_activity", self.store.record_activity(activities, now)).await
    }

    async fn authorize(&self, pairs: &[(ConversationId, UserId)]) -> Result<Vec<Option<Authorization>>, StoreError> {
        self.hook.around("authorize", self.store.authorize(pairs)).await
    }

    async fn conversations(
        &self,
        ids: &[ConversationId],
        viewer: &Viewer,
    ) -> Result<Vec<ConversationView>, StoreError> {
        self.hook.around("conversations", self.store.conversations(ids, viewer)).await
    }

    async fn list(
        &self,
        user: &UserId,
        page: &ListPage<ListPosition>,
    ) -> Result<Vec<(ConversationView, ListPosition)>, StoreError> {
        self.hook.around("list", self.store.list(user, page)).await
    }

    async fn list_by_name(
        &self,
        user: &UserId,
        page: &ListPage<NamePosition>,
    ) -> Result<Vec<(ConversationView, NamePosition)>, StoreError> {
        self.hook.around("list_by_name", self.store.list_by_name(user, page)).await
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.hook.around("members", self.store.members(conversation, after, limit)).await
    }

    async fn outbox_conversations(
        &self,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        self.hook.around("outbox_conversations", self.store.outbox_conversations(after, limit)).await
    }

    async fn outbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.hook.around("outbox", self.store.outbox(conversation, limit)).await
    }

    async fn write_back(
        &self,
        conversation: ConversationId,
        version: u64,
        seq: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.hook.around("write_back", self.store.write_back(conversation, version, seq, now)).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.hook.around("memberships", self.store.memberships(user, after, limit)).await
    }

    async fn newest_change(&self) -> Result<ChangeId, StoreError> {
        self.hook.around("newest_change", self.store.newest_change()).await
    }

    async fn changes_after(&self, after: ChangeId, limit: usize) -> Result<Option<Vec<StoredChange>>, StoreError> {
        self.hook.around("changes_after", self.store.changes_after(after, limit)).await
    }

    async fn missed_changes(
        &self,
        user: &UserId,
        after: ChangeId,
        limit: usize,
    ) -> Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError> {
        self.hook.around("missed_changes", self.store.missed_changes(user, after, limit)).await
    }

    async fn readers(&self, conversation: ConversationId, audience: &Audience) -> Result<Option<Readers>, StoreError> {
        self.hook.around("readers", self.store.readers(conversation, audience)).await
    }

    async fn block_user(
        &self,
        user: &UserId,
        blocked: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        self.hook.around("block_user", self.store.block_user(user, blocked, limits, now)).await
    }

    async fn unblock_user(&self, user: &UserId, blocked: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        self.hook.around("unblock_user", self.store.unblock_user(user, blocked, now)).await
    }

    async fn blocks(&self, user: &UserId, after: Option<&UserId>, limit: usize) -> Result<Vec<Block>, StoreError> {
        self.hook.around("blocks", self.store.blocks(user, after, limit)).await
    }

    async fn sharing(&self, user: &UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.hook.around("sharing", self.store.sharing(user, others)).await
    }

    async fn upsert_users(
        &self,
        profiles: &[Profile],
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<(), StoreError> {
        self.hook.around("upsert_users", self.store.upsert_users(profiles, now, encode)).await
    }

    async fn deactivate_user(
        &self,
        user: &UserId,
        limits: &Limits,
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> Result<bool, ChangeError> {
        self.hook.around("deactivate_user", self.store.deactivate_user(user, limits, now, encode)).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
        self.hook.around("users", self.store.users(ids)).await
    }

    async fn search_users(
        &self,
        prefix: &str,
        after: Option<(&str, &UserId)>,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        self.hook.around("search_users", self.store.search_users(prefix, after, limit)).await
    }

    async fn prune(&self, now: Timestamp, changes_before: Timestamp, limit: usize) -> Result<Pruned, StoreError> {
        self.hook.around("prune", self.store.prune(now, changes_before, limit)).await
    }
}
