//! What users may do.

use sqlx::sqlite::SqlitePool;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use super::rows::{hex, json};
use crate::domain::Authorization;
use crate::store::rows::authorizations;

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
    authorizations(&rows, pairs.len())
}
