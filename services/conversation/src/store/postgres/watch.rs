//! What those who watch memberships read.
//!
//! A change is written without a number. Numbers taken by the transactions themselves would be committed out of order, and
//! a counter that each of them holds until its commit would let one of them commit at a time. So whoever reads changes
//! numbers what is committed by then: in the order in which the rows were made, which is that of transactions of which
//! one began after the other was committed, and under a lock, so that a number is seen only when all lower ones are.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::{uuid, uuid_after};
use crate::domain::Membership;
use crate::store::rows::{
    self, Columns as _, limit, membership, missed_change, number, optional_number, signed, stored_change,
};
use crate::store::{Audience, ChangeId, MissedChange, Readers, StoredChange, as_heard};

/// From an index that no activity reorders.
pub(super) const MEMBERSHIPS: &str = "SELECT m.conversation_id, m.kind, m.role, c.version FROM member m \
         JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version \
         JOIN conversation c ON c.conversation_id = m.conversation_id \
         WHERE m.user_id = $1 AND ($2::uuid IS NULL OR m.conversation_id > $2) AND m.listed \
            AND s.from_seq IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM user_profile p WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) \
         ORDER BY m.conversation_id LIMIT $3";

pub(super) async fn memberships(
    attempt: &Attempt,
    of: &UserId,
    after: Option<ConversationId>,
    rows_max: usize,
) -> Result<Vec<Membership>, StoreError> {
    let query = sqlx::query(MEMBERSHIPS).bind(of.as_str()).bind(uuid_after(after)).bind(limit(rows_max));
    let rows = query.fetch_all(attempt.pool()).await?;
    rows.iter().map(membership).collect()
}

/// One message to the server, which is one transaction there: whoever sent it may stop, and nobody waits for them. Each
/// statement sees what is committed when it begins; the first one waits until nobody else numbers.
const NUMBER: &str = "SELECT newest FROM change_counter FOR UPDATE; \
     WITH taken AS ( \
        DELETE FROM pending_change RETURNING pending_id, conversation_id, kind, version, user_id, role, at_ms), \
     numbered AS ( \
        INSERT INTO membership_change (change_id, conversation_id, kind, version, user_id, role, at_ms) \
        SELECT (SELECT newest FROM change_counter) + row_number() OVER (ORDER BY pending_id), \
               conversation_id, kind, version, user_id, role, at_ms FROM taken \
        RETURNING change_id) \
     UPDATE change_counter SET newest = greatest(newest, (SELECT max(change_id) FROM numbered))";

/// Numbers what is committed, if there is something; then the newest number.
pub(super) async fn newest_change(attempt: &Attempt) -> Result<ChangeId, StoreError> {
    let row = sqlx::query("SELECT newest, EXISTS (SELECT 1 FROM pending_change) AS has_pending FROM change_counter")
        .fetch_one(attempt.pool())
        .await?;
    if !row.flag("has_pending")? {
        return Ok(ChangeId(number(&row, "newest")?));
    }
    sqlx::raw_sql(NUMBER).execute(attempt.pool()).await?;
    let row = sqlx::query("SELECT newest FROM change_counter").fetch_one(attempt.pool()).await?;
    Ok(ChangeId(number(&row, "newest")?))
}

/// By number.
pub(super) const CHANGES: &str = "SELECT change_id, conversation_id, kind, version, user_id, role, \
            (SELECT c.kind FROM conversation c WHERE c.conversation_id = x.conversation_id) AS conversation_kind \
         FROM membership_change x WHERE change_id > $1 ORDER BY change_id LIMIT $2";

pub(super) async fn changes_after(
    attempt: &Attempt,
    after: ChangeId,
    rows_max: usize,
) -> Result<Option<Vec<StoredChange>>, StoreError> {
    let newest = newest_change(attempt).await?;
    if newest <= after {
        // A store that was restored counts from before again.
        return Ok((newest == after).then(Vec::new));
    }
    let rows = sqlx::query(CHANGES).bind(signed(after.0)).bind(limit(rows_max)).fetch_all(attempt.pool()).await?;
    let changes = rows.iter().map(stored_change).collect::<Result<Vec<_>, _>>()?;
    // Numbers have no holes but at the beginning, where they are pruned.
    let complete = changes.first().is_some_and(|first| first.id.0 == after.0 + 1);
    Ok(complete.then_some(changes))
}

