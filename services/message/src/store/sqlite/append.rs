use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, ffi, params};
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;

use super::position;
use super::row::signed;
use crate::store::{Append, Appended, Record, StateChange};

/// Why an append could not be done inside the transaction, which has to be rolled back.
#[derive(Debug)]
pub(super) enum AppendError {
    /// The unique index over the ids refused a row.
    IdTaken,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for AppendError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, message)
                if failure.code == ErrorCode::ConstraintViolation
                    && failure.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE
                    && message.as_deref().is_some_and(|message| message.contains("log.request_id")) =>
            {
                Self::IdTaken
            }
            _ => Self::Sqlite(error),
        }
    }
}

/// Appends inside the writer's transaction. A failed condition writes nothing.
pub(super) fn run(connection: &Connection, append: &Append) -> Result<Appended, AppendError> {
    let head = head_seq(connection, append.conversation_id)?;
    // Mutant `condition_ignored`: without the condition, two instances write different entries at one place.
    if head != append.expected_head && !fault::mutant("condition_ignored") {
        return Ok(Appended::Conflict { head });
    }
    insert_records(connection, append)?;
    for change in &append.changes {
        change_state(connection, append.conversation_id, change)?;
    }
    for moved in &append.positions {
        position::raise(connection, append.conversation_id, moved)?;
    }
    for user in &append.departed {
        position::forget(connection, append.conversation_id, user)?;
    }
    Ok(Appended::Stored)
}

/// The condition is read under the write lock of the transaction, so nobody can append in between.
fn head_seq(connection: &Connection, conversation_id: ConversationId) -> rusqlite::Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT seq FROM log WHERE conversation_id = ?1 ORDER BY seq DESC LIMIT 1")?;
    let head = statement.query_row([conversation_id.as_bytes()], |row| super::row::seq(row, 0)).optional()?;
    Ok(head.unwrap_or(0))
}

fn insert_records(connection: &Connection, append: &Append) -> rusqlite::Result<()> {
    let mut statement = prepare_insert(connection)?;
    for record in &append.records {
        let Record { head, kind, target_seq, actor, id, create_time, body, .. } = record;
        let (request_id, fingerprint) =
            id.as_ref().map(|(request, print)| (request.as_str(), print.as_slice())).unzip();
        statement.execute(params![
            append.conversation_id.as_bytes(),
            signed(head.seq),
            signed(head.message_no),
            signed(head.last_message_seq),
            signed(head.conversation_version),
            create_time.millis(),
            kind.0,
            target_seq.map(signed),
            actor.as_str(),
            request_id,
            fingerprint,
            body,
        ])?;
    }
    Ok(())
}

fn prepare_insert(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    const INSERT: &str = "INSERT INTO log (conversation_id, seq, message_no, last_message_seq, conversation_version, \
         create_time_ms, kind, target_seq, actor_user_id, request_id, fingerprint, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    if fault::mutant("condition_ignored") {
        return connection.prepare_cached(&INSERT.replacen("INSERT", "INSERT OR REPLACE", 1));
    }
    connection.prepare_cached(INSERT)
}

fn change_state(
    connection: &Connection,
    conversation_id: ConversationId,
    change: &StateChange,
) -> rusqlite::Result<()> {
    let conversation = conversation_id.as_bytes();
    match change {
        StateChange::Edit { message_seq, edit_seq } => {
            connection
                .prepare_cached(
                    "INSERT INTO message_state (conversation_id, message_seq, edit_seq) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET edit_seq = excluded.edit_seq",
                )?
                .execute(params![conversation, signed(*message_seq), signed(*edit_seq)])?;
        }
        StateChange::Delete { message_seq, delete_seq, message_body, edit_body } => {
            connection
                .prepare_cached(
                    "INSERT INTO message_state (conversation_id, message_seq, delete_seq) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET delete_seq = excluded.delete_seq",
                )?
                .execute(params![conversation, signed(*message_seq), signed(*delete_seq)])?;
            // Mutant `deletion_leaves_text`: the message is marked as deleted, and the log still tells what it said.
            if !fault::mutant("deletion_leaves_text") {
                erase(connection, conversation_id, *message_seq, message_body, edit_body)?;
            }
        }
    }
    Ok(())
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
