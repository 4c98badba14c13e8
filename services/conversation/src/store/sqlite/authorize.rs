//! What users may do.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::rows::{count, hex, history, json, kind, number, optional_number, role_of};
use crate::domain::{Authorization, Role, Span};

/// A row for each stay of each pair, in the order of the pairs: conversations, members, stays, blocks and profiles by
/// primary key.
pub(super) const AUTHORIZE: &str = "SELECT json_each.key AS pair, c.version, c.kind, c.history, c.member_count, m.role, m.cleared_seq, \
            s.from_version, s.from_seq, s.to_seq, s.to_version, \
            EXISTS (SELECT 1 FROM direct_pair d WHERE d.conversation_id = c.conversation_id) AS paired, \
            EXISTS (SELECT 1 FROM user_profile p \
                    WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) AS user_gone, \
            EXISTS (SELECT 1 FROM user_profile p \
                    WHERE p.user_id = m.peer_user_id AND p.deactivated_at_ms IS NOT NULL) AS peer_gone, \
            EXISTS (SELECT 1 FROM block b WHERE b.user_id = m.user_id AND b.blocked_user_id = m.peer_user_id) \
            OR EXISTS (SELECT 1 FROM block b WHERE b.user_id = m.peer_user_id AND b.blocked_user_id = m.user_id) \
            AS blocked \
     FROM json_each(?1) CROSS JOIN conversation c ON c.conversation_id = unhex(json_each.value ->> 0) \
     LEFT JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = json_each.value ->> 1 \
     LEFT JOIN member_span s ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id";

/// One read, so that all answers are from one moment.
pub(super) async fn authorize(
    readers: &SqlitePool,
    pairs: &[(ConversationId, UserId)],
) -> Result<Vec<Option<Authorization>>, StoreError> {
    let asked = json(&pairs.iter().map(|(conversation, user)| (hex(conversation), user)).collect::<Vec<_>>());
    let rows = sqlx::query(AUTHORIZE).bind(asked).fetch_all(readers).await?;
    let mut stays = vec![Vec::new(); pairs.len()];
    let mut found = vec![None; pairs.len()];
    for row in &rows {
        let pair = usize::try_from(number(row, "pair")?).unwrap_or(usize::MAX);
        let (Some(found), Some(stays)) = (found.get_mut(pair), stays.get_mut(pair)) else {
            return Err(StoreError::Corrupt("an answer for a pair that was not asked for".to_owned()));
        };
        if found.is_none() {
            *found = Some(authorization(row)?);
        }
        stays.extend(stay(row)?);
    }
    for (found, stays) in found.iter_mut().zip(&mut stays) {
        stays.sort_by_key(|(from_version, _)| *from_version);
        // Nobody is authorized without a role.
        if let Some(found) = found.as_mut().filter(|found| found.role.is_some()) {
            found.spans = stays.iter().map(|(_, span)| *span).collect();
        }
    }
    Ok(found)
}

/// Without the stays.
fn authorization(row: &SqliteRow) -> Result<Authorization, StoreError> {
    let role: Option<Role> = row.try_get::<Option<i64>, _>("role")?.map(role_of).transpose()?;
    let (user_gone, peer_gone): (bool, bool) = (row.try_get("user_gone")?, row.try_get("peer_gone")?);
    Ok(Authorization {
        version: number(row, "version")?,
        kind: kind(row, "kind")?,
        role: role.filter(|_| !user_gone),
        spans: Vec::new(),
        peer_present: row.try_get::<bool, _>("paired")? && !peer_gone,
        history: history(row, "history")?,
        cleared_seq: optional_number(row, "cleared_seq")?.unwrap_or(0),
        blocked: row.try_get("blocked")?,
        member_count: count(row, "member_count")?,
    })
}

/// A stay with the version that it began with, which orders them.
fn stay(row: &SqliteRow) -> Result<Option<(u64, Span)>, StoreError> {
    let (Some(from_version), Some(from_seq)) =
        (optional_number(row, "from_version")?, optional_number(row, "from_seq")?)
    else {
        return Ok(None);
    };
    let to_seq = optional_number(row, "to_seq")?;
    // A stay whose end the log does not have yet would look longer than it is.
    let end_is_pending = optional_number(row, "to_version")?.is_some() && to_seq.is_none();
    Ok((!end_is_pending).then_some((from_version, Span { from_seq, to_seq })))
}
