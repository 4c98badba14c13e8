//! The order of locks, so that no two transactions wait for each other:
//!
//! 1. users, all of a transaction in one statement, by their keys: [`users`];
//! 2. conversations, by id: [`conversation`], or all of a transaction in one statement;
//! 3. rows of members, profiles, spans and the outbox, which nobody locks who wants 1 or 2 afterwards;
//! 4. the request row, last.
//!
//! Numbering takes its lock in a transaction of its own.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::rows::{texts, uuid};

/// Until the end of the transaction nobody else decides about these users' pairs and blocks. They need no profile for it.
pub(super) async fn users<'a>(
    connection: &mut PgConnection,
    users: impl IntoIterator<Item = &'a UserId>,
) -> Result<(), StoreError> {
    // Two users with one key only wait for each other.
    sqlx::query(
        "SELECT pg_advisory_xact_lock(key) FROM \
            (SELECT DISTINCT hashtextextended(current_schema() || ' user ' || user_id, 0) AS key \
             FROM unnest($1::text[]) AS asked (user_id) ORDER BY key) keys",
    )
    .bind(texts(users))
    .execute(connection)
    .await?;
    Ok(())
}

/// Until the end of the transaction nobody else changes this conversation. What the rules look at.
pub(super) async fn conversation(
    connection: &mut PgConnection,
    conversation: ConversationId,
) -> Result<Option<PgRow>, StoreError> {
    let row = sqlx::query(
        "SELECT kind, version, updated_at_ms, member_count FROM conversation WHERE conversation_id = $1 \
         FOR NO KEY UPDATE",
    )
    .bind(uuid(&conversation))
    .fetch_optional(connection)
    .await?;
    Ok(row)
}
