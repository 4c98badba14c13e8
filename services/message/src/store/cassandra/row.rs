use scylla::DeserializeRow;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{RequestId, UserId};

use super::error::corrupt;
use crate::domain::dedup::Fingerprint;
use crate::domain::entry::Kind;
use crate::domain::head::Head;
use crate::store::{MessageRecord, Pin, Record, Result, StoreError};

/// The columns of every read of entries, the condition among them: read repair spreads only the cells that are asked for,
/// and whoever asks for `head_seq` alone can make a head visible whose row is not.
macro_rules! entry_columns {
    () => {
        "seq, message_no, last_message_seq, conversation_version, create_time_ms, kind, target_seq, actor_user_id, \
         request_id, fingerprint, body, effects, erased, edit_seq, edit_time_ms, edit_body, edits, delete_seq, \
         delete_time_ms, pin_seq, pin_time_ms, pin_user_id, reacted, head_seq"
    };
}
pub(super) use entry_columns;

/// A row of section 0.
#[derive(Debug, DeserializeRow)]
pub(super) struct EntryRow {
    seq: i64,
    message_no: i64,
    last_message_seq: i64,
    conversation_version: i64,
    create_time_ms: i64,
    kind: i32,
    target_seq: Option<i64>,
    actor_user_id: String,
    request_id: Option<String>,
    fingerprint: Option<Vec<u8>>,
    body: Vec<u8>,
    pub(super) effects: Option<Vec<u8>>,
    pub(super) erased: Option<bool>,
    edit_seq: Option<i64>,
    edit_time_ms: Option<i64>,
    edit_body: Option<Vec<u8>>,
    pub(super) edits: Option<Vec<i64>>,
    delete_seq: Option<i64>,
    delete_time_ms: Option<i64>,
    pin_seq: Option<i64>,
    pin_time_ms: Option<i64>,
    pin_user_id: Option<String>,
    pub(super) reacted: Option<bool>,
    head_seq: Option<i64>,
}

impl EntryRow {
    pub(super) fn seq(&self) -> u64 {
        unsigned(self.seq)
    }

    /// The condition of its bucket, to see whether there is more than the rows say.
    pub(super) fn condition(&self) -> Option<u64> {
        self.head_seq.map(unsigned)
    }

    pub(super) fn kind(&self) -> Result<Kind> {
        u32::try_from(self.kind).map(Kind).map_err(corrupt)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.delete_seq.is_some()
    }

    pub(super) fn was_pinned(&self) -> bool {
        self.pin_seq.is_some()
    }

    pub(super) fn create_time_ms(&self) -> i64 {
        self.create_time_ms
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn actor(&self) -> &str {
        &self.actor_user_id
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub(super) fn fingerprint(&self) -> Result<Fingerprint> {
        fingerprint(self.fingerprint.as_deref().unwrap_or_default())
    }

    /// Bytes of bodies in it.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.edit_body.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.seq(),
            message_no: unsigned(self.message_no),
            last_message_seq: unsigned(self.last_message_seq),
            conversation_version: unsigned(self.conversation_version),
            time: Some(Timestamp::from_millis(self.create_time_ms)),
        }
    }

    pub(super) fn into_record(self) -> Result<Record> {
        let (head, kind) = (self.head(), self.kind()?);
        let id = match &self.request_id {
            Some(text) => Some((RequestId::parse(text).map_err(corrupt)?, self.fingerprint()?)),
            None => None,
        };
        Ok(Record {
            head,
            kind,
            target_seq: self.target_seq.map(unsigned),
            actor: UserId::parse(&self.actor_user_id).map_err(corrupt)?,
            id,
            create_time: Timestamp::from_millis(self.create_time_ms),
            erased: self.erased.unwrap_or(false),
            body: self.body.into(),
        })
    }

    /// Reactions stand elsewhere.
    pub(super) fn into_message(mut self) -> Result<MessageRecord> {
        let edit = match (self.edit_seq, self.edit_time_ms) {
            (Some(_), Some(millis)) => {
                Some((Timestamp::from_millis(millis), self.edit_body.take().unwrap_or_default().into()))
            }
            _ => None,
        };
        let delete_time = self.delete_time_ms.map(Timestamp::from_millis);
        let pin = match (self.pin_seq, self.pin_time_ms, self.pin_user_id.take()) {
            // What comes after a deletion pins nothing.
            (Some(seq), Some(millis), Some(user)) if seq > 0 && !self.is_deleted() => Some(Pin {
                seq: unsigned(seq),
                time: Timestamp::from_millis(millis),
                user: UserId::parse(&user).map_err(corrupt)?,
            }),
            _ => None,
        };
        Ok(MessageRecord { record: self.into_record()?, edit, delete_time, pin, reactions: Vec::new() })
    }
}

pub(super) fn fingerprint(bytes: &[u8]) -> Result<Fingerprint> {
    bytes.try_into().map_err(|_| StoreError::Corrupt("a fingerprint has another length".to_owned()))
}

/// Places, numbers of messages and versions are written from `u64` and stay below 2^40.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// For a parameter. What a caller asks beyond is as good as the greatest.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
