//! First results by request id.

use sqlx::sqlite::SqlitePool;
use sqlx::{Row as _, SqliteConnection};
use viberchat_kit::clock::Timestamp;

use super::{SqliteStore, StoreError};
use crate::domain::Refusal;
use crate::store::rows::{conversation_id, limit, number, optional_number, signed};
use crate::store::{ChangeError, EntryRef, Executed, Pruned, RequestKey};

/// What an earlier call with this id came to.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    request: &RequestKey,
    now: Timestamp,
) -> Result<Option<Executed>, ChangeError> {
    let row = sqlx::query(
        "SELECT fingerprint, response, conversation_id, version, seq FROM request \
         WHERE caller = ?1 AND method = ?2 AND request_id = ?3 AND expires_at_ms > ?4",
    )
    .bind(request.caller.as_str())
    .bind(request.method)
    .bind(request.request_id.as_str())
    .bind(now.millis())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<&[u8], _>("fingerprint")? != request.fingerprint {
        return Err(Refusal::RequestIdReused.into());
    }
    let entry = match row.try_get::<Option<i64>, _>("version")? {
        None => None,
        Some(_) => Some(EntryRef {
            conversation: conversation_id(&row, "conversation_id")?,
            version: number(&row, "version")?,
            seq: optional_number(&row, "seq")?,
        }),
    };
    Ok(Some(Executed { response: row.try_get("response")?, entry, replayed: true }))
}

/// The seq of the entry that a request made, once the log has it.
pub(super) async fn entry_seq(readers: &SqlitePool, request: &RequestKey) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("SELECT seq FROM request WHERE caller = ?1 AND method = ?2 AND request_id = ?3")
        .bind(request.caller.as_str())
        .bind(request.method)
        .bind(request.request_id.as_str())
        .fetch_optional(readers)
        .await?;
    row.map_or(Ok(None), |row| optional_number(&row, "seq"))
}

/// Keeps the result. An expired row of the same id makes place.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    request: &RequestKey,
    response: &[u8],
    entry: Option<&EntryRef>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT OR REPLACE INTO request \
         (caller, method, request_id, fingerprint, response, conversation_id, version, acting_service, expires_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .bind(request.caller.as_str())
    .bind(request.method)
    .bind(request.request_id.as_str())
    .bind(&request.fingerprint[..])
    .bind(response)
    .bind(entry.map(|entry| entry.conversation.as_bytes().to_vec()))
    .bind(entry.map(|entry| signed(entry.version)))
    .bind(request.acting_service.as_deref())
    .bind(request.expires_at.millis())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn prune(
    store: &SqliteStore,
    now: Timestamp,
    changes_before: Timestamp,
    rows_max: usize,
) -> Result<Pruned, StoreError> {
    let mut write = store.begin().await?;
    let requests = sqlx::query(
        "DELETE FROM request WHERE (caller, method, request_id) IN \
         (SELECT caller, method, request_id FROM request WHERE expires_at_ms <= ?1 LIMIT +?2)",
    )
    .bind(now.millis())
    .bind(limit(rows_max))
    .execute(write.connection())
    .await?
    .rows_affected();
    // From the oldest on, so that what is left has no holes, whatever the clock did.
    let changes = sqlx::query(
        "DELETE FROM membership_change WHERE change_id <= \
         (SELECT max(change_id) FROM (SELECT change_id, at_ms FROM membership_change ORDER BY change_id LIMIT +?2) \
          WHERE at_ms < ?1)",
    )
    .bind(changes_before.millis())
    .bind(limit(rows_max))
    .execute(write.connection())
    .await?
    .rows_affected();
    write.commit().await?;
    Ok(Pruned { requests, changes })
}
