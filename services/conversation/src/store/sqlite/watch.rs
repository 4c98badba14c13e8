//! What those who watch memberships read.

use sqlx::SqliteExecutor;
use sqlx::sqlite::SqlitePool;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use crate::domain::Membership;
use crate::store::rows::{
    self, bytes, limit, membership, missed_change, number, optional_number, signed, stored_change,
};
use crate::store::{Audience, ChangeId, MissedChange, Readers, StoredChange, as_heard};

/// From an index that no activity reorders.
pub(super) const MEMBERSHIPS: &str = "SELECT m.conversation_id, m.kind, m.role, c.version FROM member m INDEXED BY member_by_user \
         JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         JOIN conversation c ON c.conversation_id = m.conversation_id \
         WHERE m.user_id = ?1 AND m.conversation_id > ?2 AND m.listed = 1 AND s.from_seq IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM user_profile p WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) \
         ORDER BY m.conversation_id LIMIT +?3";

pub(super) async fn memberships(
    readers: &SqlitePool,
    of: &UserId,
    after: Option<ConversationId>,
    rows_max: usize,
) -> Result<Vec<Membership>, StoreError> {
    let after = after.map_or(Vec::new(), |id| bytes(&id).to_vec());
    let rows = sqlx::query(MEMBERSHIPS).bind(of.as_str()).bind(after).bind(limit(rows_max)).fetch_all(readers).await?;
    rows.iter().map(membership).collect()
}

pub(super) async fn newest_change(executor: impl SqliteExecutor<'_>) -> Result<ChangeId, StoreError> {
    // What AUTOINCREMENT counts by: it stays when rows are pruned.
    let row = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'membership_change'")
        .fetch_optional(executor)
        .await?;
    row.map_or(Ok(ChangeId::default()), |row| Ok(ChangeId(number(&row, "seq")?)))
}

/// By number.
pub(super) const CHANGES: &str = "SELECT change_id, conversation_id, kind, version, user_id, role, \
            (SELECT c.kind FROM conversation c WHERE c.conversation_id = x.conversation_id) AS conversation_kind \
         FROM membership_change x WHERE change_id > ?1 ORDER BY change_id LIMIT +?2";

pub(super) async fn changes_after(
    readers: &SqlitePool,
    after: ChangeId,
    rows_max: usize,
) -> Result<Option<Vec<StoredChange>>, StoreError> {
    let newest = newest_change(readers).await?;
    if newest <= after {
        // A store that was restored counts from before again.
        return Ok((newest == after).then(Vec::new));
    }
    let rows = sqlx::query(CHANGES).bind(signed(after.0)).bind(limit(rows_max)).fetch_all(readers).await?;
    let changes = rows.iter().map(stored_change).collect::<Result<Vec<_>, _>>()?;
    // Ids have no holes: a transaction that is rolled back gives its ids back.
    let complete = changes.first().is_some_and(|first| first.id.0 == after.0 + 1);
    Ok(complete.then_some(changes))
}

/// What concerns one user after a number: changes that name the user, and of the user's conversations those that concern
/// every member or that the user joined by. With the present membership, which is null where the user may not read.
pub(super) const MISSED: &str = "SELECT x.change_id, x.conversation_id, x.kind AS change_kind, x.version AS change_version, \
            x.role AS last_role, c.kind, c.version, m.role \
     FROM (SELECT change_id, conversation_id, kind, version, role FROM membership_change \
              INDEXED BY membership_change_by_user WHERE user_id = ?1 AND change_id > ?2 \
           UNION ALL \
           SELECT e.change_id, e.conversation_id, e.kind, e.version, e.role \
              FROM member own INDEXED BY member_by_user CROSS JOIN membership_change e \
                 INDEXED BY membership_change_by_conversation ON e.conversation_id = own.conversation_id \
              WHERE own.user_id = ?1 AND e.user_id IS NULL AND e.change_id > ?2 \
                 AND (e.kind = 3 OR (e.kind = 1 AND e.version = own.from_version))) x \
     JOIN conversation c ON c.conversation_id = x.conversation_id \
     LEFT JOIN member m ON m.conversation_id = x.conversation_id AND m.user_id = ?1 AND m.listed = 1 \
        AND EXISTS (SELECT 1 FROM member_span s WHERE s.conversation_id = m.conversation_id \
                       AND s.user_id = m.user_id AND s.from_version = m.from_version AND s.from_seq IS NOT NULL) \
        AND NOT EXISTS (SELECT 1 FROM user_profile p WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) \
     ORDER BY x.change_id LIMIT +?3";

pub(super) async fn missed_changes(
    readers: &SqlitePool,
    of: &UserId,
    after: ChangeId,
    rows_max: usize,
) -> Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError> {
    // One transaction, so that nothing is pruned or committed between the look at the bounds and the rest.
    let mut transaction = readers.begin().await?;
    let newest = newest_change(&mut *transaction).await?;
    let oldest =
        sqlx::query("SELECT min(change_id) AS oldest FROM membership_change").fetch_one(&mut *transaction).await?;
    let known_from = optional_number(&oldest, "oldest")?.map_or(newest.0, |oldest| oldest.saturating_sub(1));
    // A number that was never given is of another file: nothing follows from it.
    if after > newest || after.0 < known_from {
        return Ok(None);
    }
    let rows = sqlx::query(MISSED)
        .bind(of.as_str())
        .bind(signed(after.0))
        .bind(limit(rows_max.saturating_add(1)))
        .fetch_all(&mut *transaction)
        .await?;
    if rows.len() > rows_max {
        return Ok(None);
    }
    let missed = rows.iter().filter_map(|row| missed_change(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(Some((as_heard(missed), newest)))
}

/// A row for each reader, at least one if there is the conversation.
macro_rules! select_readers {
    ($who:literal) => {
        concat!(
            "SELECT c.kind, c.version, m.user_id, m.role FROM conversation c \
             LEFT JOIN member m \
                ON m.conversation_id = c.conversation_id AND m.listed = 1 \
                   AND EXISTS (SELECT 1 FROM member_span s \
                               WHERE s.conversation_id = m.conversation_id AND s.user_id = m.user_id \
                                 AND s.from_version = m.from_version AND s.from_seq IS NOT NULL) \
                   AND NOT EXISTS (SELECT 1 FROM user_profile p \
                                   WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) AND ",
            $who,
            " WHERE c.conversation_id = ?1"
        )
    };
}

/// By primary keys.
pub(super) const READERS: &str = select_readers!("TRUE");

pub(super) async fn readers(
    readers: &SqlitePool,
    conversation: ConversationId,
    audience: &Audience,
) -> Result<Option<Readers>, StoreError> {
    let query = match audience {
        Audience::Everybody => sqlx::query(READERS).bind(bytes(&conversation)),
        Audience::JoinedAt(version) => {
            sqlx::query(select_readers!("m.from_version = ?2")).bind(bytes(&conversation)).bind(signed(*version))
        }
        Audience::User(user) => {
            sqlx::query(select_readers!("m.user_id = ?2")).bind(bytes(&conversation)).bind(user.as_str())
        }
    };
    let rows = query.fetch_all(readers).await?;
    rows::readers(&rows)
}
