//! A member's own settings.

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::uuid;
use crate::domain::{MemberSettings, SettingsUpdate, sort_key};
use crate::store::rows::{settings, settings_columns, signed};

pub(super) async fn update(
    attempt: &Attempt,
    conversation: ConversationId,
    user: &UserId,
    update: &SettingsUpdate,
    now: Timestamp,
) -> Result<Option<MemberSettings>, StoreError> {
    let mut write = attempt.begin().await?;
    let connection = write.connection();
    let found = sqlx::query(concat!(
        "SELECT ",
        settings_columns!(),
        " FROM member m WHERE m.conversation_id = $1 AND m.user_id = $2 FOR NO KEY UPDATE"
    ))
    .bind(uuid(&conversation))
    .bind(user.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let present = settings(&row)?;
    let updated = present.updated(update);
    if updated != present {
        write_settings(connection, conversation, user, &updated).await?;
        tell(connection, conversation, user, now).await?;
        write.commit::<StoreError>().await?;
    }
    Ok(Some(updated))
}

async fn write_settings(
    connection: &mut PgConnection,
    conversation: ConversationId,
    user: &UserId,
    settings: &MemberSettings,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE member SET pinned = $3, mute_until_ms = $4, archived = $5, nickname = $6, nickname_key = $7, \
                           cleared_seq = $8 \
         WHERE conversation_id = $1 AND user_id = $2",
    )
    .bind(uuid(&conversation))
    .bind(user.as_str())
    .bind(settings.pinned)
    .bind(settings.mute_until.map(Timestamp::millis))
    .bind(settings.archived)
    .bind(&settings.nickname)
    .bind(sort_key(&settings.nickname))
    .bind(signed(settings.cleared_seq))
    .execute(connection)
    .await?;
    Ok(())
}

async fn tell(
    connection: &mut PgConnection,
    conversation: ConversationId,
    user: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO pending_change (conversation_id, kind, version, user_id, at_ms) \
         SELECT conversation_id, 4, version, $2, $3 FROM conversation WHERE conversation_id = $1",
    )
    .bind(uuid(&conversation))
    .bind(user.as_str())
    .bind(now.millis())
    .execute(connection)
    .await?;
    Ok(())
}
