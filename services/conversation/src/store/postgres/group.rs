//! New groups, and the rows that a change of members makes.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::Attempt;

use super::rows::{texts, uuid};
use super::{StoreError, read, request};
use crate::domain::{Candidate, Limits, NewGroup, Role, SystemEntry, decide_creation, sort_key};
use crate::store::rows::{count, history_number, role_number, signed, standing_of, user};
use crate::store::{Applied, ChangeError, Encode, EntryRef, Executed, RequestKey};

/// The version that creation makes.
const FIRST_VERSION: u64 = 1;

pub(super) async fn create(
    attempt: &Attempt,
    group: &NewGroup,
    asked: &RequestKey,
    limits: &Limits,
    now: Timestamp,
    encode: &impl Encode,
) -> Result<Executed, ChangeError> {
    let mut write = attempt.begin().await?;
    let connection = write.connection();
    let users: Vec<_> = group.members.iter().chain([&group.creator]).collect();
    let candidates = candidates(connection, &users, limits).await?;
    // After what the rules look at was read: what a call with the same id has taken up is no reason to refuse this one.
    if let Some(executed) = request::find(connection, asked, now).await? {
        return Ok(executed);
    }
    let members = decide_creation(group, &candidates, limits)?;
    insert_conversation(connection, group, members.len(), now).await?;
    insert_members(connection, group.id, FIRST_VERSION, &members, now).await?;
    let view = read::view(connection, group.id, &group.creator).await?;
    let entry = SystemEntry::Created { name: group.name.clone(), members, history: group.history };
    let applied = Applied { view, member: None, entry: Some(entry) };
    let kept = Kept { conversation: group.id, version: FIRST_VERSION, now };
    let executed = keep(connection, &kept, asked, encode(&applied)).await?;
    write.commit::<ChangeError>().await?;
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
    connection: &mut PgConnection,
    kept: &Kept,
    asked: &RequestKey,
    encoded: crate::store::Encoded,
) -> Result<Executed, StoreError> {
    let mut entry = None;
    if let Some(body) = &encoded.entry {
        insert_outbox(connection, kept, &asked.caller, body).await?;
        entry = Some(EntryRef { conversation: kept.conversation, version: kept.version, seq: None });
    }
    request::insert(connection, asked, &encoded.response, entry.as_ref(), kept.now).await?;
    Ok(Executed { response: encoded.response, entry, replayed: false })
}

/// Keeps the entry for the relay.
pub(super) async fn insert_outbox(
    connection: &mut PgConnection,
    kept: &Kept,
    actor: &UserId,
    body: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO outbox (conversation_id, version, actor_user_id, entry, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(uuid(&kept.conversation))
    .bind(signed(kept.version))
    .bind(actor.as_str())
    .bind(body)
    .bind(kept.now.millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// What the rules have to know of those who get a conversation more. Groups that are made or grow at the same moment may
/// pass a user's limit by as many as there are: nobody locks hundreds of users for it.
pub(super) async fn candidates(
    connection: &mut PgConnection,
    users: &[&UserId],
    limits: &Limits,
) -> Result<BTreeMap<UserId, Candidate>, StoreError> {
    let rows = sqlx::query(
        "SELECT asked.user_id, p.user_id AS known, p.deactivated_at_ms, \
                (SELECT count(*) FROM (SELECT 1 FROM member m WHERE m.user_id = asked.user_id AND m.listed LIMIT $2) \
                    counted) AS conversation_count \
         FROM unnest($1::text[]) AS asked (user_id) LEFT JOIN user_profile p ON p.user_id = asked.user_id",
    )
    .bind(texts(users.iter().copied()))
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
    connection: &mut PgConnection,
    group: &NewGroup,
    member_count: usize,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, \
                                   updated_at_ms, version, member_count, name_key, history, metadata) \
         VALUES ($1, 2, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)",
    )
    .bind(uuid(&group.id))
    .bind(&group.name)
    .bind(&group.description)
    .bind(&group.avatar_url)
    .bind(now.millis())
    .bind(signed(FIRST_VERSION))
    .bind(i64::try_from(member_count).expect("within the limit"))
    .bind(sort_key(&group.name))
    .bind(history_number(group.history))
    .bind(serde_json::to_string(&group.metadata).expect("texts are valid JSON"))
    .execute(connection)
    .await?;
    Ok(())
}

/// Members of a group, from this version on. They may read once the log has its entry.
pub(super) async fn insert_members(
    connection: &mut PgConnection,
    conversation: ConversationId,
    version: u64,
    members: &[(UserId, Role)],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "WITH joined AS ( \
            INSERT INTO member (conversation_id, user_id, kind, role, from_version, joined_at_ms, list_at_ms, cleared_seq) \
            SELECT $1, n.user_id, 2, n.role, $4, $5, $5, \
                   coalesce((SELECT max(s.cleared_seq) FROM member_span s \
                             WHERE s.conversation_id = $1 AND s.user_id = n.user_id), 0) \
            FROM unnest($2::text[], $3::bigint[]) AS n (user_id, role)) \
         INSERT INTO member_span (conversation_id, user_id, from_version) \
         SELECT $1, n.user_id, $4 FROM unnest($2::text[]) AS n (user_id)",
    )
    .bind(uuid(&conversation))
    .bind(texts(members.iter().map(|(user, _)| user)))
    .bind(members.iter().map(|(_, role)| role_number(*role)).collect::<Vec<_>>())
    .bind(signed(version))
    .bind(now.millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// How many owners a group has who are not deactivated.
pub(super) async fn owner_count(
    connection: &mut PgConnection,
    conversation: ConversationId,
) -> Result<u32, StoreError> {
    let row = sqlx::query(
        "SELECT count(*) AS owners FROM member m LEFT JOIN user_profile p ON p.user_id = m.user_id \
         WHERE m.conversation_id = $1 AND m.role = 3 AND p.deactivated_at_ms IS NULL",
    )
    .bind(uuid(&conversation))
    .fetch_one(connection)
    .await?;
    count(&row, "owners")
}
