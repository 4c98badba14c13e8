//! Entries that the log does not have yet, and what changes once it has them.

use sqlx::sqlite::SqlitePool;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::ConversationId;

use super::{SqliteStore, StoreError};
use crate::store::OutboxEntry;
use crate::store::rows::{bytes, conversation_id, limit, outbox_entry, signed};

/// From the primary key, without its versions.
pub(super) const CONVERSATIONS: &str =
    "SELECT DISTINCT conversation_id FROM outbox WHERE conversation_id > ?1 ORDER BY conversation_id LIMIT +?2";

pub(super) async fn conversations(
    readers: &SqlitePool,
    after: Option<ConversationId>,
    rows_max: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let after = after.map_or(Vec::new(), |id| bytes(&id).to_vec());
    let rows = sqlx::query(CONVERSATIONS).bind(after).bind(limit(rows_max)).fetch_all(readers).await?;
    rows.iter().map(|row| conversation_id(row, "conversation_id")).collect()
}

/// From the primary key.
pub(super) const ENTRIES: &str =
    "SELECT version, actor_user_id, entry FROM outbox WHERE conversation_id = ?1 ORDER BY version LIMIT +?2";

pub(super) async fn entries(
    readers: &SqlitePool,
    conversation: ConversationId,
    rows_max: usize,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let rows = sqlx::query(ENTRIES).bind(bytes(&conversation)).bind(limit(rows_max)).fetch_all(readers).await?;
    rows.iter().map(outbox_entry).collect()
}

pub(super) async fn write_back(
    store: &SqliteStore,
    conversation: ConversationId,
    version: u64,
    seq: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    const OF_THE_ENTRY: [&str; 4] = [
        "UPDATE member_span SET from_seq = ?3 WHERE conversation_id = ?1 AND from_version = ?2 AND from_seq IS NULL",
        "UPDATE member_span SET to_seq = ?3 WHERE conversation_id = ?1 AND to_version = ?2 AND to_seq IS NULL",
        "UPDATE request SET seq = ?3 WHERE conversation_id = ?1 AND version = ?2 AND seq IS NULL",
        "DELETE FROM outbox WHERE conversation_id = ?1 AND version = ?2 AND ?3 > 0",
    ];
    let mut write = store.begin().await?;
    let mut changed = [0; OF_THE_ENTRY.len()];
    for (statement, rows) in OF_THE_ENTRY.into_iter().zip(&mut changed) {
        *rows = sqlx::query(statement)
            .bind(bytes(&conversation))
            .bind(signed(version))
            .bind(signed(seq))
            .execute(write.connection())
            .await?
            .rows_affected();
    }
    let [joined, ..] = changed;
    if joined > 0 {
        sqlx::query("INSERT INTO membership_change (conversation_id, kind, version, at_ms) VALUES (?1, 1, ?2, ?3)")
            .bind(bytes(&conversation))
            .bind(signed(version))
            .bind(now.millis())
            .execute(write.connection())
            .await?;
    }
    if changed.iter().sum::<u64>() > 0 {
        write.commit().await?;
    }
    Ok(())
}
