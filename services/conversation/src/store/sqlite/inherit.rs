//! Groups that nobody looks after because their owners are deactivated.

use sqlx::SqliteConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::group::{Kept, insert_outbox};
use super::rows::{bytes, conversation_id, member, member_columns, number, role_number, signed};
use crate::domain::{Effects, Member, decide_inheritance};
use crate::store::EncodeEntry;

/// The groups of a user that have no active owner, by the keys of their members.
pub(super) const OWNERLESS: &str = "SELECT m.conversation_id, c.version FROM member m INDEXED BY member_by_user \
     JOIN conversation c ON c.conversation_id = m.conversation_id \
     WHERE m.user_id = ?1 AND m.kind = 2 AND NOT EXISTS \
       (SELECT 1 FROM member o LEFT JOIN user_profile p ON p.user_id = o.user_id \
        WHERE o.conversation_id = m.conversation_id AND o.role = 3 AND p.deactivated_at_ms IS NULL) \
     ORDER BY m.conversation_id";

/// After a user went or came back: the groups of theirs that no active member owns get an owner, if anybody is active.
pub(super) async fn inherit(
    connection: &mut SqliteConnection,
    user: &UserId,
    now: Timestamp,
    encode: &impl EncodeEntry,
) -> Result<(), StoreError> {
    let rows = sqlx::query(OWNERLESS).bind(user.as_str()).fetch_all(&mut *connection).await?;
    for row in &rows {
        let conversation = conversation_id(row, "conversation_id")?;
        let version = number(row, "version")? + 1;
        if let Some(effects) = decide_inheritance(&active_members(connection, conversation).await?) {
            let kept = Kept { conversation, version, now };
            apply(connection, &kept, &effects).await?;
            insert_outbox(connection, &kept, user, &encode(&effects.entry)).await?;
        }
    }
    Ok(())
}

async fn apply(connection: &mut SqliteConnection, kept: &Kept, effects: &Effects) -> Result<(), StoreError> {
    for (user, role) in &effects.roles {
        sqlx::query("UPDATE member SET role = ?3 WHERE conversation_id = ?1 AND user_id = ?2")
            .bind(bytes(&kept.conversation))
            .bind(user.as_str())
            .bind(role_number(*role))
            .execute(&mut *connection)
            .await?;
    }
    for statement in [
        "UPDATE conversation SET version = ?2, updated_at_ms = ?3 WHERE conversation_id = ?1",
        "INSERT INTO membership_change (conversation_id, kind, version, at_ms) VALUES (?1, 3, ?2, ?3)",
    ] {
        sqlx::query(statement)
            .bind(bytes(&kept.conversation))
            .bind(signed(kept.version))
            .bind(kept.now.millis())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The members who are not deactivated.
pub(super) async fn active_members(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        member_columns!(),
        " FROM member m JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         LEFT JOIN user_profile p ON p.user_id = m.user_id \
         WHERE m.conversation_id = ?1 AND p.deactivated_at_ms IS NULL"
    ))
    .bind(bytes(&conversation))
    .fetch_all(connection)
    .await?;
    rows.iter().map(member).collect()
}
