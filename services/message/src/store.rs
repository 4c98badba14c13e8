//! The store of logs, shaped by the contract and not by an engine.
//!
//! Guarantees that every backend gives, and that [`conformance`] checks:
//! - **The condition is the fence.** [`Store::append`] writes all of its entries after `expected_head`, or nothing. Any
//!   number of processes may append; no lease and no clock is part of it.
//! - `Ok(Appended)` means durable, and seen by every read that begins later, through any handle.
//! - An append's entries and their ids become visible at once, unless it is longer than a partition has room: then its parts
//!   do, one after the other, and an append of which only some are stored has an unknown outcome.
//! - Who reads state sees all that the entries up to the answer's head do to messages, members and positions, whoever appended
//!   them and whatever became of that process since.
//! - The head of an answer is no later than its rows: what they show is at least what holds at the head.
//! - Positions keep their maximum, whoever writes last, each of their numbers by itself; what is read is delivered.
//! - A user has given a reaction to a message once or not at all, and a message is pinned once or not at all. A deletion takes
//!   both away, and nothing brings them back.
//! - After an erasure no read returns the text. On disk it is gone within [`ERASED_ON_DISK_WITHIN`] with SQLite, and with
//!   Cassandra once the rows are compacted.
//!
//! What the store does not do: it decides no rules. The service appends no change that repeats what holds, and no id that it
//! has not looked up; unique ids are a second net under that, where an engine has one.

pub(crate) mod cassandra;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod faulty;
pub(crate) mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, RequestId, UserId};

use crate::domain::dedup::{Fingerprint, Found, WriteId};
use crate::domain::entry::Kind;
use crate::domain::head::Head;
use crate::domain::message::ReactionCount;
use crate::domain::position::{Mark, Position};

/// Until then an erased text may still lie in the engine's files.
pub(crate) const ERASED_ON_DISK_WITHIN: Duration = Duration::from_secs(60);

/// Until then [`Store::written_elsewhere`] may not tell of a write.
pub(crate) const WRITES_NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// Why the store did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Cannot be reached or is overloaded. Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// May or may not have been written, now or later.
    #[error("the outcome of a write is unknown: {0}")]
    OutcomeUnknown(String),
    /// An id is looked up that may stand further back than the store can look. Nothing was written.
    #[error("an id may stand further back than can be looked up")]
    IdempotencyWindow,
    /// What is stored cannot be. Nothing was written.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// The result of every question to a store.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its place, and what it carries on. `head.time` is its time.
    pub(crate) head: Head,
    /// The kind of `body`.
    pub(crate) kind: Kind,
    /// The place of the message that it is about, if that is another one.
    pub(crate) target_seq: Option<u64>,
    /// Who caused it.
    pub(crate) actor: UserId,
    /// The writer's id for it, with the fingerprint of what was asked. `None`: a system entry.
    pub(crate) id: Option<(RequestId, Fingerprint)>,
    /// When the log took it.
    pub(crate) create_time: Timestamp,
    /// The text was erased; `body` is what is left.
    pub(crate) erased: bool,
    /// An encoded `EntryBody`. Shared: a page that is kept is given to many.
    pub(crate) body: Arc<[u8]>,
}

/// A message as it stands: its entry, and what later ones did to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageRecord {
    /// The entry.
    pub(crate) record: Record,
    /// The last edit: when, and its encoded body.
    pub(crate) edit: Option<(Timestamp, Arc<[u8]>)>,
    /// When it was deleted.
    pub(crate) delete_time: Option<Timestamp>,
    /// Its pin.
    pub(crate) pin: Option<Pin>,
    /// The oldest kind first: the one whose oldest reaction is the oldest.
    pub(crate) reactions: Vec<ReactionCount>,
}

impl MessageRecord {
    /// A message that nothing has happened to since.
    pub(crate) fn unchanged(record: Record) -> Self {
        Self { record, edit: None, delete_time: None, pin: None, reactions: Vec::new() }
    }
}

/// The pin of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// The entry that pinned it.
    pub(crate) seq: u64,
    /// When.
    pub(crate) time: Timestamp,
    /// Who.
    pub(crate) user: UserId,
}

/// A reaction of a user to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReactionKey {
    /// The message.
    pub(crate) message_seq: u64,
    /// The reaction.
    pub(crate) emoji: String,
    /// The user.
    pub(crate) user: UserId,
}

