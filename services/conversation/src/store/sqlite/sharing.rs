//! Who shares a conversation with a user.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;
use viberchat_kit::id::UserId;

use super::StoreError;
use super::rows::json;
use crate::store::rows::user;

/// A user with no more groups than this has them looked through for each of the others. Whoever has more is looked for in
/// the groups of the others: the busiest one asks about many who are not.
const OWN_GROUPS_MAX: i64 = 32;

/// Those of ?2 who share with ?1: the direct of the two by its pair, else a group that this finds.
macro_rules! sharing {
    ($group:literal) => {
        concat!(
            "SELECT json_each.value AS user_id FROM json_each(?2) \
             WHERE (EXISTS (SELECT 1 FROM direct_pair d \
                      JOIN member one ON one.conversation_id = d.conversation_id AND one.user_id = ?1 \
                      JOIN member other ON other.conversation_id = d.conversation_id \
                                           AND other.user_id = json_each.value \
                      WHERE d.user_low = min(?1, json_each.value) AND d.user_high = max(?1, json_each.value) \
                        AND one.listed = 1 AND other.listed = 1) \
                    OR EXISTS (",
            $group,
            ")) AND NOT EXISTS (SELECT 1 FROM user_profile p \
                       WHERE p.user_id IN (?1, json_each.value) AND p.deactivated_at_ms IS NOT NULL)"
        )
    };
}

/// The groups of ?1, until one is the other's.
pub(super) const BY_OWN_GROUPS: &str = sharing!(
    "SELECT 1 FROM member one INDEXED BY member_by_archived_list \
     CROSS JOIN member other ON other.conversation_id = one.conversation_id AND other.user_id = json_each.value \
     WHERE one.user_id = ?1 AND one.listed = 1 AND one.kind = 2"
);

/// The groups of the other, until one is that of ?1.
pub(super) const BY_OTHERS_GROUPS: &str = sharing!(
    "SELECT 1 FROM member other INDEXED BY member_by_archived_list \
     CROSS JOIN member one ON one.conversation_id = other.conversation_id AND one.user_id = ?1 \
     WHERE other.user_id = json_each.value AND other.listed = 1 AND other.kind = 2"
);

/// Counted no further than one more than asked for.
const OWN_GROUPS: &str = "SELECT count(*) AS own_groups FROM \
     (SELECT 1 FROM member INDEXED BY member_by_archived_list \
      WHERE user_id = ?1 AND listed = 1 AND kind = 2 LIMIT +?2 + 1)";

pub(super) async fn sharing(readers: &SqlitePool, of: &UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
    let row = sqlx::query(OWN_GROUPS).bind(of.as_str()).bind(OWN_GROUPS_MAX).fetch_one(readers).await?;
    let own_groups: i64 = row.try_get("own_groups")?;
    let statement = if own_groups <= OWN_GROUPS_MAX { BY_OWN_GROUPS } else { BY_OTHERS_GROUPS };
    let rows = sqlx::query(statement).bind(of.as_str()).bind(json(&others)).fetch_all(readers).await?;
    rows.iter().map(|row| user(row, "user_id")).collect()
}
