//! Newest messages, which order the list.

use sqlx::SqliteConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::ConversationId;

use super::{SqliteStore, StoreError};
use crate::domain::Activity;
use crate::store::rows::{bytes, signed};

pub(super) async fn record(
    store: &SqliteStore,
    activities: &[(ConversationId, Activity)],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let mut write = store.begin().await?;
    let mut known = Vec::with_capacity(activities.len());
    for (conversation, activity) in activities {
        known.push(record_one(write.connection(), *conversation, *activity, now).await?);
    }
    write.commit().await?;
    Ok(known)
}

async fn record_one(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    activity: Activity,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let raised = sqlx::query(
        "INSERT INTO conversation_activity (conversation_id, last_seq, last_at_ms) \
         SELECT conversation_id, ?2, ?3 FROM conversation WHERE conversation_id = ?1 \
         ON CONFLICT (conversation_id) DO UPDATE SET last_seq = excluded.last_seq, last_at_ms = excluded.last_at_ms \
            WHERE excluded.last_seq > last_seq",
    )
    .bind(bytes(&conversation))
    .bind(signed(activity.seq))
    .bind(activity.at.millis())
    .execute(&mut *connection)
    .await?;
    if raised.rows_affected() == 0 {
        let found = sqlx::query("SELECT 1 FROM conversation WHERE conversation_id = ?1").bind(bytes(&conversation));
        return Ok(found.fetch_optional(connection).await?.is_some());
    }
    // The first message of a direct: the peer hears of it.
    sqlx::query(
        "INSERT INTO membership_change (conversation_id, kind, version, user_id, at_ms) \
         SELECT conversation_id, 2, 0, user_id, ?2 FROM member WHERE conversation_id = ?1 AND listed = 0",
    )
    .bind(bytes(&conversation))
    .bind(now.millis())
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE member SET listed = 1, list_at_ms = max(list_at_ms, ?2) WHERE conversation_id = ?1")
        .bind(bytes(&conversation))
        .bind(activity.at.millis())
        .execute(connection)
        .await?;
    Ok(true)
}