/// What concerns one user after a number: changes that name the user, and of the user's conversations those that concern
/// every member or that the user joined by. With the present membership, which is null where the user may not read.
pub(super) const MISSED: &str = "SELECT x.change_id, x.conversation_id, x.kind AS change_kind, x.version AS change_version, \
            x.role AS last_role, c.kind, c.version, m.role \
     FROM (SELECT change_id, conversation_id, kind, version, role FROM membership_change \
              WHERE user_id = $1 AND change_id > $2 \
           UNION ALL \
           SELECT e.change_id, e.conversation_id, e.kind, e.version, e.role \
              FROM member own JOIN membership_change e ON e.conversation_id = own.conversation_id \
              WHERE own.user_id = $1 AND e.user_id IS NULL AND e.change_id > $2 \
                 AND (e.kind = 3 OR (e.kind = 1 AND e.version = own.from_version))) x \
     JOIN conversation c ON c.conversation_id = x.conversation_id \
     LEFT JOIN member m ON m.conversation_id = x.conversation_id AND m.user_id = $1 AND m.listed \
        AND EXISTS (SELECT 1 FROM member_span s WHERE s.conversation_id = m.conversation_id \
                       AND s.user_id = m.user_id AND s.from_version = m.from_version AND s.from_seq IS NOT NULL) \
        AND NOT EXISTS (SELECT 1 FROM user_profile p WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) \
     ORDER BY x.change_id LIMIT $3";

pub(super) async fn missed_changes(
    attempt: &Attempt,
    of: &UserId,
    after: ChangeId,
    rows_max: usize,
) -> Result<Option<(Vec<MissedChange>, ChangeId)>, StoreError> {
    newest_change(attempt).await?;
    // One moment, so that nothing is pruned or numbered between the look at the bounds and the rest. What is committed
    // by then and has no number comes after the newest one, to those who read on.
    let mut moment = attempt.snapshot().await?;
    let bounds =
        sqlx::query("SELECT newest, (SELECT min(change_id) FROM membership_change) AS oldest FROM change_counter")
            .fetch_one(&mut *moment)
            .await?;
    let newest = ChangeId(number(&bounds, "newest")?);
    let known_from = optional_number(&bounds, "oldest")?.map_or(newest.0, |oldest| oldest.saturating_sub(1));
    // A number that was never given is of another database: nothing follows from it.
    if after > newest || after.0 < known_from {
        return Ok(None);
    }
    let rows = sqlx::query(MISSED)
        .bind(of.as_str())
        .bind(signed(after.0))
        .bind(limit(rows_max.saturating_add(1)))
        .fetch_all(&mut *moment)
        .await?;
    if rows.len() > rows_max {
        return Ok(None);
    }
    let missed = rows.iter().filter_map(|row| missed_change(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(Some((as_heard(missed), newest)))
}

/// Throws changes away from the oldest on, so that what is left has no holes, whatever the clock did.
pub(super) async fn prune(attempt: &Attempt, before: Timestamp, rows_max: usize) -> Result<u64, StoreError> {
    newest_change(attempt).await?;
    let mut write = attempt.begin().await?;
    // One at a time: two that take turns at the same rows could leave a hole behind.
    sqlx::query("SELECT newest FROM change_counter FOR UPDATE").execute(write.connection()).await?;
    let pruned = sqlx::query(
        "DELETE FROM membership_change WHERE change_id <= \
         (SELECT max(change_id) FROM \
            (SELECT change_id, at_ms FROM membership_change ORDER BY change_id LIMIT $2) oldest WHERE at_ms < $1)",
    )
    .bind(before.millis())
    .bind(limit(rows_max))
    .execute(write.connection())
    .await?;
    write.commit::<StoreError>().await?;
    Ok(pruned.rows_affected())
}

/// A row for each reader, at least one if there is the conversation.
macro_rules! select_readers {
    ($who:literal) => {
        concat!(
            "SELECT c.kind, c.version, m.user_id, m.role FROM conversation c \
             LEFT JOIN member m \
                ON m.conversation_id = c.conversation_id AND m.listed \
                   AND EXISTS (SELECT 1 FROM member_span s \
                               WHERE s.conversation_id = m.conversation_id AND s.user_id = m.user_id \
                                 AND s.from_version = m.from_version AND s.from_seq IS NOT NULL) \
                   AND NOT EXISTS (SELECT 1 FROM user_profile p \
                                   WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) AND ",
            $who,
            " WHERE c.conversation_id = $1 ORDER BY m.user_id"
        )
    };
}

/// By primary keys.
pub(super) const READERS: &str = select_readers!("TRUE");

pub(super) async fn readers(
    attempt: &Attempt,
    conversation: ConversationId,
    audience: &Audience,
) -> Result<Option<Readers>, StoreError> {
    let query = match audience {
        Audience::Everybody => sqlx::query(READERS).bind(uuid(&conversation)),
        Audience::JoinedAt(version) => {
            sqlx::query(select_readers!("m.from_version = $2")).bind(uuid(&conversation)).bind(signed(*version))
        }
        Audience::User(user) => {
            sqlx::query(select_readers!("m.user_id = $2")).bind(uuid(&conversation)).bind(user.as_str())
        }
    };
    let rows = query.fetch_all(attempt.pool()).await?;
    rows::readers(&rows)
}
