//! What is read of conversations and members.

use sqlx::{PgConnection, PgExecutor};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::{uuid, uuids};
use crate::domain::{ConversationView, Member, Viewer};
use crate::store::rows::{conversation_columns, conversation_view, limit, member, member_columns, view_columns};

/// Each id by primary keys.
pub(super) const VIEWS_OF_USER: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM conversation c \
     JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = $2 \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id = ANY($1)"
);

/// The same without a member. Nobody is a member of a group that was deleted; a service has to be told.
pub(super) const VIEWS_OF_SERVICE: &str = concat!(
    "SELECT ",
    conversation_columns!(),
    ", NULL::bigint AS role FROM conversation c \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id = ANY($1) AND c.deleted_at_ms IS NULL"
);

pub(super) async fn conversations(
    attempt: &Attempt,
    ids: &[ConversationId],
    viewer: &Viewer,
) -> Result<Vec<ConversationView>, StoreError> {
    let query = match viewer {
        Viewer::User(user) => sqlx::query(VIEWS_OF_USER).bind(uuids(ids)).bind(user.as_str()),
        Viewer::Service => sqlx::query(VIEWS_OF_SERVICE).bind(uuids(ids)),
    };
    let rows = query.fetch_all(attempt.pool()).await?;
    rows.iter().map(conversation_view).collect()
}

/// As a member sees it, inside a transaction.
pub(super) async fn view(
    connection: &mut PgConnection,
    conversation: ConversationId,
    of: &UserId,
) -> Result<Option<ConversationView>, StoreError> {
    let query = sqlx::query(VIEWS_OF_USER).bind(uuids([&conversation])).bind(of.as_str());
    let row = query.fetch_optional(connection).await?;
    row.as_ref().map(conversation_view).transpose()
}

/// From the primary key.
pub(super) const MEMBERS: &str = concat!(
    "SELECT ",
    member_columns!(),
    " FROM member m JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         WHERE m.conversation_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"
);

pub(super) async fn members(
    executor: impl PgExecutor<'_>,
    conversation: ConversationId,
    after: Option<&UserId>,
    rows_max: usize,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query(MEMBERS)
        .bind(uuid(&conversation))
        // No id is empty: all of them come after that.
        .bind(after.map_or("", UserId::as_str))
        .bind(limit(rows_max))
        .fetch_all(executor)
        .await?;
    rows.iter().map(member).collect()
}
