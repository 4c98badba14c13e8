//! What is read of conversations and members.

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Row as _, SqliteExecutor};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::rows::{
    bytes, conversation_columns, conversation_view, json_ids, kind, kind_number, limit, member, member_columns, number,
    optional_number, role_of, time, view_columns,
};
use crate::domain::{Authorization, ConversationView, Member, Span, Viewer};
use crate::store::{ListPage, ListPosition};

/// The conversation, the member and the stays, each by primary key.
pub(super) const AUTHORIZE: &str = "SELECT c.version, c.kind, m.role, s.from_seq, s.to_seq, s.to_version, \
                EXISTS (SELECT 1 FROM direct_pair p WHERE p.conversation_id = c.conversation_id) AS paired \
         FROM conversation c \
         LEFT JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = ?2 \
         LEFT JOIN member_span s ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id \
         WHERE c.conversation_id = ?1 ORDER BY s.from_version";

/// One indexed read: the conversation, the member and the stays, all by primary key and from one moment.
pub(super) async fn authorize(
    readers: &SqlitePool,
    conversation: ConversationId,
    user: &UserId,
) -> Result<Option<Authorization>, StoreError> {
    let rows = sqlx::query(AUTHORIZE).bind(bytes(&conversation)).bind(user.as_str()).fetch_all(readers).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut spans = Vec::with_capacity(rows.len());
    for row in &rows {
        let from_seq = optional_number(row, "from_seq")?;
        let to_seq = optional_number(row, "to_seq")?;
        // A stay whose begin or end the log does not have yet would look longer than it is.
        let end_is_pending = optional_number(row, "to_version")?.is_some() && to_seq.is_none();
        if let Some(from_seq) = from_seq.filter(|_| !end_is_pending) {
            spans.push(Span { from_seq, to_seq });
        }
    }
    Ok(Some(Authorization {
        version: number(first, "version")?,
        kind: kind(first, "kind")?,
        role: first.try_get::<Option<i64>, _>("role")?.map(role_of).transpose()?,
        spans,
        peer_present: first.try_get("paired")?,
    }))
}

/// Each id by primary keys.
pub(super) const VIEWS_OF_USER: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM conversation c \
     JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = ?2 \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id IN (SELECT unhex(value) FROM json_each(?1))"
);

/// The same without a member.
pub(super) const VIEWS_OF_SERVICE: &str = concat!(
    "SELECT ",
    conversation_columns!(),
    ", NULL AS role FROM conversation c \
     LEFT JOIN conversation_activity a ON a.conversation_id = c.conversation_id \
     WHERE c.conversation_id IN (SELECT unhex(value) FROM json_each(?1))"
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
    user: &UserId,
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
    .bind(user.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(conversation_view).transpose()
}

/// From the end of the index of lists.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    view_columns!(),
    ", m.list_at_ms FROM member m INDEXED BY member_by_list \
         JOIN conversation c ON c.conversation_id = m.conversation_id \
         LEFT JOIN conversation_activity a ON a.conversation_id = m.conversation_id \
         WHERE m.user_id = ?1 AND m.listed = 1 AND (?2 IS NULL OR m.kind = ?2) \
           AND (m.pinned, m.list_at_ms, m.conversation_id) < (?3, ?4, ?5) \
         ORDER BY m.pinned DESC, m.list_at_ms DESC, m.conversation_id DESC LIMIT ?6"
);

pub(super) async fn list(
    readers: &SqlitePool,
    user: &UserId,
    page: &ListPage,
) -> Result<Vec<(ConversationView, ListPosition)>, StoreError> {
    // Without a position: before everything.
    let after = page.after.map_or((2, i64::MAX, vec![]), |after| {
        (i64::from(after.pinned), after.list_at.millis(), bytes(&after.conversation).to_vec())
    });
    let rows = sqlx::query(LIST)
        .bind(user.as_str())
        .bind(page.kind.map(kind_number))
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(limit(page.limit))
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| {
            let view = conversation_view(row)?;
            let list_at: Timestamp = time(row, "list_at_ms")?;
            let position = ListPosition { pinned: row.try_get("pinned")?, list_at, conversation: view.conversation.id };
            Ok((view, position))
        })
        .collect()
}

/// From the primary key.
pub(super) const MEMBERS: &str = concat!(
    "SELECT ",
    member_columns!(),
    " FROM member m JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         WHERE m.conversation_id = ?1 AND m.user_id > ?2 ORDER BY m.user_id LIMIT ?3"
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
