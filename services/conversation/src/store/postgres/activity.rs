//! Newest messages, which order the list.

use std::collections::{BTreeMap, BTreeSet};

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::ConversationId;
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::{uuid, uuids};
use crate::domain::Activity;
use crate::store::rows::{conversation_id, signed};

/// Raises the activities that are greater, then tells the peers of directs for which it is the first, and moves the
/// conversations in the lists.
const RAISE: &str = "WITH raised AS ( \
        INSERT INTO conversation_activity AS a (conversation_id, last_seq, last_at_ms) \
        SELECT n.conversation_id, n.seq, n.at_ms FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) \
            AS n (conversation_id, seq, at_ms) \
        ON CONFLICT (conversation_id) DO UPDATE SET last_seq = excluded.last_seq, last_at_ms = excluded.last_at_ms \
            WHERE excluded.last_seq > a.last_seq \
        RETURNING conversation_id, last_at_ms), \
     told AS ( \
        INSERT INTO pending_change (conversation_id, kind, version, user_id, at_ms) \
        SELECT m.conversation_id, 2, 0, m.user_id, $4 FROM raised r \
            JOIN member m ON m.conversation_id = r.conversation_id WHERE NOT m.listed) \
     UPDATE member m SET listed = true, list_at_ms = greatest(m.list_at_ms, r.last_at_ms) \
        FROM raised r WHERE m.conversation_id = r.conversation_id";

pub(super) async fn record(
    attempt: &Attempt,
    activities: &[(ConversationId, Activity)],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let ids: BTreeSet<_> = activities.iter().map(|(id, _)| *id).collect();
    let mut write = attempt.begin().await?;
    let rows = sqlx::query(
        "SELECT conversation_id FROM conversation WHERE conversation_id = ANY($1) \
         ORDER BY conversation_id FOR NO KEY UPDATE",
    )
    .bind(uuids(&ids))
    .fetch_all(write.connection())
    .await?;
    let known = rows.iter().map(|row| conversation_id(row, "conversation_id")).collect::<Result<BTreeSet<_>, _>>()?;
    let mut newest: BTreeMap<ConversationId, Activity> = BTreeMap::new();
    for (id, activity) in activities.iter().filter(|(id, _)| known.contains(id)) {
        let kept = newest.entry(*id).or_insert(*activity);
        if activity.seq > kept.seq {
            *kept = *activity;
        }
    }
    sqlx::query(RAISE)
        .bind(newest.keys().map(uuid).collect::<Vec<_>>())
        .bind(newest.values().map(|activity| signed(activity.seq)).collect::<Vec<_>>())
        .bind(newest.values().map(|activity| activity.at.millis()).collect::<Vec<_>>())
        .bind(now.millis())
        .execute(write.connection())
        .await?;
    write.commit::<StoreError>().await?;
    Ok(activities.iter().map(|(id, _)| known.contains(id)).collect())
}
