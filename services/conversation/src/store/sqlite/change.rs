//! Changes of a group: load what the rules look at, let them decide, do it.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::group::{Kept, candidates, insert_members, keep, owner_count};
use super::inherit::active_members;
use super::rows::{
    bytes, count, history_number, json, kind, member, member_columns, number, role_number, signed, time,
};
use super::{SqliteStore, StoreError, read, request};
use crate::domain::{
    Decision, Effects, GroupChange, GroupState, Limits, Member, Refusal, Removal, Role, Subject, decide,
    leaves_ownerless, sort_key,
};
use crate::store::{Applied, ChangeError, Encode, Executed, RequestKey};

pub(super) struct Asked<'a> {
    pub(super) conversation: ConversationId,
    pub(super) change: &'a GroupChange,
    pub(super) request: &'a RequestKey,
    pub(super) now: Timestamp,
}

pub(super) async fn change(
    store: &SqliteStore,
    asked: &Asked<'_>,
    limits: &Limits,
    encode: impl Encode,
) -> Result<Executed, ChangeError> {
    let mut write = store.begin().await?;
    let connection = write.connection();
    if let Some(executed) = request::find(connection, asked.request, asked.now).await? {
        return Ok(executed);
    }
    let state = load(connection, asked, limits).await?;
    let (version, entry) = match decide(asked.change, &state, limits)? {
        Decision::Unchanged => (state.version, None),
        Decision::Apply(effects) => {
            let version = state.version + 1;
            apply(connection, asked, &state, &effects, version).await?;
            (version, Some(effects.entry))
        }
    };
    let view = read::view(connection, asked.conversation, &asked.request.caller).await?;
    let member = match asked.change {
        GroupChange::SetRole { user, .. } => one_member(connection, asked.conversation, user).await?,
        _ => None,
    };
    let encoded = encode(&Applied { view, member, entry });
    let kept = Kept { conversation: asked.conversation, version, now: asked.now };
    let executed = keep(connection, &kept, asked.request, encoded).await?;
    write.commit().await?;
    Ok(executed)
}

async fn load(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    limits: &Limits,
) -> Result<GroupState, ChangeError> {
    let id = asked.conversation;
    let row =
        sqlx::query("SELECT kind, version, updated_at_ms, member_count FROM conversation WHERE conversation_id = ?1")
            .bind(bytes(&id))
            .fetch_optional(&mut *connection)
            .await?
            .ok_or(Refusal::ConversationNotFound)?;
    let actor = one_member(connection, id, &asked.request.caller).await?.ok_or(Refusal::ConversationNotFound)?;
    // Only owners can leave a group without one.
    let owner_count = if actor.role == Role::Owner { owner_count(connection, id).await? } else { 0 };
    let must_inherit = matches!(asked.change, GroupChange::Leave) && leaves_ownerless(actor.role, owner_count);
    let heirs = if must_inherit { others(connection, id, &actor.user).await? } else { Vec::new() };
    Ok(GroupState {
        kind: kind(&row, "kind")?,
        version: number(&row, "version")?,
        updated_at: time(&row, "updated_at_ms")?,
        member_count: count(&row, "member_count")?,
        owner_count,
        subjects: subjects(connection, asked, limits).await?,
        actor,
        heirs,
    })
}

async fn one_member(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    user: &UserId,
) -> Result<Option<Member>, StoreError> {
    let found = members_among(connection, conversation, &[user]).await?;
    Ok(found.into_iter().next())
}

async fn others(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    but: &UserId,
) -> Result<Vec<Member>, StoreError> {
    let members = active_members(connection, conversation).await?;
    Ok(members.into_iter().filter(|member| &member.user != but).collect())
}

async fn subjects(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    limits: &Limits,
) -> Result<BTreeMap<UserId, Subject>, StoreError> {
    let users = asked.change.subjects();
    let mut subjects: BTreeMap<_, _> = users.iter().map(|user| ((*user).clone(), Subject::default())).collect();
    if subjects.is_empty() {
        return Ok(subjects);
    }
    for member in members_among(connection, asked.conversation, &users).await? {
        let user = member.user.clone();
        subjects.entry(user).or_default().member = Some(member);
    }
    if matches!(asked.change, GroupChange::AddMembers(_)) {
        for (user, candidate) in candidates(connection, &users, limits).await? {
            subjects.entry(user).or_default().candidate = candidate;
        }
    }
    Ok(subjects)
}