/// Entries to append to one log.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// The log.
    pub(crate) conversation_id: ConversationId,
    /// The place of its last entry; the append fails if there is another.
    pub(crate) expected_head: u64,
    /// The entries, from `expected_head + 1` on. At least one.
    pub(crate) records: Vec<Record>,
    /// What the entries do to messages, in their order.
    pub(crate) changes: Vec<StateChange>,
    /// Read positions that move with the entries, in their order, each with the place of its entry.
    pub(crate) positions: Vec<(u64, Position)>,
    /// Users who are members no more, each with the place of the entry that says so: their positions are listed no longer,
    /// unless a later entry moves them.
    pub(crate) departed: Vec<(u64, UserId)>,
}

/// What an entry does to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StateChange {
    /// The entry at `edit_seq` is its text from now on.
    Edit {
        /// The message.
        message_seq: u64,
        /// The edit.
        edit_seq: u64,
    },
    /// It is deleted by the entry at `delete_seq`. Its body and those of all its edits are overwritten, its reactions and its
    /// pin are gone.
    Delete {
        /// The message.
        message_seq: u64,
        /// The deletion.
        delete_seq: u64,
        /// What is left of the message. No longer than it was.
        message_body: Vec<u8>,
        /// What is left of each edit. No longer than it was.
        edit_body: Vec<u8>,
    },
    /// The entry at `seq` gave this reaction.
    React {
        /// The reaction.
        key: ReactionKey,
        /// The entry.
        seq: u64,
    },
    /// The entry at `seq` took this reaction back.
    Unreact {
        /// The reaction.
        key: ReactionKey,
        /// The entry.
        seq: u64,
    },
    /// The entry at `seq` pinned the message.
    Pin {
        /// The message.
        message_seq: u64,
        /// The entry.
        seq: u64,
    },
    /// The entry at `seq` took the pin away.
    Unpin {
        /// The message.
        message_seq: u64,
        /// The entry.
        seq: u64,
    },
}

impl StateChange {
    /// The entry that does it.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Self::Edit { edit_seq: seq, .. }
            | Self::Delete { delete_seq: seq, .. }
            | Self::React { seq, .. }
            | Self::Unreact { seq, .. }
            | Self::Pin { seq, .. }
            | Self::Unpin { seq, .. } => *seq,
        }
    }
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// All entries are stored durably.
    Stored,
    /// The log ends elsewhere. Nothing was written.
    Conflict {
        /// The place of its last entry.
        head: u64,
    },
    /// An id is in the log already: the service's memory was wrong, or its client's `known_seq`. Nothing was written.
    IdTaken,
}

/// Entries of one log.
#[derive(Clone, Debug)]
pub(crate) struct LogSlice {
    /// The head of the log when it was read.
    pub(crate) head: Head,
    /// Contiguous, in the order of the log.
    pub(crate) records: Vec<Record>,
}

/// Where a page of messages lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MessageRange {
    /// The nearest ones before this place.
    Before(u64),
    /// The nearest ones after this place.
    After(u64),
}

/// Messages of one log.
#[derive(Clone, Debug)]
pub(crate) struct MessageSlice {
    /// The head of the log when it was read.
    pub(crate) head: Head,
    /// In the order of the log.
    pub(crate) messages: Vec<MessageRecord>,
    /// The place up to which the range was searched, in its direction. `None`: to its end.
    pub(crate) searched_to: Option<u64>,
}

/// What a user wants to know about a conversation in a list.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// The head.
    pub(crate) head: Head,
    /// The last message, deleted ones included.
    pub(crate) last_message: Option<MessageRecord>,
    /// The user's position, or zero.
    pub(crate) position: Position,
    /// Messages up to the read position, or up to the place that the question names, whichever is further.
    pub(crate) passed_message_no: u64,
}

/// How moving a position ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PositionSet {
    /// It stands at `position` now; `moved`: it did not before.
    Set {
        /// The position that holds.
        position: Position,
        /// Whether this call moved it.
        moved: bool,
        /// The head of the log when it was read.
        head: Head,
    },
    /// Past the head. Nothing was written.
    PastHead {
        /// The head.
        head: u64,
    },
    /// The log says that the user is no member. Nothing was written.
    NoMember,
}

