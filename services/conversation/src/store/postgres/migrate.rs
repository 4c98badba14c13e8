use viberchat_kit::store::Migration;

/// Never changed once released; a new one is added at the end.
pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_conversations",
    sql: include_str!("../../../migrations/postgres/0001_conversations.sql"),
}];
