use rusqlite::{Connection, OptionalExtension as _, params};
use viberchat_kit::id::{ConversationId, UserId};

use super::log::head;
use super::reaction;
use super::row::{self, message_source, record_columns, signed};
use crate::domain::entry::Kind;
use crate::domain::head::Head;
use crate::store::{MessageRange, MessageRecord, MessageSlice, ReadLimit};

/// Entries that one page looks at, for each message that it may return: a long run of edits must not cost without bound.
const SEARCHED_PER_ITEM: usize = 8;

/// A page of messages, of the log with this head. No reaction is marked.
pub(super) fn page(
    connection: &Connection,
    conversation_id: ConversationId,
    head: Head,
    range: MessageRange,
    limit: ReadLimit,
) -> rusqlite::Result<MessageSlice> {
    let (from, sql) = match range {
        MessageRange::Before(seq) => (
            seq,
            concat!(
                "SELECT ",
                message_source!(),
                "WHERE l.conversation_id = ?1 AND l.seq < ?2 ORDER BY l.seq DESC LIMIT ?3"
            ),
        ),
        MessageRange::After(seq) => (
            seq,
            concat!(
                "SELECT ",
                message_source!(),
                "WHERE l.conversation_id = ?1 AND l.seq > ?2 ORDER BY l.seq LIMIT ?3"
            ),
        ),
    };
    let searched_max = limit.items.saturating_mul(SEARCHED_PER_ITEM);
    // One more than that, to know whether it is the end.
    let rows_max = i64::try_from(searched_max.saturating_add(1)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![conversation_id.as_bytes(), signed(from), rows_max])?;
    let mut messages = Vec::new();
    let (mut searched, mut bytes, mut last) = (0, 0, from);
    let searched_to = loop {
        let Some(found) = rows.next()? else { break None };
        if searched == searched_max || messages.len() == limit.items {
            break Some(last);
        }
        if Kind(found.get(5)?) == Kind::MESSAGE {
            let message = row::message(found)?;
            bytes += size(&message);
            if bytes > limit.bytes && !messages.is_empty() {
                break Some(last);
            }
            messages.push(message);
        }
        last = row::seq(found, 0)?;
        searched += 1;
    };
    if matches!(range, MessageRange::Before(_)) {
        messages.reverse();
    }
    reaction::attach(connection, conversation_id, None, &mut messages)?;
    Ok(MessageSlice { head, messages, searched_to })
}

fn size(message: &MessageRecord) -> usize {
    message.record.body.len() + message.edit.as_ref().map_or(0, |(_, body)| body.len())
}

/// The messages at these places.
pub(super) fn at(
    connection: &Connection,
    conversation_id: ConversationId,
    viewer: Option<&UserId>,
    seqs: &[u64],
) -> rusqlite::Result<MessageSlice> {
    let head = head(connection, conversation_id)?;
    let mut messages = Vec::with_capacity(seqs.len());
    for seq in seqs {
        messages.extend(one(connection, conversation_id, viewer, *seq)?);
    }
    Ok(MessageSlice { head, messages, searched_to: None })
}

/// The message at a place.
pub(super) fn one(
    connection: &Connection,
    conversation_id: ConversationId,
    viewer: Option<&UserId>,
    seq: u64,
) -> rusqlite::Result<Option<MessageRecord>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        message_source!(),
        "WHERE l.conversation_id = ?1 AND l.seq = ?2 AND l.kind = ?3"
    ))?;
    let at = params![conversation_id.as_bytes(), signed(seq), Kind::MESSAGE.0];
    let mut found = statement.query_row(at, row::message).optional()?;
    reaction::attach(connection, conversation_id, viewer, found.as_mut_slice())?;
    Ok(found)
}

/// A page of pinned messages, the newest pin first.
pub(super) fn pinned(
    connection: &Connection,
    conversation_id: ConversationId,
    viewer: &UserId,
    before_seq: u64,
    limit: ReadLimit,
) -> rusqlite::Result<MessageSlice> {
    let head = head(connection, conversation_id)?;
    let mut statement = connection.prepare_cached(
        "SELECT message_seq, pin_seq FROM message_state \
         WHERE conversation_id = ?1 AND pin_seq < ?2 ORDER BY pin_seq DESC LIMIT ?3",
    )?;
    let one_more = i64::try_from(limit.items.saturating_add(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![conversation_id.as_bytes(), signed(before_seq), one_more])?;
    let mut messages: Vec<MessageRecord> = Vec::new();
    let (mut bytes, mut last) = (0, before_seq);
    let searched_to = loop {
        let Some(pin) = rows.next()? else { break None };
        if messages.len() == limit.items {
            break Some(last);
        }
        let Some(message) = one(connection, conversation_id, Some(viewer), row::seq(pin, 0)?)? else { continue };
        bytes += size(&message);
        if bytes > limit.bytes && !messages.is_empty() {
            break Some(last);
        }
        messages.push(message);
        last = row::seq(pin, 1)?;
    };
    Ok(MessageSlice { head, messages, searched_to })
}

/// How many messages are pinned.
pub(super) fn pin_count(connection: &Connection, conversation_id: ConversationId) -> rusqlite::Result<(Head, u64)> {
    let head = head(connection, conversation_id)?;
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM message_state WHERE conversation_id = ?1 AND pin_seq IS NOT NULL")?;
    let count = statement.query_row([conversation_id.as_bytes()], |row| row::seq(row, 0))?;
    Ok((head, count))
}
