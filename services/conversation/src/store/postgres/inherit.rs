//! Groups that nobody looks after because their owners are deactivated.

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::group::{Kept, insert_outbox};
use super::rows::uuid;
use crate::domain::{Effects, Member, Role, decide_inheritance};
use crate::store::EncodeEntry;
use crate::store::rows::{conversation_id, member, member_columns, number, role_number, signed};

/// The groups of a user in which it may matter that the user went or came back, held by the keys: those they own, and those
/// that nobody active owns. Whoever changes one of their owners at the same moment waits, or is waited for.
const HELD: &str = "SELECT c.conversation_id, c.version FROM member m \
     JOIN conversation c ON c.conversation_id = m.conversation_id \
     WHERE m.user_id = $1 AND m.kind = 2 AND (m.role = 3 OR NOT EXISTS \
       (SELECT 1 FROM member o LEFT JOIN user_profile p ON p.user_id = o.user_id \
        WHERE o.conversation_id = m.conversation_id AND o.role = 3 AND p.deactivated_at_ms IS NULL)) \
     ORDER BY c.conversation_id FOR NO KEY UPDATE OF c";

/// After a user went or came back: the groups of theirs that no active member owns get an owner, if anybody is active.
pub(super) async fn inherit(
    connection: &mut PgConnection,
    user: &UserId,
    now: Timestamp,
    encode: &impl EncodeEntry,
) -> Result<(), StoreError> {
    let held = sqlx::query(HELD).bind(user.as_str()).fetch_all(&mut *connection).await?;
    for row in &held {
        let conversation = conversation_id(row, "conversation_id")?;
        // Read under the lock: what was committed while it was waited for is seen.
        let active = active_members(connection, conversation).await?;
        if active.iter().any(|member| member.role == Role::Owner) {
            continue;
        }
        if let Some(effects) = decide_inheritance(&active) {
            let kept = Kept { conversation, version: number(row, "version")? + 1, now };
            apply(connection, &kept, &effects).await?;
            insert_outbox(connection, &kept, user, &encode(&effects.entry)).await?;
        }
    }
    Ok(())
}

async fn apply(connection: &mut PgConnection, kept: &Kept, effects: &Effects) -> Result<(), StoreError> {
    for (user, role) in &effects.roles {
        sqlx::query("UPDATE member SET role = $3 WHERE conversation_id = $1 AND user_id = $2")
            .bind(uuid(&kept.conversation))
            .bind(user.as_str())
            .bind(role_number(*role))
            .execute(&mut *connection)
            .await?;
    }
    for statement in [
        "UPDATE conversation SET version = $2, updated_at_ms = $3 WHERE conversation_id = $1",
        "INSERT INTO pending_change (conversation_id, kind, version, at_ms) VALUES ($1, 3, $2, $3)",
    ] {
        sqlx::query(statement)
            .bind(uuid(&kept.conversation))
            .bind(signed(kept.version))
            .bind(kept.now.millis())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The members who are not deactivated.
pub(super) async fn active_members(
    connection: &mut PgConnection,
    conversation: ConversationId,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        member_columns!(),
        " FROM member m JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         LEFT JOIN user_profile p ON p.user_id = m.user_id \
         WHERE m.conversation_id = $1 AND p.deactivated_at_ms IS NULL"
    ))
    .bind(uuid(&conversation))
    .fetch_all(connection)
    .await?;
    rows.iter().map(member).collect()
}
