use rusqlite::Connection;
use viberchat_kit::id::{ConversationId, UserId};

use super::{log, messages, position};
use crate::store::Overview;

/// Head, last message and position for each conversation: three look-ups, whatever the length of the log.
pub(super) fn read(
    connection: &Connection,
    user: &UserId,
    conversation_ids: &[ConversationId],
) -> rusqlite::Result<Vec<Overview>> {
    conversation_ids
        .iter()
        .map(|conversation_id| {
            let head = log::head(connection, *conversation_id)?;
            let last_message = match head.last_message_seq {
                0 => None,
                seq => messages::one(connection, *conversation_id, seq)?,
            };
            let position = position::get(connection, &head, *conversation_id, user)?;
            Ok(Overview { head, last_message, position })
        })
        .collect()
}