async fn members_among(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    users: &[&UserId],
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        member_columns!(),
        " FROM json_each(?2) j \
         JOIN member m ON m.conversation_id = ?1 AND m.user_id = j.value \
         JOIN member_span s \
            ON s.conversation_id = m.conversation_id AND s.user_id = m.user_id AND s.from_version = m.from_version"
    ))
    .bind(bytes(&conversation))
    .bind(json(&users))
    .fetch_all(connection)
    .await?;
    rows.iter().map(member).collect()
}

async fn apply(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    state: &GroupState,
    effects: &Effects,
    version: u64,
) -> Result<(), StoreError> {
    let id = asked.conversation;
    update_conversation(connection, asked, state, effects, version).await?;
    if !effects.added.is_empty() {
        insert_members(connection, id, version, &effects.added, asked.now).await?;
    }
    match &effects.removed {
        Removal::Nobody => {}
        Removal::One(user, _) => remove_members(connection, asked, Some(user), version).await?,
        Removal::Everybody => remove_members(connection, asked, None, version).await?,
    }
    for (user, role) in &effects.roles {
        sqlx::query("UPDATE member SET role = ?3 WHERE conversation_id = ?1 AND user_id = ?2")
            .bind(bytes(&id))
            .bind(user.as_str())
            .bind(role_number(*role))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("INSERT INTO membership_change (conversation_id, kind, version, at_ms) VALUES (?1, 3, ?2, ?3)")
        .bind(bytes(&id))
        .bind(signed(version))
        .bind(asked.now.millis())
        .execute(connection)
        .await?;
    Ok(())
}

async fn update_conversation(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    state: &GroupState,
    effects: &Effects,
    version: u64,
) -> Result<(), StoreError> {
    let added = u32::try_from(effects.added.len()).unwrap_or(u32::MAX);
    let removed = match &effects.removed {
        Removal::Nobody => 0,
        Removal::One(..) => 1,
        Removal::Everybody => state.member_count,
    };
    let member_count = state.member_count.saturating_add(added).saturating_sub(removed);
    let update = effects.update.clone().unwrap_or_default();
    let deleted_at = (effects.removed == Removal::Everybody).then(|| asked.now.millis());
    sqlx::query(
        "UPDATE conversation SET version = ?2, updated_at_ms = ?3, member_count = ?4, name = coalesce(?5, name), \
                                 name_key = coalesce(?6, name_key), description = coalesce(?7, description), \
                                 avatar_url = coalesce(?8, avatar_url), history = coalesce(?9, history), \
                                 metadata = coalesce(?10, metadata), deleted_at_ms = ?11 \
         WHERE conversation_id = ?1",
    )
    .bind(bytes(&asked.conversation))
    .bind(signed(version))
    .bind(asked.now.millis())
    .bind(i64::from(member_count))
    .bind(&update.name)
    .bind(update.name.as_deref().map(sort_key))
    .bind(update.description)
    .bind(update.avatar_url)
    .bind(update.history.map(history_number))
    .bind(update.metadata.as_ref().map(json))
    .bind(deleted_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// One, or everybody, in the order in which it has to happen: each statement reads what the last one takes away.
async fn remove_members(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    user: Option<&UserId>,
    version: u64,
) -> Result<(), StoreError> {
    const STATEMENTS: [&str; 3] = [
        "UPDATE member_span SET to_version = ?3, cleared_seq = \
            (SELECT m.cleared_seq FROM member m \
             WHERE m.conversation_id = member_span.conversation_id AND m.user_id = member_span.user_id) \
         WHERE conversation_id = ?1 AND (?2 IS NULL OR user_id = ?2) AND to_version IS NULL AND ?4 IS NOT NULL",
        "INSERT INTO membership_change (conversation_id, kind, version, user_id, role, at_ms) \
         SELECT conversation_id, 5, ?3, user_id, role, ?4 FROM member \
         WHERE conversation_id = ?1 AND (?2 IS NULL OR user_id = ?2)",
        "DELETE FROM member WHERE conversation_id = ?1 AND (?2 IS NULL OR user_id = ?2) \
            AND ?3 IS NOT NULL AND ?4 IS NOT NULL",
    ];
    for statement in STATEMENTS {
        sqlx::query(statement)
            .bind(bytes(&asked.conversation))
            .bind(user.map(UserId::as_str))
            .bind(signed(version))
            .bind(asked.now.millis())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
