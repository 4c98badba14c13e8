//! Many rows at once, for tests of pages and of speed.

use viberchat_kit::id::UserId;

use super::SqliteStore;

impl SqliteStore {
    /// `count` groups with this one member, whose entries the log has. Each is a millisecond more active than the one
    /// before; every hundredth is pinned.
    pub(crate) async fn seed_groups(&self, user: &UserId, count: i64) {
        const STATEMENTS: [&str; 4] = [
            "INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, \
                                       updated_at_ms, version, member_count) \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
             SELECT randomblob(16), 2, 'Group of ' || ?1, '', '', i, i, 1, 1 FROM n",
            "INSERT INTO member (conversation_id, user_id, kind, role, from_version, joined_at_ms, pinned, list_at_ms) \
             SELECT conversation_id, ?1, 2, 3, 1, created_at_ms, created_at_ms % 100 = 0, created_at_ms \
             FROM conversation WHERE name = 'Group of ' || ?1 AND created_at_ms <= ?2 \
             ON CONFLICT DO NOTHING",
            "INSERT INTO member_span (conversation_id, user_id, from_version, from_seq) \
             SELECT conversation_id, user_id, 1, 1 FROM member WHERE user_id = ?1 AND ?2 ON CONFLICT DO NOTHING",
            "INSERT INTO conversation_activity (conversation_id, last_seq, last_at_ms) \
             SELECT conversation_id, 5, list_at_ms FROM member WHERE user_id = ?1 AND ?2 ON CONFLICT DO NOTHING",
        ];
        let mut write = self.begin().await.expect("the store answers");
        for statement in STATEMENTS {
            let query = sqlx::query(statement).bind(user.as_str()).bind(count);
            query.execute(write.connection()).await.expect("the rows are good");
        }
        write.commit().await.expect("the store answers");
    }
}
