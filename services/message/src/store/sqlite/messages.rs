use rusqlite::{Connection, OptionalExtension as _, params};
use viberchat_kit::id::ConversationId;

use super::log::head;
use super::row::{self, message_source, record_columns, signed};
use crate::domain::entry::Kind;
use crate::store::{MessageRange, MessageRecord, MessageSlice, ReadLimit};

/// Entries that one page looks at, for each message that it may return: a long run of edits must not cost without bound.
const SEARCHED_PER_ITEM: usize = 8;

/// A page of messages.
pub(super) fn page(
    connection: &Connection,
    conversation_id: ConversationId,
    range: MessageRange,
    limit: ReadLimit,
) -> rusqlite::Result<MessageSlice> {
    let head = head(connection, conversation_id)?;
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
    Ok(MessageSlice { head, messages, searched_to })
}

fn size(message: &MessageRecord) -> usize {
    message.record.body.len() + message.edit.as_ref().map_or(0, |(_, body)| body.len())
}

/// The messages at these places.
pub(super) fn at(
    connection: &Connection,
    conversation_id: ConversationId,
    seqs: &[u64],
) -> rusqlite::Result<MessageSlice> {
    let head = head(connection, conversation_id)?;
    let mut messages = Vec::with_capacity(seqs.len());
    for seq in seqs {
        messages.extend(one(connection, conversation_id, *seq)?);
    }
    Ok(MessageSlice { head, messages, searched_to: None })
}

/// The message at a place.
pub(super) fn one(
    connection: &Connection,
    conversation_id: ConversationId,
    seq: u64,
) -> rusqlite::Result<Option<MessageRecord>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        message_source!(),
        "WHERE l.conversation_id = ?1 AND l.seq = ?2 AND l.kind = ?3"
    ))?;
    statement.query_row(params![conversation_id.as_bytes(), signed(seq), Kind::MESSAGE.0], row::message).optional()
}
