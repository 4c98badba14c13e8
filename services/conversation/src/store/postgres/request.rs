//! First results by request id.

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::store::postgres::{Attempt, LostRace};

use super::rows::uuid;
use super::{StoreError, watch};
use crate::domain::Refusal;
use crate::store::rows::{Columns as _, conversation_id, limit, number, optional_number, signed};
use crate::store::{ChangeError, EntryRef, Executed, Pruned, RequestKey};

/// What an earlier call with this id came to.
pub(super) async fn find(
    connection: &mut PgConnection,
    request: &RequestKey,
    now: Timestamp,
) -> Result<Option<Executed>, ChangeError> {
    let row = sqlx::query(
        "SELECT fingerprint, response, conversation_id, version, seq FROM request \
         WHERE caller = $1 AND method = $2 AND request_id = $3 AND expires_at_ms > $4",
    )
    .bind(request.caller.as_str())
    .bind(request.method)
    .bind(request.request_id.as_str())
    .bind(now.millis())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.bytes("fingerprint")? != request.fingerprint {
        return Err(Refusal::RequestIdReused.into());
    }
    let entry = match row.optional_integer("version")? {
        None => None,
        Some(_) => Some(EntryRef {
            conversation: conversation_id(&row, "conversation_id")?,
            version: number(&row, "version")?,
            seq: optional_number(&row, "seq")?,
        }),
    };
    Ok(Some(Executed { response: row.bytes("response")?.to_vec(), entry, replayed: true }))
}

/// The seq of the entry that a request made, once the log has it.
pub(super) async fn entry_seq(attempt: &Attempt, request: &RequestKey) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("SELECT seq FROM request WHERE caller = $1 AND method = $2 AND request_id = $3")
        .bind(request.caller.as_str())
        .bind(request.method)
        .bind(request.request_id.as_str())
        .fetch_optional(attempt.pool())
        .await?;
    row.map_or(Ok(None), |row| optional_number(&row, "seq"))
}

/// Keeps the result. An expired row of the same id makes place; a living one is of a call that was faster, and rules.
pub(super) async fn insert(
    connection: &mut PgConnection,
    request: &RequestKey,
    response: &[u8],
    entry: Option<&EntryRef>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO request AS r (caller, method, request_id, fingerprint, response, conversation_id, version, \
                                   acting_service, expires_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (caller, method, request_id) DO UPDATE \
            SET fingerprint = excluded.fingerprint, response = excluded.response, \
                conversation_id = excluded.conversation_id, version = excluded.version, seq = NULL, \
                acting_service = excluded.acting_service, expires_at_ms = excluded.expires_at_ms \
            WHERE r.expires_at_ms <= $10",
    )
    .bind(request.caller.as_str())
    .bind(request.method)
    .bind(request.request_id.as_str())
    .bind(&request.fingerprint[..])
    .bind(response)
    .bind(entry.map(|entry| uuid(&entry.conversation)))
    .bind(entry.map(|entry| signed(entry.version)))
    .bind(request.acting_service.as_deref())
    .bind(request.expires_at.millis())
    .bind(now.millis())
    .execute(connection)
    .await?;
    match inserted.rows_affected() {
        0 => Err(StoreError::Unavailable(LostRace.into())),
        _ => Ok(()),
    }
}

pub(super) async fn prune(
    attempt: &Attempt,
    now: Timestamp,
    changes_before: Timestamp,
    rows_max: usize,
) -> Result<Pruned, StoreError> {
    // Rows that somebody else prunes or writes to are left to the next time.
    let requests = sqlx::query(
        "DELETE FROM request WHERE (caller, method, request_id) IN \
         (SELECT caller, method, request_id FROM request WHERE expires_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now.millis())
    .bind(limit(rows_max))
    .execute(attempt.pool())
    .await?
    .rows_affected();
    let changes = watch::prune(attempt, changes_before, rows_max).await?;
    Ok(Pruned { requests, changes })
}
