use rusqlite::{Connection, ToSql, params};
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;

use super::row::signed;
use crate::store::{ReactionKey, StateChange};

/// What an entry does to a message, inside the writer's transaction.
pub(super) fn apply(
    connection: &Connection,
    conversation_id: ConversationId,
    change: &StateChange,
) -> rusqlite::Result<()> {
    let conversation = conversation_id.as_bytes();
    let write = |sql: &str, parameters: &[&dyn ToSql]| connection.prepare_cached(sql)?.execute(parameters).map(drop);
    match change {
        StateChange::Edit { message_seq, edit_seq } => write(
            "INSERT INTO message_state (conversation_id, message_seq, edit_seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET edit_seq = excluded.edit_seq",
            params![conversation, signed(*message_seq), signed(*edit_seq)],
        ),
        StateChange::Delete { message_seq, delete_seq, message_body, edit_body } => {
            write(
                "INSERT INTO message_state (conversation_id, message_seq, delete_seq) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET delete_seq = excluded.delete_seq, pin_seq = NULL",
                params![conversation, signed(*message_seq), signed(*delete_seq)],
            )?;
            write(
                "DELETE FROM message_reaction WHERE conversation_id = ?1 AND message_seq = ?2",
                params![conversation, signed(*message_seq)],
            )?;
            // Mutant `deletion_leaves_text`: the message is marked as deleted, and the log still tells what it said.
            if fault::mutant("deletion_leaves_text") {
                return Ok(());
            }
            erase(connection, conversation_id, *message_seq, message_body, edit_body)
        }
        // A reaction that is there keeps its place among the others.
        StateChange::React { key: ReactionKey { message_seq, emoji, user }, seq } => write(
            "INSERT INTO message_reaction (conversation_id, message_seq, emoji, user_id, reaction_seq) \
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM message_state \
             WHERE conversation_id = ?1 AND message_seq = ?2 AND delete_seq IS NOT NULL) ON CONFLICT DO NOTHING",
            params![conversation, signed(*message_seq), emoji, user.as_str(), signed(*seq)],
        ),
        StateChange::Unreact { key: ReactionKey { message_seq, emoji, user }, .. } => write(
            "DELETE FROM message_reaction \
             WHERE conversation_id = ?1 AND message_seq = ?2 AND emoji = ?3 AND user_id = ?4",
            params![conversation, signed(*message_seq), emoji, user.as_str()],
        ),
        StateChange::Pin { message_seq, seq } => write(
            "INSERT INTO message_state (conversation_id, message_seq, pin_seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET pin_seq = coalesce(pin_seq, excluded.pin_seq) WHERE delete_seq IS NULL",
            params![conversation, signed(*message_seq), signed(*seq)],
        ),
        StateChange::Unpin { message_seq, .. } => write(
            "UPDATE message_state SET pin_seq = NULL WHERE conversation_id = ?1 AND message_seq = ?2",
            params![conversation, signed(*message_seq)],
        ),
    }
}

/// Overwrites the bodies of a message and of its edits. The rows shrink, so they stay on their pages, and
/// `secure_delete` overwrites what they leave.
fn erase(
    connection: &Connection,
    conversation_id: ConversationId,
    message_seq: u64,
    message_body: &[u8],
    edit_body: &[u8],
) -> rusqlite::Result<()> {
    let conversation = conversation_id.as_bytes();
    connection
        .prepare_cached("UPDATE log SET erased = 1, body = ?3 WHERE conversation_id = ?1 AND seq = ?2")?
        .execute(params![conversation, signed(message_seq), message_body])?;
    connection
        .prepare_cached(
            "UPDATE log SET erased = 1, body = ?3 WHERE conversation_id = ?1 AND target_seq = ?2 AND kind = ?4",
        )?
        .execute(params![conversation, signed(message_seq), edit_body, crate::domain::entry::Kind::EDITED.0])?;
    Ok(())
}
