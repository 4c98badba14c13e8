//! Who wants nothing of whom.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePool;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;

use super::user::standing;
use super::{SqliteStore, StoreError};
use crate::domain::{BlockState, DirectPair, Limits, check_block};
use crate::store::rows::{self, limit};
use crate::store::{Block, ChangeError};

pub(super) async fn block(
    store: &SqliteStore,
    user: &UserId,
    blocked: &UserId,
    limits: &Limits,
    now: Timestamp,
) -> Result<bool, ChangeError> {
    let mut write = store.begin().await?;
    let connection = write.connection();
    if has_blocked(connection, user, blocked).await? {
        return Ok(false);
    }
    let block_count = count(connection, user, limits).await?;
    let state = BlockState { standing: standing(connection, blocked).await?, block_count };
    check_block(blocked, state, limits)?;
    sqlx::query("INSERT INTO block (user_id, blocked_user_id, blocked_at_ms) VALUES (?1, ?2, ?3)")
        .bind(user.as_str())
        .bind(blocked.as_str())
        .bind(now.millis())
        .execute(&mut *connection)
        .await?;
    tell(connection, user, blocked, now).await?;
    write.commit().await?;
    Ok(true)
}

pub(super) async fn unblock(
    store: &SqliteStore,
    user: &UserId,
    blocked: &UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut write = store.begin().await?;
    let connection = write.connection();
    let deleted = sqlx::query("DELETE FROM block WHERE user_id = ?1 AND blocked_user_id = ?2")
        .bind(user.as_str())
        .bind(blocked.as_str())
        .execute(&mut *connection)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    tell(connection, user, blocked, now).await?;
    write.commit().await?;
    Ok(true)
}

/// Whether one of the two has blocked the other.
pub(super) async fn either_has_blocked(
    connection: &mut SqliteConnection,
    pair: &DirectPair,
) -> Result<bool, StoreError> {
    Ok(has_blocked(connection, pair.low(), pair.high()).await?
        || has_blocked(connection, pair.high(), pair.low()).await?)
}

async fn has_blocked(connection: &mut SqliteConnection, user: &UserId, blocked: &UserId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM block WHERE user_id = ?1 AND blocked_user_id = ?2")
        .bind(user.as_str())
        .bind(blocked.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Counted no further than the limit.
async fn count(connection: &mut SqliteConnection, user: &UserId, limits: &Limits) -> Result<u32, StoreError> {
    let row = sqlx::query("SELECT count(*) AS blocks FROM (SELECT 1 FROM block WHERE user_id = ?1 LIMIT +?2)")
        .bind(user.as_str())
        .bind(i64::from(limits.user_blocks_max))
        .fetch_one(connection)
        .await?;
    rows::count(&row, "blocks")
}

/// What the two may do in their direct has changed, if they have one.
async fn tell(
    connection: &mut SqliteConnection,
    user: &UserId,
    blocked: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let pair = DirectPair::of(user, blocked);
    sqlx::query(
        "INSERT INTO membership_change (conversation_id, kind, version, at_ms) \
         SELECT conversation_id, 3, 0, ?3 FROM direct_pair WHERE user_low = ?1 AND user_high = ?2",
    )
    .bind(pair.low().as_str())
    .bind(pair.high().as_str())
    .bind(now.millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// From the primary key.
pub(super) const BLOCKS: &str = "SELECT blocked_user_id, blocked_at_ms FROM block \
     WHERE user_id = ?1 AND blocked_user_id > ?2 ORDER BY blocked_user_id LIMIT +?3";

pub(super) async fn blocks(
    readers: &SqlitePool,
    of: &UserId,
    after: Option<&UserId>,
    rows_max: usize,
) -> Result<Vec<Block>, StoreError> {
    let rows = sqlx::query(BLOCKS)
        .bind(of.as_str())
        // No id is empty: all of them come after that.
        .bind(after.map_or("", UserId::as_str))
        .bind(limit(rows_max))
        .fetch_all(readers)
        .await?;
    rows.iter().map(rows::block).collect()
}
