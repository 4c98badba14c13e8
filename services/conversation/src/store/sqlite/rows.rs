//! Rows and parameters ⇄ domain.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use crate::domain::{
    Activity, Conversation, ConversationView, History, Kind, Member, MemberSettings, Metadata, OwnSide, Role,
};

/// What [`conversation_view`] reads of `conversation c` and its `conversation_activity a`.
macro_rules! conversation_columns {
    () => {
        "c.conversation_id, c.kind, c.name, c.description, c.avatar_url, c.created_at_ms, c.updated_at_ms, c.version, \
         c.member_count, c.history, c.metadata, a.last_seq, a.last_at_ms"
    };
}
pub(super) use conversation_columns;

/// What [`settings`] reads of `member m`.
macro_rules! settings_columns {
    () => {
        "m.pinned, m.mute_until_ms, m.archived, m.nickname, m.cleared_seq"
    };
}
pub(super) use settings_columns;

/// What [`conversation_view`] reads with the viewer's `member m`.
macro_rules! view_columns {
    () => {
        concat!(
            $crate::store::sqlite::rows::conversation_columns!(),
            ", ",
            $crate::store::sqlite::rows::settings_columns!(),
            ", m.role, m.peer_user_id, \
             EXISTS (SELECT 1 FROM block b WHERE b.user_id = m.user_id AND b.blocked_user_id = m.peer_user_id) \
             AS peer_blocked"
        )
    };
}
pub(super) use view_columns;

/// What [`member`] reads, of `member m` and its open `member_span s`.
macro_rules! member_columns {
    () => {
        "m.user_id, m.role, m.joined_at_ms, m.from_version, s.from_seq"
    };
}
pub(super) use member_columns;

pub(super) fn conversation_view(row: &SqliteRow) -> Result<ConversationView, StoreError> {
    let activity = match (optional_number(row, "last_seq")?, row.try_get::<Option<i64>, _>("last_at_ms")?) {
        (Some(seq), Some(at)) => Some(Activity { seq, at: Timestamp::from_millis(at) }),
        _ => None,
    };
    let own = match row.try_get::<Option<i64>, _>("role")? {
        None => None,
        Some(number) => Some(OwnSide {
            role: role_of(number)?,
            settings: settings(row)?,
            peer: row.try_get::<Option<&str>, _>("peer_user_id")?.map(user_of).transpose()?,
            peer_blocked: row.try_get("peer_blocked")?,
        }),
    };
    let conversation = Conversation {
        id: conversation_id(row, "conversation_id")?,
        kind: kind(row, "kind")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        avatar_url: row.try_get("avatar_url")?,
        created_at: time(row, "created_at_ms")?,
        updated_at: time(row, "updated_at_ms")?,
        version: number(row, "version")?,
        member_count: count(row, "member_count")?,
        history: history(row, "history")?,
        metadata: metadata(row, "metadata")?,
        activity,
    };
    Ok(ConversationView { conversation, own })
}

pub(super) fn settings(row: &SqliteRow) -> Result<MemberSettings, StoreError> {
    Ok(MemberSettings {
        pinned: row.try_get("pinned")?,
        mute_until: row.try_get::<Option<i64>, _>("mute_until_ms")?.map(Timestamp::from_millis),
        archived: row.try_get("archived")?,
        nickname: row.try_get("nickname")?,
        cleared_seq: number(row, "cleared_seq")?,
    })
}

pub(super) fn member(row: &SqliteRow) -> Result<Member, StoreError> {
    Ok(Member {
        user: user(row, "user_id")?,
        role: role(row, "role")?,
        joined_at: time(row, "joined_at_ms")?,
        from_version: number(row, "from_version")?,
        from_seq: optional_number(row, "from_seq")?,
    })
}

pub(super) fn conversation_id(row: &SqliteRow, column: &str) -> Result<ConversationId, StoreError> {
    let bytes = row.try_get::<&[u8], _>(column)?;
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt(format!("{column} has {} bytes", bytes.len())))?;
    Ok(ConversationId::from_bytes(bytes))
}

pub(super) fn user(row: &SqliteRow, column: &str) -> Result<UserId, StoreError> {
    user_of(row.try_get(column)?)
}

pub(super) fn user_of(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).map_err(|invalid| StoreError::Corrupt(format!("a user id {invalid}")))
}

pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    unsigned(row.try_get(column)?, column)
}

pub(super) fn optional_number(row: &SqliteRow, column: &str) -> Result<Option<u64>, StoreError> {
    row.try_get::<Option<i64>, _>(column)?.map(|value| unsigned(value, column)).transpose()
}

pub(super) fn count(row: &SqliteRow, column: &str) -> Result<u32, StoreError> {
    let value: i64 = row.try_get(column)?;
    u32::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is {value}")))
}

fn unsigned(value: i64, column: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is {value}")))
}

pub(super) fn kind(row: &SqliteRow, column: &str) -> Result<Kind, StoreError> {
    match row.try_get(column)? {
        1_i64 => Ok(Kind::Direct),
        2 => Ok(Kind::Group),
        other => Err(StoreError::Corrupt(format!("{column} is {other}"))),
    }
}

pub(super) fn history(row: &SqliteRow, column: &str) -> Result<History, StoreError> {
    match row.try_get(column)? {
        1_i64 => Ok(History::Shared),
        2 => Ok(History::SinceJoining),
        other => Err(StoreError::Corrupt(format!("{column} is {other}"))),
    }
}

fn metadata(row: &SqliteRow, column: &str) -> Result<Metadata, StoreError> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

pub(super) fn role(row: &SqliteRow, column: &str) -> Result<Role, StoreError> {
    role_of(row.try_get(column)?)
}

pub(super) fn role_of(number: i64) -> Result<Role, StoreError> {
    match number {
        1 => Ok(Role::Member),
        2 => Ok(Role::Admin),
        3 => Ok(Role::Owner),
        other => Err(StoreError::Corrupt(format!("a role is {other}"))),
    }
}

pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Direct => 1,
        Kind::Group => 2,
    }
}

pub(super) fn role_number(role: Role) -> i64 {
    match role {
        Role::Member => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

pub(super) fn history_number(history: History) -> i64 {
    match history {
        History::Shared => 1,
        History::SinceJoining => 2,
    }
}

/// A seq, a version or a change id as a parameter. None comes near 2^63.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn limit(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// An id as a parameter.
pub(super) fn bytes(id: &ConversationId) -> &[u8] {
    id.as_bytes()
}

/// Many values as one parameter, for `json_each`.
pub(super) fn json(values: &impl serde::Serialize) -> String {
    serde_json::to_string(values).expect("text and numbers are valid JSON")
}

/// The ids as hexadecimal text, for `unhex(value)` of `json_each`.
pub(super) fn json_ids(ids: &[ConversationId]) -> String {
    json(&ids.iter().map(hex).collect::<Vec<_>>())
}

/// For `unhex`.
pub(super) fn hex(id: &ConversationId) -> String {
    id.to_string().replace('-', "")
}
