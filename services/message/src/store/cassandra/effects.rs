//! What an entry does to messages and positions, kept in its row: whoever finds entries whose projections are missing
//! writes them, whoever appended them, and without knowing bodies.

use prost::Message as _;
use viberchat_kit::id::UserId;

use super::error::corrupt;
use crate::domain::position::Position;
use crate::store::{Append, ReactionKey, Result, StateChange, StoreError};

/// As it is kept.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<StoredChange>,
    #[prost(message, repeated, tag = "2")]
    sent: Vec<StoredPosition>,
    #[prost(message, repeated, tag = "3")]
    joined: Vec<StoredPosition>,
    #[prost(string, repeated, tag = "4")]
    departed: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredPosition {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(uint64, tag = "2")]
    read_seq: u64,
    #[prost(uint64, tag = "3")]
    read_message_no: u64,
    #[prost(uint64, tag = "4")]
    delivered_seq: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredChange {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    message_seq: u64,
    #[prost(string, tag = "3")]
    emoji: String,
    #[prost(string, tag = "4")]
    user: String,
    #[prost(bytes = "vec", tag = "5")]
    message_body: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    edit_body: Vec<u8>,
}

const EDIT: u32 = 1;
const DELETE: u32 = 2;
const REACT: u32 = 3;
const UNREACT: u32 = 4;
const PIN: u32 = 5;
const UNPIN: u32 = 6;

/// What one entry does.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    /// Written before the append is acknowledged.
    pub(super) changes: Vec<StateChange>,
    /// Of those who sent. They wait with their handle, and whoever else reads the log has them from here.
    pub(super) sent: Vec<Position>,
    /// Of those who joined. As `departed`: whether a user is a member, so it is written with the state.
    pub(super) joined: Vec<Position>,
    /// Who was gone by it.
    pub(super) departed: Vec<UserId>,
}

impl Effects {
    /// Of each record, with its own: of an append that is several writes only the first ones may be stored.
    pub(super) fn of_append(append: &Append) -> Vec<Self> {
        let Append { expected_head, records, changes, positions, departed, .. } = append;
        let mut effects: Vec<Self> = records.iter().map(|_| Self::default()).collect();
        let index_of = |seq: u64| usize::try_from(seq - expected_head - 1).unwrap_or(usize::MAX);
        for change in changes {
            effects[index_of(change.seq())].changes.push(change.clone());
        }
        for (seq, position) in positions {
            let index = index_of(*seq);
            let Self { sent, joined, .. } = &mut effects[index];
            // Only what a user writes has an id.
            let moved = if records[index].id.is_some() { sent } else { joined };
            moved.push(position.clone());
        }
        for (seq, user) in departed {
            effects[index_of(*seq)].departed.push(user.clone());
        }
        effects
    }

    /// Whether anything has to be written before the entry may be seen.
    pub(super) fn is_deferrable(&self) -> bool {
        self.changes.is_empty() && self.joined.is_empty() && self.departed.is_empty()
    }

    /// `None`: nothing.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        if self.is_deferrable() && self.sent.is_empty() {
            return None;
        }
        let stored = Stored {
            changes: self.changes.iter().map(StoredChange::from).collect(),
            sent: self.sent.iter().map(StoredPosition::from).collect(),
            joined: self.joined.iter().map(StoredPosition::from).collect(),
            departed: self.departed.iter().map(|user| user.as_str().to_owned()).collect(),
        };
        Some(stored.encode_to_vec())
    }

    /// Of the entry at `seq`.
    pub(super) fn decode(seq: u64, bytes: Option<&[u8]>) -> Result<Self> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let stored = Stored::decode(bytes).map_err(corrupt)?;
        Ok(Self {
            changes: stored.changes.into_iter().map(|change| change.at(seq)).collect::<Result<_>>()?,
            sent: stored.sent.into_iter().map(Position::try_from).collect::<Result<_>>()?,
            joined: stored.joined.into_iter().map(Position::try_from).collect::<Result<_>>()?,
            departed: stored.departed.iter().map(|user| parse(user)).collect::<Result<_>>()?,
        })
    }
}

pub(super) fn parse(user: &str) -> Result<UserId> {
    UserId::parse(user).map_err(corrupt)
}

impl From<&Position> for StoredPosition {
    fn from(position: &Position) -> Self {
        let Position { user, read_seq, read_message_no, delivered_seq } = position;
        Self {
            user: user.as_str().to_owned(),
            read_seq: *read_seq,
            read_message_no: *read_message_no,
            delivered_seq: *delivered_seq,
        }
    }
}

impl TryFrom<StoredPosition> for Position {
    type Error = StoreError;

    fn try_from(stored: StoredPosition) -> Result<Self> {
        let StoredPosition { user, read_seq, read_message_no, delivered_seq } = stored;
        Ok(Self { user: parse(&user)?, read_seq, read_message_no, delivered_seq })
    }
}

impl From<&StateChange> for StoredChange {
    fn from(change: &StateChange) -> Self {
        let about = |kind, message_seq: &u64| Self { kind, message_seq: *message_seq, ..Self::default() };
        let given = |kind, key: &ReactionKey| Self {
            emoji: key.emoji.clone(),
            user: key.user.as_str().to_owned(),
            ..about(kind, &key.message_seq)
        };
        match change {
            StateChange::Edit { message_seq, .. } => about(EDIT, message_seq),
            StateChange::Delete { message_seq, message_body, edit_body, .. } => {
                Self { message_body: message_body.clone(), edit_body: edit_body.clone(), ..about(DELETE, message_seq) }
            }
            StateChange::React { key, .. } => given(REACT, key),
            StateChange::Unreact { key, .. } => given(UNREACT, key),
            StateChange::Pin { message_seq, .. } => about(PIN, message_seq),
            StateChange::Unpin { message_seq, .. } => about(UNPIN, message_seq),
        }
    }
}

impl StoredChange {
    fn at(self, seq: u64) -> Result<StateChange> {
        let Self { kind, message_seq, emoji, user, message_body, edit_body } = self;
        let key = || Ok::<_, StoreError>(ReactionKey { message_seq, emoji: emoji.clone(), user: parse(&user)? });
        Ok(match kind {
            EDIT => StateChange::Edit { message_seq, edit_seq: seq },
            DELETE => StateChange::Delete { message_seq, delete_seq: seq, message_body, edit_body },
            REACT => StateChange::React { key: key()?, seq },
            UNREACT => StateChange::Unreact { key: key()?, seq },
            PIN => StateChange::Pin { message_seq, seq },
            UNPIN => StateChange::Unpin { message_seq, seq },
            other => return Err(corrupt(format_args!("entry {seq} does something of an unknown kind {other}"))),
        })
    }
}
