//! The one direct of a pair.

use sqlx::SqliteConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};

use super::block::either_has_blocked;
use super::group::candidates;
use super::{SqliteStore, StoreError, Write, read};
use crate::domain::{ConversationView, DirectPair, Limits, Refusal, Viewer, check_candidate};
use crate::store::ChangeError;
use crate::store::rows::{bytes, conversation_id};

pub(super) struct NewDirect<'a> {
    pub(super) id: ConversationId,
    pub(super) pair: &'a DirectPair,
    pub(super) creator: &'a UserId,
    pub(super) now: Timestamp,
}

pub(super) async fn get_or_create(
    store: &SqliteStore,
    new: &NewDirect<'_>,
    limits: &Limits,
) -> Result<(ConversationView, bool), ChangeError> {
    // Nearly always it is there: no write then.
    let mut reader = store.readers.acquire().await?;
    let found = find(&mut reader, new.pair).await?;
    drop(reader);
    if let Some(id) = found {
        let views = read::conversations(&store.readers, &[id], &Viewer::User(new.creator.clone())).await?;
        return Ok((one(views.into_iter().next())?, false));
    }
    let mut write = store.begin().await?;
    let created = claim(&mut write, new).await?;
    let id = if created {
        create(&mut write, new, limits).await?;
        new.id
    } else {
        one(find(write.connection(), new.pair).await?)?
    };
    let view = one(read::view(write.connection(), id, new.creator).await?)?;
    if created {
        write.commit().await?;
    }
    Ok((view, created))
}

/// By primary key.
pub(super) const FIND: &str = "SELECT conversation_id FROM direct_pair WHERE user_low = ?1 AND user_high = ?2";

async fn find(connection: &mut SqliteConnection, pair: &DirectPair) -> Result<Option<ConversationId>, StoreError> {
    let row = sqlx::query(FIND).bind(pair.low().as_str()).bind(pair.high().as_str()).fetch_optional(connection).await?;
    row.map(|row| conversation_id(&row, "conversation_id")).transpose()
}

/// Takes the pair for the new id; `false`: it is taken. The row decides, not what was read before.
async fn claim(write: &mut Write, new: &NewDirect<'_>) -> Result<bool, StoreError> {
    let insert = if fault::mutant("direct_pair_not_unique") {
        "INSERT OR REPLACE INTO direct_pair (user_low, user_high, conversation_id) VALUES (?1, ?2, ?3)"
    } else {
        "INSERT INTO direct_pair (user_low, user_high, conversation_id) VALUES (?1, ?2, ?3) \
         ON CONFLICT (user_low, user_high) DO NOTHING"
    };
    let result = sqlx::query(insert)
        .bind(new.pair.low().as_str())
        .bind(new.pair.high().as_str())
        .bind(bytes(&new.id))
        .execute(write.connection())
        .await?;
    Ok(result.rows_affected() > 0)
}

async fn create(write: &mut Write, new: &NewDirect<'_>, limits: &Limits) -> Result<(), ChangeError> {
    let both = [new.pair.low(), new.pair.high()];
    let users = if new.pair.is_with_oneself() { &both[..1] } else { &both[..] };
    for (user, candidate) in candidates(write.connection(), users, limits).await? {
        check_candidate(&user, candidate, limits)?;
    }
    if either_has_blocked(write.connection(), new.pair).await? {
        return Err(Refusal::Blocked.into());
    }
    sqlx::query(
        "INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, \
                                   updated_at_ms, version, member_count) \
         VALUES (?1, 1, '', '', '', ?2, ?2, 0, ?3)",
    )
    .bind(bytes(&new.id))
    .bind(new.now.millis())
    .bind(i64::try_from(users.len()).expect("one or two"))
    .execute(write.connection())
    .await?;
    for user in users {
        insert_member(write.connection(), new, user).await?;
    }
    sqlx::query(
        "INSERT INTO membership_change (conversation_id, kind, version, user_id, at_ms) VALUES (?1, 2, 0, ?2, ?3)",
    )
    .bind(bytes(&new.id))
    .bind(new.creator.as_str())
    .bind(new.now.millis())
    .execute(write.connection())
    .await?;
    Ok(())
}

async fn insert_member(
    connection: &mut SqliteConnection,
    new: &NewDirect<'_>,
    user: &UserId,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO member (conversation_id, user_id, kind, role, from_version, joined_at_ms, listed, list_at_ms, \
                             peer_user_id) \
         VALUES (?1, ?2, 1, 1, 0, ?3, ?4, ?3, ?5)",
    )
    .bind(bytes(&new.id))
    .bind(user.as_str())
    .bind(new.now.millis())
    .bind(user == new.creator)
    .bind(new.pair.peer_of(user).as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO member_span (conversation_id, user_id, from_version, from_seq) VALUES (?1, ?2, 0, 0)")
        .bind(bytes(&new.id))
        .bind(user.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

fn one<T>(found: Option<T>) -> Result<T, StoreError> {
    found.ok_or_else(|| StoreError::Corrupt("a pair of users without its conversation".to_owned()))
}
