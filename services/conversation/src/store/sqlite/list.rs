//! A user's list, in each of its orders.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;
use viberchat_kit::id::UserId;

use super::StoreError;
use crate::domain::ConversationView;
use crate::store::rows::{bytes, conversation_view, kind_number, limit, time, view_columns};
use crate::store::{ListPage, ListPosition, NamePosition};

/// Of `member m`, its `conversation c` and its `conversation_activity a`: what ?1 has in the list, of the kind ?2 or of
/// each, archived as ?3 says. What was cleared is not, until something newer is known.
macro_rules! listed {
    () => {
        "m.user_id = ?1 AND m.listed = 1 AND (?2 IS NULL OR m.kind = ?2) AND m.archived = ?3 \
         AND (m.cleared_seq = 0 OR coalesce(a.last_seq, 0) > m.cleared_seq)"
    };
}

/// From the end of the index of lists.
pub(super) const BY_ACTIVITY: &str = concat!(
    "SELECT ",
    view_columns!(),
    ", m.list_at_ms FROM member m INDEXED BY member_by_archived_list \
         JOIN conversation c ON c.conversation_id = m.conversation_id \
         LEFT JOIN conversation_activity a ON a.conversation_id = m.conversation_id \
         WHERE ",
    listed!(),
    " AND (m.pinned, m.list_at_ms, m.conversation_id) < (?4, ?5, ?6) \
         ORDER BY m.pinned DESC, m.list_at_ms DESC, m.conversation_id DESC LIMIT +?7"
);

pub(super) async fn by_activity(
    readers: &SqlitePool,
    user: &UserId,
    page: &ListPage<ListPosition>,
) -> Result<Vec<(ConversationView, ListPosition)>, StoreError> {
    // Without a position: before everything.
    let after = page.after.map_or((2, i64::MAX, vec![]), |after| {
        (i64::from(after.pinned), after.list_at.millis(), bytes(&after.conversation).to_vec())
    });
    let rows = sqlx::query(BY_ACTIVITY)
        .bind(user.as_str())
        .bind(page.kind.map(kind_number))
        .bind(page.archived)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(limit(page.limit))
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| {
            let view = conversation_view(row)?;
            let list_at = time(row, "list_at_ms")?;
            let position = ListPosition { pinned: row.try_get("pinned")?, list_at, conversation: view.conversation.id };
            Ok((view, position))
        })
        .collect()
}

/// What a list by name is sorted by, with the `user_profile p` of the peer.
macro_rules! name_key {
    () => {
        "CASE WHEN m.nickname_key <> '' THEN m.nickname_key \
              WHEN m.kind = 2 THEN c.name_key \
              ELSE coalesce(nullif(p.sort_key, ''), lower(substr(m.peer_user_id, 1, 64))) END"
    };
}

/// Sorts all of the user's list: names change in too many places to keep each list sorted.
const BY_NAME: &str = concat!(
    "SELECT ",
    view_columns!(),
    ", ",
    name_key!(),
    " AS name_key_shown FROM member m INDEXED BY member_by_archived_list \
         JOIN conversation c ON c.conversation_id = m.conversation_id \
         LEFT JOIN conversation_activity a ON a.conversation_id = m.conversation_id \
         LEFT JOIN user_profile p ON p.user_id = m.peer_user_id \
         WHERE ",
    listed!(),
    " AND (",
    name_key!(),
    ", m.conversation_id) > (?4, ?5) ORDER BY name_key_shown, m.conversation_id LIMIT +?6"
);

pub(super) async fn by_name(
    readers: &SqlitePool,
    user: &UserId,
    page: &ListPage<NamePosition>,
) -> Result<Vec<(ConversationView, NamePosition)>, StoreError> {
    // Without a position: before everything.
    let after = page.after.as_ref();
    let (key, id) = after.map_or(("", vec![]), |after| (&after.name_key, bytes(&after.conversation).to_vec()));
    let rows = sqlx::query(BY_NAME)
        .bind(user.as_str())
        .bind(page.kind.map(kind_number))
        .bind(page.archived)
        .bind(key)
        .bind(id)
        .bind(limit(page.limit))
        .fetch_all(readers)
        .await?;
    rows.iter()
        .map(|row| {
            let view = conversation_view(row)?;
            let name_key = row.try_get("name_key_shown")?;
            let position = NamePosition { name_key, conversation: view.conversation.id };
            Ok((view, position))
        })
        .collect()
}
