use rusqlite::{Connection, OptionalExtension as _, params};
use viberchat_kit::id::ConversationId;

use super::row::{self, head_columns, record_columns, signed};
use crate::domain::dedup::{Found, WriteId};
use crate::domain::head::Head;
use crate::store::{LogSlice, ReadLimit, Record};

/// The last entry; all zero if there is none.
pub(super) fn head(connection: &Connection, conversation_id: ConversationId) -> rusqlite::Result<Head> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        head_columns!(),
        " FROM log WHERE conversation_id = ?1 ORDER BY seq DESC LIMIT 1"
    ))?;
    let head = statement.query_row([conversation_id.as_bytes()], row::head).optional()?;
    Ok(head.unwrap_or_default())
}

/// The entry at a place, as head; all zero if there is none.
pub(super) fn head_at(connection: &Connection, conversation_id: ConversationId, seq: u64) -> rusqlite::Result<Head> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        head_columns!(),
        " FROM log WHERE conversation_id = ?1 AND seq = ?2"
    ))?;
    let head = statement.query_row(params![conversation_id.as_bytes(), signed(seq)], row::head).optional()?;
    Ok(head.unwrap_or_default())
}

/// The heads of several logs.
pub(super) fn heads(connection: &Connection, conversation_ids: &[ConversationId]) -> rusqlite::Result<Vec<Head>> {
    conversation_ids.iter().map(|conversation_id| head(connection, *conversation_id)).collect()
}

/// The entries after a place of the log with this head.
pub(super) fn after(
    connection: &Connection,
    conversation_id: ConversationId,
    head: Head,
    after_seq: u64,
    limit: ReadLimit,
) -> rusqlite::Result<LogSlice> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        record_columns!(),
        " FROM log l WHERE l.conversation_id = ?1 AND l.seq > ?2 ORDER BY l.seq LIMIT ?3"
    ))?;
    let items = i64::try_from(limit.items).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![conversation_id.as_bytes(), signed(after_seq), items])?;
    let mut records: Vec<Record> = Vec::new();
    let mut bytes = 0;
    while let Some(found) = rows.next()? {
        let record = row::record(found)?;
        bytes += record.body.len();
        if bytes > limit.bytes && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    Ok(LogSlice { head, records })
}

/// The last entries.
pub(super) fn tail(
    connection: &Connection,
    conversation_id: ConversationId,
    entries: usize,
) -> rusqlite::Result<LogSlice> {
    let head = head(connection, conversation_id)?;
    let below = head.seq.saturating_sub(u64::try_from(entries).unwrap_or(u64::MAX));
    let all = ReadLimit { items: entries, bytes: usize::MAX };
    let records =
        if head.seq == 0 { Vec::new() } else { after(connection, conversation_id, head, below, all)?.records };
    Ok(LogSlice { head, records })
}

/// Looks ids up in the whole log.
pub(super) fn find_ids(
    connection: &Connection,
    conversation_id: ConversationId,
    ids: &[WriteId],
) -> rusqlite::Result<(Head, Vec<Option<Found>>)> {
    let head = head(connection, conversation_id)?;
    let mut statement = connection.prepare_cached(
        "SELECT seq, fingerprint FROM log WHERE conversation_id = ?1 AND actor_user_id = ?2 AND request_id = ?3",
    )?;
    let mut found = Vec::with_capacity(ids.len());
    for WriteId { user, request_id } in ids {
        let place = statement
            .query_row(params![conversation_id.as_bytes(), user.as_str(), request_id.as_str()], |found| {
                Ok(Found { seq: row::seq(found, 0)?, fingerprint: row::fingerprint(found, 1)? })
            })
            .optional()?;
        found.push(place);
    }
    Ok((head, found))
}

/// The place of the system entry with this version.
pub(super) fn find_version(
    connection: &Connection,
    conversation_id: ConversationId,
    version: u64,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq FROM log WHERE conversation_id = ?1 AND conversation_version = ?2 AND request_id IS NULL",
    )?;
    statement.query_row(params![conversation_id.as_bytes(), signed(version)], |found| row::seq(found, 0)).optional()
}
