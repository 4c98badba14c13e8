//! What the service wants of a store, whatever the engine.
//!
//! Promises of every engine, checked by `conformance`:
//! - **A change is one transaction**: what changed, the version, the request row, the outbox row and the rows for those
//!   who watch are there together or not at all. It is decided by `domain` on the state inside that transaction.
//! - **Durable**: what returned `Ok` outlives a crash of the process and of the machine.
//! - **Reads see every committed change**, of this process and of others, from the moment of its commit.
//! - **Versions of a conversation go 1, 2, 3 … without a gap**, each with its outbox row until [`write_back`].
//! - **Changes are numbered in commit order**: whoever reads [`changes_after`] a number misses none.
//!
//! An error says what became of the write: [`StoreError::Unavailable`] stored nothing, [`StoreError::OutcomeUnknown`]
//! may have. Futures may be dropped at any await: a transaction that has not been committed is rolled back then.
//!
//! [`write_back`]: ConversationStore::write_back
//! [`changes_after`]: ConversationStore::changes_after

pub(crate) mod backend;
#[cfg(test)]
mod conformance;
pub(crate) mod decorated;
mod failure;
pub(crate) mod instrumented;
pub(crate) mod postgres;
mod rows;
pub(crate) mod sqlite;

use std::collections::HashSet;
use std::future::Future;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, RequestId, UserId};

use crate::domain::{
    Activity, Authorization, ConversationView, DirectPair, GroupChange, Kind, Limits, Member, MemberSettings,
    Membership, NewGroup, Profile, Refusal, Role, SettingsUpdate, SystemEntry, Viewer,
};

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was stored; it may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The commit was under way; the change is stored or not.
    #[error("the outcome of a commit is unknown")]
    OutcomeUnknown(#[source] BoxError),
    /// What is stored cannot be what we stored.
    #[error("the store holds what it should not: {0}")]
    Corrupt(String),
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What makes a change happen once.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    pub(crate) caller: UserId,
    pub(crate) method: &'static str,
    pub(crate) request_id: RequestId,
    /// Of the request's body.
    pub(crate) fingerprint: [u8; 32],
    /// The service that acts for the caller.
    pub(crate) acting_service: Option<String>,
    /// From then on the id is as good as new.
    pub(crate) expires_at: Timestamp,
}

/// What a change made of a conversation: what answers and entries are made of.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// As its caller sees it afterwards; `None` after leaving and after a deletion.
    pub(crate) view: Option<ConversationView>,
    /// The member whose role was asked for.
    pub(crate) member: Option<Member>,
    /// `None`: nothing changed.
    pub(crate) entry: Option<SystemEntry>,
}

/// The bytes to keep of a change.
pub(crate) struct Encoded {
    /// The answer, without the seq.
    pub(crate) response: Vec<u8>,
    /// The body of the entry, if there is one.
    pub(crate) entry: Option<Vec<u8>>,
}

/// Makes bytes of what was applied. Runs inside the transaction: pure and quick.
pub(crate) trait Encode: Fn(&Applied) -> Encoded + Send + Sync {}
impl<F: Fn(&Applied) -> Encoded + Send + Sync> Encode for F {}

/// Makes the bytes to keep of an entry that no request asked for. Runs inside the transaction: pure and quick.
pub(crate) trait EncodeEntry: Fn(&SystemEntry) -> Vec<u8> + Send + Sync {}
impl<F: Fn(&SystemEntry) -> Vec<u8> + Send + Sync> EncodeEntry for F {}

/// The entry of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryRef {
    pub(crate) conversation: ConversationId,
    pub(crate) version: u64,
    /// `None`: the log does not have it yet.
    pub(crate) seq: Option<u64>,
}

/// The result of a change, of this call or of an earlier one with the same request id.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    pub(crate) response: Vec<u8>,
    pub(crate) entry: Option<EntryRef>,
    /// An earlier call did it.
    pub(crate) replayed: bool,
}

/// Where a list goes on: pinned first, then by activity, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ListPosition {
    pub(crate) pinned: bool,
    pub(crate) list_at: Timestamp,
    pub(crate) conversation: ConversationId,
}

/// Where a list by name goes on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct NamePosition {
    /// Folded, see [`crate::domain::sort_key`].
    pub(crate) name_key: String,
    pub(crate) conversation: ConversationId,
}

/// A page of a list, in the order of its positions.
#[derive(Clone, Debug)]
pub(crate) struct ListPage<P> {
    pub(crate) kind: Option<Kind>,
    /// Those that the user has archived, instead of the others.
    pub(crate) archived: bool,
    pub(crate) after: Option<P>,
    pub(crate) limit: usize,
}

impl<P> Default for ListPage<P> {
    fn default() -> Self {
        Self { kind: None, archived: false, after: None, limit: 0 }
    }
}