/// Positions of one log.
#[derive(Clone, Debug)]
pub(crate) struct PositionSlice {
    /// The head of the log when it was read.
    pub(crate) head: Head,
    /// By user id.
    pub(crate) positions: Vec<Position>,
    /// There are more after the last one.
    pub(crate) more: bool,
}

/// How much a read returns at most. At least one item is returned if there is one, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReadLimit {
    /// Items.
    pub(crate) items: usize,
    /// Bytes of bodies.
    pub(crate) bytes: usize,
}

/// The store of logs. See the module for its guarantees. Every call ends in bounded time.
pub(crate) trait Store: Send + Sync {
    /// Appends entries under a condition. Not cancel-safe: whoever drops the future does not know the outcome.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended>>;

    /// Looks ids up in the entries after `after_seq`; entries before it may be found, too. Answers in the order of the
    /// question, with the head: what is not found does not stand between the two. Ids older than a week may be forgotten.
    fn find_ids(
        &self,
        conversation_id: ConversationId,
        ids: Vec<WriteId>,
        after_seq: u64,
    ) -> BoxFuture<'_, Result<(Head, Vec<Option<Found>>)>>;

    /// The place of the system entry with this version.
    fn find_version(&self, conversation_id: ConversationId, version: u64) -> BoxFuture<'_, Result<Option<u64>>>;

    /// The entries after a place.
    fn read_log(
        &self,
        conversation_id: ConversationId,
        after_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<LogSlice>>;

    /// The last `entries` entries.
    fn tail(&self, conversation_id: ConversationId, entries: usize) -> BoxFuture<'_, Result<LogSlice>>;

    /// A page of messages as they stand, for `viewer`: their own reactions are marked. A page may be short, even empty, with more to come: the work is bounded.
    fn messages(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        range: MessageRange,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>>;

    /// The messages at these places as they stand; places that hold something else are left out. Without a viewer no
    /// reaction is marked.
    fn messages_at(
        &self,
        conversation_id: ConversationId,
        viewer: Option<UserId>,
        seqs: Vec<u64>,
    ) -> BoxFuture<'_, Result<MessageSlice>>;

    /// Pinned messages as they stand, the newest pin first, of those that were pinned before the entry at `before_seq`.
    /// `searched_to` is the entry of the last one's pin.
    fn pins(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        before_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>>;

    /// How many messages are pinned, with the head of the same snapshot.
    fn pin_count(&self, conversation_id: ConversationId) -> BoxFuture<'_, Result<(Head, u64)>>;

    /// Whether these reactions are given, in the order of the question, with the head of the same snapshot.
    fn find_reactions(
        &self,
        conversation_id: ConversationId,
        keys: Vec<ReactionKey>,
    ) -> BoxFuture<'_, Result<(Head, Vec<bool>)>>;

    /// The heads, in the order of the question.
    fn heads(&self, conversation_ids: Vec<ConversationId>) -> BoxFuture<'_, Result<Vec<Head>>>;

    /// What a user's list shows, in the order of the question. With each conversation comes a place up to which its messages
    /// count as passed; past the head is the head.
    fn overviews(
        &self,
        user: UserId,
        conversations: Vec<(ConversationId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<Overview>>>;

    /// Moves a position forward, unless it stands there or further. What is read is delivered. In a log with a membership (a version above 0)
    /// only joining and sending make a position, and leaving ends it: whoever has none is no member, whatever was known when
    /// the call was let in.
    fn set_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> BoxFuture<'_, Result<PositionSet>>;

    /// Positions by user id, after that of `after`.
    fn positions(
        &self,
        conversation_id: ConversationId,
        after: Option<UserId>,
        items: usize,
    ) -> BoxFuture<'_, Result<PositionSlice>>;

    /// Whether another handle has written since the last call that said so. May say so wrongly; a write is told of within
    /// [`WRITES_NOTICED_WITHIN`]. Also lets the store do what is due in the background, so it is to be called a few times a
    /// second.
    fn written_elsewhere(&self) -> BoxFuture<'_, Result<bool>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<()>>;

    /// Ends writing after what is queued, and what else waits as far as that goes in a moment; what was erased leaves the
    /// files now. Writes after it are `Unavailable`. Without it nothing is lost, but erased texts may lie in the files until
    /// the next start.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
