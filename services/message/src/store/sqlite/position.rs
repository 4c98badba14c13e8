use rusqlite::{Connection, OptionalExtension as _, params};
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};

use super::log::{head, head_at};
use super::row::{self, signed};
use crate::domain::head::Head;
use crate::domain::position::Position;
use crate::store::{PositionSet, PositionSlice};

/// Writes a position, unless a greater one is there. The numbers of one place always belong together, so each keeps its
/// maximum by itself.
pub(super) fn raise(
    connection: &Connection,
    conversation_id: ConversationId,
    position: &Position,
) -> rusqlite::Result<()> {
    const RAISE: &str = "INSERT INTO position (conversation_id, user_id, read_seq, read_message_no) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET \
         read_seq = max(read_seq, excluded.read_seq), read_message_no = max(read_message_no, excluded.read_message_no)";
    // Mutant `position_backwards`: the last writer wins, not the greatest position.
    const OVERWRITE: &str = "INSERT OR REPLACE INTO position (conversation_id, user_id, read_seq, read_message_no) \
         VALUES (?1, ?2, ?3, ?4)";
    let sql = if fault::mutant("position_backwards") { OVERWRITE } else { RAISE };
    let Position { user, read_seq, read_message_no } = position;
    connection
        .prepare_cached(sql)?
        .execute(params![conversation_id.as_bytes(), user.as_str(), signed(*read_seq), signed(*read_message_no)])
        .map(drop)
}

/// A former member has no position. Who comes back starts at the entry of joining, which lies further.
pub(super) fn forget(connection: &Connection, conversation_id: ConversationId, user: &UserId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM position WHERE conversation_id = ?1 AND user_id = ?2")?
        .execute(params![conversation_id.as_bytes(), user.as_str()])
        .map(drop)
}

/// Moves a position to `seq` inside the writer's transaction.
pub(super) fn set(
    connection: &Connection,
    conversation_id: ConversationId,
    user: &UserId,
    seq: u64,
) -> rusqlite::Result<PositionSet> {
    if let Some(settled) = present(connection, conversation_id, user, seq)? {
        return Ok(settled);
    }
    let head = head(connection, conversation_id)?;
    let read_message_no = head_at(connection, conversation_id, seq)?.message_no;
    let position = Position { user: user.clone(), read_seq: seq, read_message_no };
    raise(connection, conversation_id, &position)?;
    Ok(PositionSet::Set { position, moved: true, head })
}

/// What moving a position to `seq` would give without a write. `None`: it needs one.
pub(super) fn present(
    connection: &Connection,
    conversation_id: ConversationId,
    user: &UserId,
    seq: u64,
) -> rusqlite::Result<Option<PositionSet>> {
    let head = head(connection, conversation_id)?;
    if seq > head.seq {
        return Ok(Some(PositionSet::PastHead { head: head.seq }));
    }
    let Some(position) = get(connection, &head, conversation_id, user)? else {
        return Ok(Some(PositionSet::NoMember));
    };
    if position.read_seq >= seq && !fault::mutant("position_backwards") {
        return Ok(Some(PositionSet::Set { position, moved: false, head }));
    }
    Ok(None)
}

/// The position of a user. In a direct, which has no entries of joining, zero if there is none; in a group who has none is
/// no member.
pub(super) fn get(
    connection: &Connection,
    head: &Head,
    conversation_id: ConversationId,
    user: &UserId,
) -> rusqlite::Result<Option<Position>> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, read_seq, read_message_no FROM position WHERE conversation_id = ?1 AND user_id = ?2",
    )?;
    let found = statement.query_row(params![conversation_id.as_bytes(), user.as_str()], read).optional()?;
    let is_group = head.conversation_version > 0;
    Ok(found.or_else(|| (!is_group).then(|| Position { user: user.clone(), read_seq: 0, read_message_no: 0 })))
}

/// A page of positions by user id.
pub(super) fn page(
    connection: &Connection,
    conversation_id: ConversationId,
    after: Option<&UserId>,
    items: usize,
) -> rusqlite::Result<PositionSlice> {
    let head = head(connection, conversation_id)?;
    let mut statement = connection.prepare_cached(
        "SELECT user_id, read_seq, read_message_no FROM position \
         WHERE conversation_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3",
    )?;
    // No user id is empty, so all of them come after the empty one.
    let after = after.map_or("", UserId::as_str);
    let one_more = i64::try_from(items.saturating_add(1)).unwrap_or(i64::MAX);
    let mut positions: Vec<Position> = statement
        .query_map(params![conversation_id.as_bytes(), after, one_more], read)?
        .collect::<rusqlite::Result<_>>()?;
    let more = positions.len() > items;
    positions.truncate(items);
    Ok(PositionSlice { head, positions, more })
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { user: row::user(row, 0)?, read_seq: row::seq(row, 1)?, read_message_no: row::seq(row, 2)? })
}
