use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, ffi, params};
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;

use super::row::signed;
use super::{change, position};
use crate::store::{Append, Appended, Record};

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
    for changed in &append.changes {
        change::apply(connection, append.conversation_id, changed)?;
    }
    for (_, user) in &append.departed {
        position::forget(connection, append.conversation_id, user)?;
    }
    for (seq, moved) in &append.positions {
        let is_gone = append.departed.iter().any(|(later, user)| later > seq && *user == moved.user);
        if !is_gone {
            position::raise(connection, append.conversation_id, moved)?;
        }
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
