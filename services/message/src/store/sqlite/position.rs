use rusqlite::{Connection, OptionalExtension as _, params};
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};

use super::log::{head, head_at};
use super::row::{self, signed};
use crate::domain::position::{Mark, Position};
use crate::store::{PositionSet, PositionSlice};

/// Writes a position, unless a greater one is there. The numbers of one place always belong together, so each keeps its
/// maximum by itself.
pub(super) fn raise(
    connection: &Connection,
    conversation_id: ConversationId,
    position: &Position,
) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO position (conversation_id, user_id, read_seq, read_message_no, delivered_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET ";
    const RAISE_READ: &str =
        "read_seq = max(read_seq, excluded.read_seq), read_message_no = max(read_message_no, excluded.read_message_no)";
    const RAISE_DELIVERED: &str = "delivered_seq = max(delivered_seq, excluded.delivered_seq)";
    // Mutants `position_backwards` and `delivered_backwards`: the last writer wins, not the greatest position.
    const SET_READ: &str = "read_seq = excluded.read_seq, read_message_no = excluded.read_message_no";
    const SET_DELIVERED: &str = "delivered_seq = excluded.delivered_seq";
    let read = if fault::mutant("position_backwards") { SET_READ } else { RAISE_READ };
    let delivered = if fault::mutant("delivered_backwards") { SET_DELIVERED } else { RAISE_DELIVERED };
    let Position { user, read_seq, read_message_no, delivered_seq } = position;
    connection
        .prepare_cached(&format!("{INSERT}{read}, {delivered}"))?
        .execute(params![
            conversation_id.as_bytes(),
            user.as_str(),
            signed(*read_seq),
            signed(*read_message_no),
            signed(*delivered_seq),
        ])
        .map(drop)
}

/// A former member has no position. Who comes back starts at the entry of joining, which lies further.
pub(super) fn forget(connection: &Connection, conversation_id: ConversationId, user: &UserId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM position WHERE conversation_id = ?1 AND user_id = ?2")?
        .execute(params![conversation_id.as_bytes(), user.as_str()])
        .map(drop)
}

/// Moves a position inside the writer's transaction.
pub(super) fn set(
    connection: &Connection,
    conversation_id: ConversationId,
    user: &UserId,
    mark: Mark,
) -> rusqlite::Result<PositionSet> {
    if let Some(settled) = present(connection, conversation_id, user, mark)? {
        return Ok(settled);
    }
    let head = head(connection, conversation_id)?;
    let before = get(connection, conversation_id, user)?;
    let position = match mark {
        Mark::Read(seq) => {
            let read_message_no = head_at(connection, conversation_id, seq)?.message_no;
            let delivered_seq = before.delivered_seq.max(seq);
            Position { user: user.clone(), read_seq: seq, read_message_no, delivered_seq }
        }
        Mark::Delivered(seq) => Position { delivered_seq: seq, ..before },
    };
    raise(connection, conversation_id, &position)?;
    Ok(PositionSet::Set { position, moved: true, head })
}

/// What moving a position would give without a write. `None`: it needs one.
pub(super) fn present(
    connection: &Connection,
    conversation_id: ConversationId,
    user: &UserId,
    mark: Mark,
) -> rusqlite::Result<Option<PositionSet>> {
    let head = head(connection, conversation_id)?;
    if mark.seq() > head.seq {
        return Ok(Some(PositionSet::PastHead { head: head.seq }));
    }
    let position = match find(connection, conversation_id, user)? {
        Some(position) => position,
        // Of a group each member has one, from the entry of joining on.
        None if head.conversation_version > 0 => return Ok(Some(PositionSet::NoMember)),
        None => Position::read(user.clone(), 0, 0),
    };
    let backwards = match mark {
        Mark::Read(_) => fault::mutant("position_backwards"),
        Mark::Delivered(_) => fault::mutant("delivered_backwards"),
    };
    if mark.is_behind(&position) && !backwards {
        return Ok(Some(PositionSet::Set { position, moved: false, head }));
    }
    Ok(None)
}

/// The position of a user; zero if there is none.
pub(super) fn get(
    connection: &Connection,
    conversation_id: ConversationId,
    user: &UserId,
) -> rusqlite::Result<Position> {
    let found = find(connection, conversation_id, user)?;
    Ok(found.unwrap_or_else(|| Position::read(user.clone(), 0, 0)))
}

fn find(connection: &Connection, conversation_id: ConversationId, user: &UserId) -> rusqlite::Result<Option<Position>> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, read_seq, read_message_no, delivered_seq FROM position WHERE conversation_id = ?1 AND user_id = ?2",
    )?;
    statement.query_row(params![conversation_id.as_bytes(), user.as_str()], read).optional()
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
        "SELECT user_id, read_seq, read_message_no, delivered_seq FROM position \
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
    let (read_seq, delivered_seq) = (row::seq(row, 1)?, row::seq(row, 3)?);
    Ok(Position {
        user: row::user(row, 0)?,
        read_seq,
        read_message_no: row::seq(row, 2)?,
        // Rows of the first schema have none of their own.
        delivered_seq: delivered_seq.max(read_seq),
    })
}
