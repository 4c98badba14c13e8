//! Rows and parameters ⇄ domain, the same for every engine: names of columns and numbers of kinds are.
//!
//! An engine says by [`Columns`] how its driver reads a value.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

mod authorization;
mod change;

pub(super) use authorization::authorizations;
pub(super) use change::{missed_change, readers, stored_change};

use super::{Block, OutboxEntry, StoreError};
use crate::domain::{
    Activity, Conversation, ConversationView, History, Kind, Member, MemberSettings, Membership, Metadata, OwnSide,
    Profile, Role, Standing,
};

/// Reads the columns of a row by name.
pub(super) trait Columns {
    /// Of any width.
    fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn optional_text(&self, column: &str) -> Result<Option<&str>, StoreError>;
    fn optional_bytes(&self, column: &str) -> Result<Option<&[u8]>, StoreError>;
    fn optional_conversation_id(&self, column: &str) -> Result<Option<ConversationId>, StoreError>;
    fn flag(&self, column: &str) -> Result<bool, StoreError>;

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        self.optional_integer(column)?.ok_or_else(|| missing(column))
    }

    fn text(&self, column: &str) -> Result<&str, StoreError> {
        self.optional_text(column)?.ok_or_else(|| missing(column))
    }

    fn bytes(&self, column: &str) -> Result<&[u8], StoreError> {
        self.optional_bytes(column)?.ok_or_else(|| missing(column))
    }
}

fn missing(column: &str) -> StoreError {
    StoreError::Corrupt(format!("{column} is null"))
}

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
            $crate::store::rows::conversation_columns!(),
            ", ",
            $crate::store::rows::settings_columns!(),
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

pub(super) fn conversation_view(row: &impl Columns) -> Result<ConversationView, StoreError> {
    let activity = match (optional_number(row, "last_seq")?, row.optional_integer("last_at_ms")?) {
        (Some(seq), Some(at)) => Some(Activity { seq, at: Timestamp::from_millis(at) }),
        _ => None,
    };
    let own = match row.optional_integer("role")? {
        None => None,
        Some(number) => Some(OwnSide {
            role: role_of(number)?,
            settings: settings(row)?,
            peer: row.optional_text("peer_user_id")?.map(user_of).transpose()?,
            peer_blocked: row.flag("peer_blocked")?,
        }),
    };
    let conversation = Conversation {
        id: conversation_id(row, "conversation_id")?,
        kind: kind(row, "kind")?,
        name: row.text("name")?.to_owned(),
        description: row.text("description")?.to_owned(),
        avatar_url: row.text("avatar_url")?.to_owned(),
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

pub(super) fn settings(row: &impl Columns) -> Result<MemberSettings, StoreError> {
    Ok(MemberSettings {
        pinned: row.flag("pinned")?,
        mute_until: row.optional_integer("mute_until_ms")?.map(Timestamp::from_millis),
        archived: row.flag("archived")?,
        nickname: row.text("nickname")?.to_owned(),
        cleared_seq: number(row, "cleared_seq")?,
    })
}

pub(super) fn member(row: &impl Columns) -> Result<Member, StoreError> {
    Ok(Member {
        user: user(row, "user_id")?,
        role: role(row, "role")?,
        joined_at: time(row, "joined_at_ms")?,
        from_version: number(row, "from_version")?,
        from_seq: optional_number(row, "from_seq")?,
    })
}

pub(super) fn membership(row: &impl Columns) -> Result<Membership, StoreError> {
    Ok(Membership {
        conversation: conversation_id(row, "conversation_id")?,
        kind: kind(row, "kind")?,
        role: role(row, "role")?,
        version: number(row, "version")?,
    })
}

pub(super) fn outbox_entry(row: &impl Columns) -> Result<OutboxEntry, StoreError> {
    Ok(OutboxEntry {
        version: number(row, "version")?,
        actor: user(row, "actor_user_id")?,
        entry: row.bytes("entry")?.to_vec(),
    })
}

pub(super) fn block(row: &impl Columns) -> Result<Block, StoreError> {
    Ok(Block { blocked: user(row, "blocked_user_id")?, at: time(row, "blocked_at_ms")? })
}

pub(super) fn profile(row: &impl Columns) -> Result<Profile, StoreError> {
    Ok(Profile {
        user: user(row, "user_id")?,
        username: row.text("username")?.to_owned(),
        display_name: row.text("display_name")?.to_owned(),
        avatar_url: row.text("avatar_url")?.to_owned(),
        email: row.text("email")?.to_owned(),
        deactivated: row.optional_integer("deactivated_at_ms")?.is_some(),
    })
}

/// Of the columns `known`, null for a user without a profile, and `deactivated_at_ms`.
pub(super) fn standing_of(row: &impl Columns) -> Result<Standing, StoreError> {
    let known = row.optional_text("known")?.is_some();
    let deactivated = row.optional_integer("deactivated_at_ms")?.is_some();
    Ok(match (known, deactivated) {
        (false, _) => Standing::Unknown,
        (true, false) => Standing::Active,
        (true, true) => Standing::Deactivated,
    })
}

pub(super) fn conversation_id(row: &impl Columns, column: &str) -> Result<ConversationId, StoreError> {
    row.optional_conversation_id(column)?.ok_or_else(|| missing(column))
}

pub(super) fn user(row: &impl Columns, column: &str) -> Result<UserId, StoreError> {
    user_of(row.text(column)?)
}

pub(super) fn user_of(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).map_err(|invalid| StoreError::Corrupt(format!("a user id {invalid}")))
}

pub(super) fn time(row: &impl Columns, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.integer(column)?))
}

pub(super) fn number(row: &impl Columns, column: &str) -> Result<u64, StoreError> {
    unsigned(row.integer(column)?, column)
}

pub(super) fn optional_number(row: &impl Columns, column: &str) -> Result<Option<u64>, StoreError> {
    row.optional_integer(column)?.map(|value| unsigned(value, column)).transpose()
}

pub(super) fn count(row: &impl Columns, column: &str) -> Result<u32, StoreError> {
    let value = row.integer(column)?;
    u32::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is {value}")))
}

fn unsigned(value: i64, column: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is {value}")))
}

pub(super) fn kind(row: &impl Columns, column: &str) -> Result<Kind, StoreError> {
    match row.integer(column)? {
        1 => Ok(Kind::Direct),
        2 => Ok(Kind::Group),
        other => Err(StoreError::Corrupt(format!("{column} is {other}"))),
    }
}

pub(super) fn history(row: &impl Columns, column: &str) -> Result<History, StoreError> {
    match row.integer(column)? {
        1 => Ok(History::Shared),
        2 => Ok(History::SinceJoining),
        other => Err(StoreError::Corrupt(format!("{column} is {other}"))),
    }
}

fn metadata(row: &impl Columns, column: &str) -> Result<Metadata, StoreError> {
    serde_json::from_str(row.text(column)?).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

pub(super) fn role(row: &impl Columns, column: &str) -> Result<Role, StoreError> {
    role_of(row.integer(column)?)
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
