//! The one direct of a pair.

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::store::postgres::{Attempt, Write};

use super::block::either_has_blocked;
use super::group::candidates;
use super::rows::{texts, uuid};
use super::{StoreError, lock, read};
use crate::domain::{ConversationView, DirectPair, Limits, Refusal, Viewer, check_candidate};
use crate::store::ChangeError;
use crate::store::rows::conversation_id;

pub(super) struct NewDirect<'a> {
    pub(super) id: ConversationId,
    pub(super) pair: &'a DirectPair,
    pub(super) creator: &'a UserId,
    pub(super) now: Timestamp,
}

pub(super) async fn get_or_create(
    attempt: &Attempt,
    new: &NewDirect<'_>,
    limits: &Limits,
) -> Result<(ConversationView, bool), ChangeError> {
    // Nearly always it is there: no write then.
    let mut reader = attempt.connection().await?;
    let found = find(&mut reader, new.pair).await?;
    drop(reader);
    if let Some(id) = found {
        let views = read::conversations(attempt, &[id], &Viewer::User(new.creator.clone())).await?;
        return Ok((one(views.into_iter().next())?, false));
    }
    let mut write = attempt.begin().await?;
    let created = claim(&mut write, new).await?;
    let id = if created {
        create(&mut write, new, limits).await?;
        new.id
    } else {
        one(find(write.connection(), new.pair).await?)?
    };
    let view = one(read::view(write.connection(), id, new.creator).await?)?;
    if created {
        write.commit::<ChangeError>().await?;
    }
    Ok((view, created))
}

/// By primary key.
pub(super) const FIND: &str = "SELECT conversation_id FROM direct_pair WHERE user_low = $1 AND user_high = $2";

async fn find(connection: &mut PgConnection, pair: &DirectPair) -> Result<Option<ConversationId>, StoreError> {
    let row = sqlx::query(FIND).bind(pair.low().as_str()).bind(pair.high().as_str()).fetch_optional(connection).await?;
    row.map(|row| conversation_id(&row, "conversation_id")).transpose()
}

/// Takes the pair for the new id; `false`: it is taken. The row decides, not what was read before. Both users are locked
/// first: nobody blocks, and neither gets another direct, between what the rules look at and the commit.
async fn claim(write: &mut Write, new: &NewDirect<'_>) -> Result<bool, StoreError> {
    lock::users(write.connection(), [new.pair.low(), new.pair.high()]).await?;
    let insert = if fault::mutant("direct_pair_not_unique") {
        "INSERT INTO direct_pair (user_low, user_high, conversation_id) VALUES ($1, $2, $3) \
         ON CONFLICT (user_low, user_high) DO UPDATE SET conversation_id = excluded.conversation_id"
    } else {
        "INSERT INTO direct_pair (user_low, user_high, conversation_id) VALUES ($1, $2, $3) \
         ON CONFLICT (user_low, user_high) DO NOTHING"
    };
    let result = sqlx::query(insert)
        .bind(new.pair.low().as_str())
        .bind(new.pair.high().as_str())
        .bind(uuid(&new.id))
        .execute(write.connection())
        .await?;
    Ok(result.rows_affected() > 0)
}

/// All rows of a new direct.
const CREATE: &str = "WITH created AS ( \
        INSERT INTO conversation (conversation_id, kind, name, description, avatar_url, created_at_ms, updated_at_ms, \
                                  version, member_count) \
        VALUES ($1, 1, '', '', '', $2, $2, 0, cardinality($3::text[]))), \
     joined AS ( \
        INSERT INTO member (conversation_id, user_id, kind, role, from_version, joined_at_ms, listed, list_at_ms, \
                            peer_user_id) \
        SELECT $1, n.user_id, 1, 1, 0, $2, n.user_id = $5, $2, n.peer_user_id \
        FROM unnest($3::text[], $4::text[]) AS n (user_id, peer_user_id)), \
     stays AS ( \
        INSERT INTO member_span (conversation_id, user_id, from_version, from_seq) \
        SELECT $1, n.user_id, 0, 0 FROM unnest($3::text[]) AS n (user_id)) \
     INSERT INTO pending_change (conversation_id, kind, version, user_id, at_ms) VALUES ($1, 2, 0, $5, $2)";

async fn create(write: &mut Write, new: &NewDirect<'_>, limits: &Limits) -> Result<(), ChangeError> {
    let both = [new.pair.low(), new.pair.high()];
    let users = if new.pair.is_with_oneself() { &both[..1] } else { &both[..] };
    for (user, candidate) in candidates(write.connection(), users, limits).await? {
        check_candidate(&user, candidate, limits)?;
    }
    if either_has_blocked(write.connection(), new.pair).await? {
        return Err(Refusal::Blocked.into());
    }
    sqlx::query(CREATE)
        .bind(uuid(&new.id))
        .bind(new.now.millis())
        .bind(texts(users.iter().copied()))
        .bind(texts(users.iter().map(|user| new.pair.peer_of(user))))
        .bind(new.creator.as_str())
        .execute(write.connection())
        .await?;
    Ok(())
}

fn one<T>(found: Option<T>) -> Result<T, StoreError> {
    found.ok_or_else(|| StoreError::Corrupt("a pair of users without its conversation".to_owned()))
}