/// A block of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) blocked: UserId,
    pub(crate) at: Timestamp,
}

/// An entry that the log does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxEntry {
    pub(crate) version: u64,
    pub(crate) actor: UserId,
    pub(crate) entry: Vec<u8>,
}

/// The number of a change, in commit order.
///
/// It is the `membership_version` of each user, too: how far the user's memberships are known to whoever has read up to
/// it. It only grows, and two instances mean the same by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangeId(pub(crate) u64);

/// Something that watchers of memberships have to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredChange {
    pub(crate) id: ChangeId,
    pub(crate) conversation: ConversationId,
    /// Of the conversation, after the change.
    pub(crate) version: u64,
    pub(crate) kind: StoredChangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoredChangeKind {
    /// The log has the entry by which members joined with this version.
    Joined,
    /// The user has the conversation from now on: a direct, or whatever a user has who is active again.
    Added(UserId),
    /// Something that all members see.
    Changed,
    /// Something that only this user sees.
    ChangedFor(UserId),
    /// The user is no member any more, or was deactivated; the role is the last one.
    Removed(UserId, Role, Kind),
}

/// What became of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MembershipChangeKind {
    Added,
    Changed,
    Removed,
}

/// Something that one user has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissedChange {
    pub(crate) id: ChangeId,
    pub(crate) kind: MembershipChangeKind,
    /// The present one; the last one if it was removed.
    pub(crate) membership: Membership,
}

/// Of what was missed, in order, what makes sense to one who hears it now, with present memberships: a change of a
/// conversation that comes to the user only later says nothing yet.
pub(crate) fn as_heard(mut missed: Vec<MissedChange>) -> Vec<MissedChange> {
    let mut comes_later = HashSet::new();
    missed.reverse();
    missed.retain(|change| match change.kind {
        MembershipChangeKind::Added => {
            comes_later.insert(change.membership.conversation);
            true
        }
        MembershipChangeKind::Changed => !comes_later.contains(&change.membership.conversation),
        MembershipChangeKind::Removed => true,
    });
    missed.reverse();
    missed
}

/// Whose present membership is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Everybody,
    /// Those whose present stay began with this version.
    JoinedAt(u64),
    User(UserId),
}

/// Members who may read a conversation, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readers {
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    pub(crate) members: Vec<(UserId, Role)>,
}

/// What a sweep threw away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    pub(crate) requests: u64,
    pub(crate) changes: u64,
}

