//! New groups, and the rows that a change of members makes.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::rows::{bytes, count, history_number, json, role_number, signed, user};
use super::user::standing_of;
use super::{SqliteStore, StoreError, read, request};
use crate::domain::{Candidate, Limits, NewGroup, Role, SystemEntry, decide_creation, sort_key};
use crate::store::{Applied, ChangeError, Encode, EntryRef, Executed, RequestKey};

/// The version that creation makes.
const FIRST_VERSION: u64 = 1;

pub(super) async fn create(
    store: &SqliteStore,
    group: &NewGroup,
    asked: &RequestKey,
    limits: &Limits,
    now: Timestamp,
    encode: impl Encode,
) -> Result<Executed, ChangeError> {
    let mut write = store.begin().await?;
    let connection = write.connection();
    if let Some(executed) = request::find(connection, asked, now).await? {
        return Ok(executed);
    }
    let users: Vec<_> = group.members.iter().chain([&group.creator]).collect();
    let candidates = candidates(connection, &users, limits).await?;
    let members = decide_creation(group, &candidates, limits)?;
    insert_conversation(connection, group, members.len(), now).await?;
    insert_members(connection, group.id, FIRST_VERSION, &members, now).await?;
    let view = read::view(connection, group.id, &group.creator).await?;
    let entry = SystemEntry::Created { name: group.name.clone(), members, history: group.history };
    let applied = Applied { view, member: None, entry: Some(entry) };
    let executed =
        keep(connection, &Kept { conversation: group.id, version: FIRST_VERSION, now }, asked, encode(&applied))
            .await?;
    write.commit().await?;
    Ok(executed)
}

/// Where a change stands.
pub(super) struct Kept {
    pub(super) conversation: ConversationId,
    pub(super) version: u64,
    pub(super) now: Timestamp,
}

/// Keeps the entry for the relay and the answer for those who ask again.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    kept: &Kept,
    asked: &RequestKey,
    encoded: crate::store::Encoded,
) -> Result<Executed, StoreError> {
    let mut entry = None;
    if let Some(body) = &encoded.entry {
        insert_outbox(connection, kept, &asked.caller, body).await?;
        entry = Some(EntryRef { conversation: kept.conversation, version: kept.version, seq: None });
    }
    request::insert(connection, asked, &encoded.response, entry.as_ref()).await?;
    Ok(Executed { response: encoded.response, entry, replayed: false })
}

/// Keeps the entry for the relay.
pub(super) async fn insert_outbox(
    connection: &mut SqliteConnection,
    kept: &Kept,
    actor: &UserId,
    body: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO outbox (conversation_id, version, actor_user_id, entry, created_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(bytes(&kept.conversation))
    .bind(signed(kept.version))
    .bind(actor.as_str())
    .bind(body)
    .bind(kept.now.millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// What the rules have to know of those who get a conversation more.
pub(super) async fn candidates(
    connection: &mut SqliteConnection,
    users: &[&UserId],
    limits: &Limits,
) -> Result<BTreeMap<UserId, Candidate>, StoreError> {
    let rows = sqlx::query(
        "SELECT json_each.value AS user_id, p.user_id AS known, p.deactivated_at_ms, \
                (SELECT count(*) FROM (SELECT 1 FROM member INDEXED BY member_by_archived_list \
                                       WHERE user_id = json_each.value AND listed = 1 LIMIT ?2)) AS conversation_count \
         FROM json_each(?1) LEFT JOIN user_profile p ON p.user_id = json_each.value",
    )
    .bind(json(&users))
    .bind(i64::from(limits.user_conversations_max))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let conversation_count = count(row, "conversation_count")?;
            Ok((user(row, "user_id")?, Candidate { standing: standing_of(row)?, conversation_count }))
        })
        .collect()
}

async fn insert_conversation(
    connection: &mut SqliteConnection,
    group: &NewGroup,
    member_count: usize,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, \
                                   updated_at_ms, version, member_count, name_key, history, metadata) \
         VALUES (?1, 2, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(bytes(&group.id))
    .bind(&group.name)
    .bind(&group.description)
    .bind(&group.avatar_url)
    .bind(now.millis())
    .bind(signed(FIRST_VERSION))
    .bind(i64::try_from(member_count).expect("within the limit"))
    .bind(sort_key(&group.name))
    .bind(history_number(group.history))
    .bind(json(&group.metadata))
    .execute(connection)
    .await?;
    Ok(())
}

/// Members of a group, from this version on. They may read once the log has its entry.
pub(super) async fn insert_members(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    version: u64,
    members: &[(UserId, Role)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let members = json(&members.iter().map(|(user, role)| (user, role_number(*role))).collect::<Vec<_>>());
    sqlx::query(
        "INSERT INTO member (conversation_id, user_id, kind, role, from_version, joined_at_ms, list_at_ms, cleared_seq) \
         SELECT ?1, value ->> 0, 2, value ->> 1, ?3, ?4, ?4, \
                coalesce((SELECT max(s.cleared_seq) FROM member_span s \
                          WHERE s.conversation_id = ?1 AND s.user_id = value ->> 0), 0) \
         FROM json_each(?2)",
    )
    .bind(bytes(&conversation))
    .bind(&members)
    .bind(signed(version))
    .bind(now.millis())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO member_span (conversation_id, user_id, from_version) \
         SELECT ?1, value ->> 0, ?3 FROM json_each(?2)",
    )
    .bind(bytes(&conversation))
    .bind(&members)
    .bind(signed(version))
    .execute(connection)
    .await?;
    Ok(())
}

/// How many owners a group has who are not deactivated.
pub(super) async fn owner_count(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
) -> Result<u32, StoreError> {
    let row = sqlx::query(
        "SELECT count(*) AS owners FROM member m LEFT JOIN user_profile p ON p.user_id = m.user_id \
         WHERE m.conversation_id = ?1 AND m.role = 3 AND p.deactivated_at_ms IS NULL",
    )
    .bind(bytes(&conversation))
    .fetch_one(connection)
    .await?;
    let owners: i64 = row.try_get("owners")?;
    Ok(u32::try_from(owners).unwrap_or(u32::MAX))
}
