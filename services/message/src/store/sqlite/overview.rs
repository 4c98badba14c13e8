use rusqlite::Connection;
use viberchat_kit::id::{ConversationId, UserId};

use super::{log, messages, position};
use crate::store::Overview;

/// Head, last message and position for each conversation: a few look-ups, whatever the length of the log.
pub(super) fn read(
    connection: &Connection,
    user: &UserId,
    conversations: &[(ConversationId, u64)],
) -> rusqlite::Result<Vec<Overview>> {
    conversations
        .iter()
        .map(|(conversation_id, passed_seq)| {
            let head = log::head(connection, *conversation_id)?;
            let last_message = match head.last_message_seq {
                0 => None,
                seq => messages::one(connection, *conversation_id, Some(user), seq)?,
            };
            let position = position::get(connection, *conversation_id, user)?;
            let passed_message_no = match *passed_seq {
                passed if passed <= position.read_seq => position.read_message_no,
                passed if passed >= head.seq => head.message_no,
                passed => log::head_at(connection, *conversation_id, passed)?.message_no,
            };
            Ok(Overview { head, last_message, position, passed_message_no })
        })
        .collect()
}
