//! Entries that the log does not have yet, and what changes once it has them.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::ConversationId;
use viberchat_kit::store::postgres::Attempt;

use super::rows::{uuid, uuid_after};
use super::{StoreError, lock};
use crate::store::OutboxEntry;
use crate::store::rows::{conversation_id, limit, outbox_entry, signed};

/// From the primary key, one step for each conversation, however many versions it has.
pub(super) const CONVERSATIONS: &str = "WITH RECURSIVE waiting (conversation_id) AS ( \
        (SELECT conversation_id FROM outbox WHERE $1::uuid IS NULL OR conversation_id > $1 \
         ORDER BY conversation_id LIMIT 1) \
        UNION ALL \
        SELECT (SELECT o.conversation_id FROM outbox o WHERE o.conversation_id > w.conversation_id \
                ORDER BY o.conversation_id LIMIT 1) \
        FROM waiting w WHERE w.conversation_id IS NOT NULL) \
     SELECT conversation_id FROM waiting WHERE conversation_id IS NOT NULL LIMIT $2";

pub(super) async fn conversations(
    attempt: &Attempt,
    after: Option<ConversationId>,
    rows_max: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let query = sqlx::query(CONVERSATIONS).bind(uuid_after(after)).bind(limit(rows_max));
    let rows = query.fetch_all(attempt.pool()).await?;
    rows.iter().map(|row| conversation_id(row, "conversation_id")).collect()
}

/// From the primary key.
pub(super) const ENTRIES: &str =
    "SELECT version, actor_user_id, entry FROM outbox WHERE conversation_id = $1 ORDER BY version LIMIT $2";

pub(super) async fn entries(
    attempt: &Attempt,
    conversation: ConversationId,
    rows_max: usize,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let query = sqlx::query(ENTRIES).bind(uuid(&conversation)).bind(limit(rows_max));
    let rows = query.fetch_all(attempt.pool()).await?;
    rows.iter().map(outbox_entry).collect()
}

pub(super) async fn write_back(
    attempt: &Attempt,
    conversation: ConversationId,
    version: u64,
    seq: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    const OF_THE_ENTRY: [&str; 4] = [
        "UPDATE member_span SET from_seq = $3 WHERE conversation_id = $1 AND from_version = $2 AND from_seq IS NULL",
        "UPDATE member_span SET to_seq = $3 WHERE conversation_id = $1 AND to_version = $2 AND to_seq IS NULL",
        "UPDATE request SET seq = $3 WHERE conversation_id = $1 AND version = $2 AND seq IS NULL",
        "DELETE FROM outbox WHERE conversation_id = $1 AND version = $2 AND $3::bigint > 0",
    ];
    let mut write = attempt.begin().await?;
    // Two relays may bring the same entry back; the second one finds nothing left to do.
    lock::conversation(write.connection(), conversation).await?;
    let mut changed = [0; OF_THE_ENTRY.len()];
    for (statement, rows) in OF_THE_ENTRY.into_iter().zip(&mut changed) {
        *rows = sqlx::query(statement)
            .bind(uuid(&conversation))
            .bind(signed(version))
            .bind(signed(seq))
            .execute(write.connection())
            .await?
            .rows_affected();
    }
    let [joined, ..] = changed;
    if joined > 0 {
        sqlx::query("INSERT INTO pending_change (conversation_id, kind, version, at_ms) VALUES ($1, 1, $2, $3)")
            .bind(uuid(&conversation))
            .bind(signed(version))
            .bind(now.millis())
            .execute(write.connection())
            .await?;
    }
    if changed.iter().sum::<u64>() > 0 {
        write.commit::<StoreError>().await?;
    }
    Ok(())
}