/// A store of conversations, members and users. See the module for what all of it promises.
pub(crate) trait ConversationStore: Send + Sync + 'static {
    /// The one direct of a pair, and whether this call created it. Of any number of concurrent calls, from both sides
    /// and through any process, exactly one creates it. Only its creator has it in the list until it has activity.
    /// A new one is refused if one of the two has blocked the other or does not take part; one that exists never is.
    fn get_or_create_direct(
        &self,
        id: ConversationId,
        pair: &DirectPair,
        creator: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> impl Future<Output = Result<(ConversationView, bool), ChangeError>> + Send;

    /// Creates a group with version 1; a repeated request gets the first result.
    fn create_group(
        &self,
        group: &NewGroup,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> impl Future<Output = Result<Executed, ChangeError>> + Send;

    /// Changes a group as [`crate::domain::decide`] says; a repeated request gets the first result, whatever has
    /// changed since. For a stranger there is no such conversation. After a deletion there is none for anybody, and only
    /// the outbox still knows it.
    fn change_group(
        &self,
        conversation: ConversationId,
        change: &GroupChange,
        request: &RequestKey,
        limits: &Limits,
        now: Timestamp,
        encode: impl Encode,
    ) -> impl Future<Output = Result<Executed, ChangeError>> + Send;

    /// The seq of the entry that a request made. `None`: not in the log yet, or the request is not known any more.
    fn entry_seq(&self, request: &RequestKey) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Changes a member's own settings, as [`MemberSettings::updated`] says; what they are then. `None`: no member. What
    /// was cleared stays so when the member leaves and comes back.
    fn update_settings(
        &self,
        conversation: ConversationId,
        user: &UserId,
        update: &SettingsUpdate,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<MemberSettings>, StoreError>> + Send;

    /// Notes newest messages; the greatest seq wins. The first one of a direct puts it into the list of both. One
    /// result for each: whether there is such a conversation.
    fn record_activity(
        &self,
        activities: &[(ConversationId, Activity)],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// What users may do, all from one moment; one result for each pair, in their order. `None`: no such conversation.
    fn authorize(
        &self,
        pairs: &[(ConversationId, UserId)],
    ) -> impl Future<Output = Result<Vec<Option<Authorization>>, StoreError>> + Send;

    /// Those that there are for the viewer, in no order.
    fn conversations(
        &self,
        ids: &[ConversationId],
        viewer: &Viewer,
    ) -> impl Future<Output = Result<Vec<ConversationView>, StoreError>> + Send;

    /// A page of a user's list, each with where the next page would begin. A conversation that is moved by activity
    /// while somebody pages may be met twice or missed. What the user has cleared is left out until something newer is
    /// known.
    fn list(
        &self,
        user: &UserId,
        page: &ListPage<ListPosition>,
    ) -> impl Future<Output = Result<Vec<(ConversationView, ListPosition)>, StoreError>> + Send;

    /// The same by name: the user's nickname for it, else the group's name, else what the peer is sorted by in searches.
    fn list_by_name(
        &self,
        user: &UserId,
        page: &ListPage<NamePosition>,
    ) -> impl Future<Output = Result<Vec<(ConversationView, NamePosition)>, StoreError>> + Send;

    /// Members by user id, at most `limit`, after one.
    fn members(
        &self,
        conversation: ConversationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Member>, StoreError>> + Send;

    /// Conversations with entries that the log does not have, by id, at most `limit`, after one.
    fn outbox_conversations(
        &self,
        after: Option<ConversationId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ConversationId>, StoreError>> + Send;

    /// The entries of a conversation that the log does not have, in version order, at most `limit`.
    fn outbox(
        &self,
        conversation: ConversationId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxEntry>, StoreError>> + Send;

    /// Notes that the log has an entry: its members may read from now on, and those who watch hear of it. Repeats
    /// without harm.
    fn write_back(
        &self,
        conversation: ConversationId,
        version: u64,
        seq: u64,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The conversations that a user may read and has in the list, by id, at most `limit`, after one.
    fn memberships(
        &self,
        user: &UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Membership>, StoreError>> + Send;

    /// The number of the newest change.
    fn newest_change(&self) -> impl Future<Output = Result<ChangeId, StoreError>> + Send;

    /// Changes after a number, in order, at most `limit`. `None`: some of them have been pruned, or there is no such number
    /// (any more).
    fn changes_after(
        &self,
        after: ChangeId,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<StoredChange>>, StoreError>> + Send;

    /// What a user has missed since a number, in order, and the newest number, all from one moment. `None`: not all of it
    /// is known any more, the number was never given, or it is more than `limit`.
    fn missed_changes(
        &self,
        user: &UserId,
        after: ChangeId,
        limit: usize,
    ) -> impl Future<Output = Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError>> + Send;

    /// Who of the audience may read the conversation now; nobody who was deactivated. `None`: no such conversation.
    fn readers(
        &self,
        conversation: ConversationId,
        audience: &Audience,
    ) -> impl Future<Output = Result<Option<Readers>, StoreError>> + Send;

    /// Blocks a user for another. Repeats without harm: the first time stays. Members who watch the direct of the two
    /// hear of it. Whether it is new.
    fn block_user(
        &self,
        user: &UserId,
        blocked: &UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, ChangeError>> + Send;

    /// Takes a block away. Whether there was one.
    fn unblock_user(
        &self,
        user: &UserId,
        blocked: &UserId,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Whom a user has blocked, by user id, at most `limit`, after one.
    fn blocks(
        &self,
        user: &UserId,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Block>, StoreError>> + Send;

    /// Those of the others who have a conversation in the list that the user has in the list, too; in no order. Who was
    /// deactivated shares with nobody.
    fn sharing(&self, user: &UserId, others: &[UserId])
    -> impl Future<Output = Result<Vec<UserId>, StoreError>> + Send;

    /// Stores profiles, whole. Who was deactivated is active again, and those who watch hear of each membership. A group
    /// of theirs that no active member owned is inherited as [`crate::domain::decide_inheritance`] says, with an entry of
    /// theirs.
    fn upsert_users(
        &self,
        profiles: &[Profile],
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes a user out of service: no search finds them, nobody is authorized as them, and those who watch hear that
    /// every membership is gone. The memberships stay, with their roles; a group that no active member owns any more is
    /// inherited as [`crate::domain::decide_inheritance`] says, with an entry of the user's. Whether it is new.
    fn deactivate_user(
        &self,
        user: &UserId,
        limits: &Limits,
        now: Timestamp,
        encode: impl EncodeEntry,
    ) -> impl Future<Output = Result<bool, ChangeError>> + Send;

    /// The profiles that there are, in no order.
    fn users(&self, ids: &[UserId]) -> impl Future<Output = Result<Vec<Profile>, StoreError>> + Send;

    /// Users with a word that begins with `prefix` (folded), by sort key and id, at most `limit`, after one.
    fn search_users(
        &self,
        prefix: &str,
        after: Option<(&str, &UserId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Profile>, StoreError>> + Send;

    /// Throws away request rows that have expired and changes from before `changes_before`, at most `limit` of each.
    fn prune(
        &self,
        now: Timestamp,
        changes_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Pruned, StoreError>> + Send;
}
