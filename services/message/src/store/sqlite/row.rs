use rusqlite::types::Type;
use rusqlite::{Error, Row};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{RequestId, UserId};

use crate::domain::dedup::Fingerprint;
use crate::domain::entry::Kind;
use crate::domain::head::Head;
use crate::store::{MessageRecord, Pin, Record};

/// The columns of a record, of the table named `l`, in the order that [`record`] reads.
macro_rules! record_columns {
    () => {
        "l.seq, l.message_no, l.last_message_seq, l.conversation_version, l.create_time_ms, l.kind, l.target_seq, \
         l.actor_user_id, l.request_id, l.fingerprint, l.erased, l.body"
    };
}
pub(super) use record_columns;

/// The message, and its last edit, its deletion and its pin: the columns of [`changes`] and the tables they come from.
macro_rules! changes_source {
    () => {
        "s.message_seq, e.create_time_ms, e.body, d.create_time_ms, p.seq, p.create_time_ms, p.actor_user_id \
         FROM message_state s \
         LEFT JOIN log e ON e.conversation_id = s.conversation_id AND e.seq = s.edit_seq \
         LEFT JOIN log d ON d.conversation_id = s.conversation_id AND d.seq = s.delete_seq \
         LEFT JOIN log p ON p.conversation_id = s.conversation_id AND p.seq = s.pin_seq "
    };
}
pub(super) use changes_source;

const EDIT_TIME: usize = 1;
const EDIT_BODY: usize = 2;
const DELETE_TIME: usize = 3;
const PIN_SEQ: usize = 4;
const PIN_TIME: usize = 5;
const PIN_USER: usize = 6;

/// The kind in [`record_columns`].
pub(super) fn kind(row: &Row<'_>) -> rusqlite::Result<Kind> {
    row.get(5).map(Kind)
}

/// Reads [`record_columns`].
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let create_time = timestamp(row, 4)?;
    Ok(Record {
        head: Head { time: Some(create_time), ..head(row)? },
        kind: kind(row)?,
        target_seq: row.get::<_, Option<i64>>(6)?.map(unsigned),
        actor: user(row, 7)?,
        id: id(row, 8, 9)?,
        create_time,
        erased: row.get(10)?,
        body: row.get(11)?,
    })
}

/// The columns that [`head`] reads.
macro_rules! head_columns {
    () => {
        "seq, message_no, last_message_seq, conversation_version, create_time_ms"
    };
}
pub(super) use head_columns;

/// Reads [`head_columns`].
pub(super) fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        seq: seq(row, 0)?,
        message_no: seq(row, 1)?,
        last_message_seq: seq(row, 2)?,
        conversation_version: seq(row, 3)?,
        time: Some(timestamp(row, 4)?),
    })
}

/// Reads [`changes_source`], whose message's place the caller has read, into that message.
pub(super) fn changes(row: &Row<'_>, message: &mut MessageRecord) -> rusqlite::Result<()> {
    if let Some(millis) = row.get::<_, Option<i64>>(EDIT_TIME)? {
        message.edit = Some((Timestamp::from_millis(millis), row.get(EDIT_BODY)?));
    }
    message.delete_time = row.get::<_, Option<i64>>(DELETE_TIME)?.map(Timestamp::from_millis);
    if let Some(seq) = row.get::<_, Option<i64>>(PIN_SEQ)? {
        message.pin = Some(Pin { seq: unsigned(seq), time: timestamp(row, PIN_TIME)?, user: user(row, PIN_USER)? });
    }
    Ok(())
}

/// A place, a number of messages or a version. They are written from `u64` and stay below 2^40.
pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

pub(super) fn user(row: &Row<'_>, column: usize) -> rusqlite::Result<UserId> {
    let text = row.get_ref(column)?.as_str().map_err(|error| invalid(column, error))?;
    UserId::parse(text).map_err(|error| invalid(column, error))
}

pub(super) fn fingerprint(row: &Row<'_>, column: usize) -> rusqlite::Result<Fingerprint> {
    row.get(column)
}

fn id(row: &Row<'_>, request: usize, print: usize) -> rusqlite::Result<Option<(RequestId, Fingerprint)>> {
    let text = row.get_ref(request)?.as_str_or_null().map_err(|error| invalid(request, error))?;
    let Some(text) = text else { return Ok(None) };
    let request_id = RequestId::parse(text).map_err(|error| invalid(request, error))?;
    Ok(Some((request_id, fingerprint(row, print)?)))
}

fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

fn invalid(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// For a parameter. Numbers here stay below 2^40, and what a caller asks beyond is as good as the greatest.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
