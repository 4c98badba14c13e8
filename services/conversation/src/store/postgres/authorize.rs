//! What users may do.

use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::rows::{texts, uuids};
use crate::domain::Authorization;
use crate::store::rows::authorizations;

/// A row for each stay of each pair: conversations, members, stays, blocks and profiles by primary key.
pub(super) const AUTHORIZE: &str = "SELECT q.number - 1 AS pair, c.version, c.kind, c.history, c.member_count, m.role, m.cleared_seq, \
            s.from_version, s.from_seq, s.to_seq, s.to_version, \
            EXISTS (SELECT 1 FROM direct_pair d WHERE d.conversation_id = c.conversation_id) AS paired, \
            EXISTS (SELECT 1 FROM user_profile p \
                    WHERE p.user_id = m.user_id AND p.deactivated_at_ms IS NOT NULL) AS user_gone, \
            EXISTS (SELECT 1 FROM user_profile p \
                    WHERE p.user_id = m.peer_user_id AND p.deactivated_at_ms IS NOT NULL) AS peer_gone, \
            EXISTS (SELECT 1 FROM block b WHERE b.user_id = m.user_id AND b.blocked_user_id = m.peer_user_id) \
            OR EXISTS (SELECT 1 FROM block b WHERE b.user_id = m.peer_user_id AND b.blocked_user_id = m.user_id) \
            AS blocked \
     FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS q (conversation_id, user_id, number) \
     JOIN conversation c ON c.conversation_id = q.conversation_id \
     LEFT JOIN member m ON m.conversation_id = c.conversation_id AND m.user_id = q.user_id \
     LEFT JOIN member_span s ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id";

/// One statement, so that all answers are from one moment.
pub(super) async fn authorize(
    attempt: &Attempt,
    pairs: &[(ConversationId, UserId)],
) -> Result<Vec<Option<Authorization>>, StoreError> {
    let rows = sqlx::query(AUTHORIZE)
        .bind(uuids(pairs.iter().map(|(conversation, _)| conversation)))
        .bind(texts(pairs.iter().map(|(_, user)| user)))
        .fetch_all(attempt.pool())
        .await?;
    authorizations(&rows, pairs.len())
}
