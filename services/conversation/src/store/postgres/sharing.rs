//! Who shares a conversation with a user.

use viberchat_kit::id::UserId;
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::texts;
use crate::store::rows::user;

/// Those of $2 who share with $1: the direct of the two by its pair, else a group.
pub(super) const SHARING: &str = "SELECT o.user_id FROM unnest($2::text[]) AS o (user_id) \
     WHERE (EXISTS (SELECT 1 FROM direct_pair d \
              JOIN member one ON one.conversation_id = d.conversation_id AND one.user_id = $1 \
              JOIN member other ON other.conversation_id = d.conversation_id AND other.user_id = o.user_id \
              WHERE d.user_low = least($1 COLLATE \"C\", o.user_id COLLATE \"C\") \
                AND d.user_high = greatest($1 COLLATE \"C\", o.user_id COLLATE \"C\") \
                AND one.listed AND other.listed) \
            OR EXISTS (SELECT 1 FROM member one \
                 JOIN member other ON other.conversation_id = one.conversation_id AND other.user_id = o.user_id \
                 WHERE one.user_id = $1 AND one.listed AND one.kind = 2)) \
       AND NOT EXISTS (SELECT 1 FROM user_profile p \
               WHERE p.user_id IN ($1, o.user_id) AND p.deactivated_at_ms IS NOT NULL)";

pub(super) async fn sharing(attempt: &Attempt, of: &UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
    let rows = sqlx::query(SHARING).bind(of.as_str()).bind(texts(others)).fetch_all(attempt.pool()).await?;
    rows.iter().map(|row| user(row, "user_id")).collect()
}
