//! What is read of conversations and members.

use sqlx::SqliteExecutor;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::rows::json_ids;
use crate::domain::{ConversationView, Member, Viewer};
use crate::store::rows::{bytes, conversation_columns, conversation_view, limit, member, member_columns, view_columns};

/// Each id by primary keys.
pub(super) const VIEWS_OF_USER: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM conversation c \
     JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = ?2 \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id IN (SELECT unhex(value) FROM json_each(?1))"
);

/// The same without a member. Nobody is a member of a group that was deleted; a service has to be told.
pub(super) const VIEWS_OF_SERVICE: &str = concat!(
    "SELECT ",
    conversation_columns!(),
    ", NULL AS role FROM conversation c \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id IN (SELECT unhex(value) FROM json_each(?1)) AND c.deleted_at_ms IS NULL"
);

pub(super) async fn conversations(
    readers: &SqlitePool,
    ids: &[ConversationId],
    viewer: &Viewer,
) -> Result<Vec<ConversationView>, StoreError> {
    let query = match viewer {
        Viewer::User(user) => sqlx::query(VIEWS_OF_USER).bind(json_ids(ids)).bind(user.as_str()),
        Viewer::Service => sqlx::query(VIEWS_OF_SERVICE).bind(json_ids(ids)),
    };
    let rows = query.fetch_all(readers).await?;
    rows.iter().map(conversation_view).collect()
}

/// As a member sees it, inside a transaction.
pub(super) async fn view(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    of: &UserId,
) -> Result<Option<ConversationView>, StoreError> {
    let row = sqlx::query(concat!(
        "SELECT ",
        view_columns!(),
        " FROM conversation c \
         JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = ?2 \
         LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
         WHERE c.conversation_id = ?1"
    ))
    .bind(bytes(&conversation))
    .bind(of.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(conversation_view).transpose()
}

/// From the primary key.
pub(super) const MEMBERS: &str = concat!(
    "SELECT ",
    member_columns!(),
    " FROM member m JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         WHERE m.conversation_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT +?3"
);

pub(super) async fn members(
    executor: impl SqliteExecutor<'_>,
    conversation: ConversationId,
    after: Option<&UserId>,
    rows_max: usize,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query(MEMBERS)
        .bind(bytes(&conversation))
        // No id is empty: all of them come after that.
        .bind(after.map_or("", UserId::as_str))
        .bind(limit(rows_max))
        .fetch_all(executor)
        .await?;
    rows.iter().map(member).collect()
}
