//! The directory of users.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, SqliteConnection};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;

use super::inherit::inherit;
use super::rows::{json, limit, user};
use super::{SqliteStore, StoreError};
use crate::domain::{Limits, Profile, SHORT_PREFIX_CHARS_MAX, Standing, check_standing, search_words, short_prefixes};
use crate::store::{ChangeError, EncodeEntry};

pub(super) async fn upsert(
    store: &SqliteStore,
    profiles: &[Profile],
    now: Timestamp,
    encode: impl EncodeEntry,
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    for profile in profiles {
        let before = standing(write.connection(), &profile.user).await?;
        let sort_key = profile.sort_key();
        sqlx::query(
            "INSERT INTO user_profile (user_id, username, display_name, avatar_url, sort_key, email) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name, \
                                                 avatar_url = excluded.avatar_url, sort_key = excluded.sort_key, \
                                                 email = excluded.email, deactivated_at_ms = NULL",
        )
        .bind(profile.user.as_str())
        .bind(&profile.username)
        .bind(&profile.display_name)
        .bind(&profile.avatar_url)
        .bind(&sort_key)
        .bind(&profile.email)
        .execute(write.connection())
        .await?;
        index(write.connection(), profile, &sort_key).await?;
        if before == Standing::Deactivated {
            tell(write.connection(), &profile.user, Told::Added, now).await?;
            inherit(write.connection(), &profile.user, now, &encode).await?;
        }
    }
    write.commit().await
}

pub(super) async fn deactivate(
    store: &SqliteStore,
    user: &UserId,
    limits: &Limits,
    now: Timestamp,
    encode: impl EncodeEntry,
) -> Result<bool, ChangeError> {
    let mut write = store.begin().await?;
    let connection = write.connection();
    let before = standing(connection, user).await?;
    if before == Standing::Deactivated {
        return Ok(false);
    }
    check_standing(user, before, limits)?;
    // In an open directory somebody without a profile is a user, too.
    sqlx::query(
        "INSERT INTO user_profile (user_id, username, display_name, avatar_url, sort_key, deactivated_at_ms) \
         VALUES (?1, '', '', '', ?2, ?3) ON CONFLICT (user_id) DO UPDATE SET deactivated_at_ms = ?3",
    )
    .bind(user.as_str())
    .bind(Profile::bare(user.clone()).sort_key())
    .bind(now.millis())
    .execute(&mut *connection)
    .await?;
    // No search finds them.
    for statement in FORGET {
        sqlx::query(statement).bind(user.as_str()).execute(&mut *connection).await?;
    }
    tell(connection, user, Told::Removed, now).await?;
    inherit(connection, user, now, &encode).await?;
    write.commit().await?;
    Ok(true)
}

/// What those who watch hear of each membership of a user.
#[derive(Clone, Copy, Debug)]
enum Told {
    Added,
    Removed,
}

/// The user's memberships come or go; for the peers of the user's directs something has changed.
async fn tell(connection: &mut SqliteConnection, user: &UserId, what: Told, now: Timestamp) -> Result<(), StoreError> {
    let kind = match what {
        Told::Added => 2,
        Told::Removed => 5,
    };
    const STATEMENTS: [&str; 2] = [
        "INSERT INTO membership_change (conversation_id, kind, version, user_id, role, at_ms) \
         SELECT m.conversation_id, ?3, c.version, m.user_id, m.role, ?2 FROM member m INDEXED BY member_by_user \
         JOIN conversation c ON c.conversation_id = m.conversation_id WHERE m.user_id = ?1 AND m.listed = 1",
        "INSERT INTO membership_change (conversation_id, kind, version, user_id, at_ms) \
         SELECT m.conversation_id, 4, 0, m.peer_user_id, ?2 FROM member m INDEXED BY member_by_user \
         WHERE m.user_id = ?1 AND m.peer_user_id <> ?1 AND ?3 IS NOT NULL",
    ];
    for statement in STATEMENTS {
        let query = sqlx::query(statement).bind(user.as_str()).bind(now.millis()).bind(kind);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn standing(connection: &mut SqliteConnection, of: &UserId) -> Result<Standing, StoreError> {
    let row = sqlx::query("SELECT user_id AS known, deactivated_at_ms FROM user_profile WHERE user_id = ?1")
        .bind(of.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or(Ok(Standing::Unknown), standing_of)
}

/// Of the columns `known`, null for a user without a profile, and `deactivated_at_ms`.
pub(super) fn standing_of(row: &SqliteRow) -> Result<Standing, StoreError> {
    let known = row.try_get::<Option<&str>, _>("known")?.is_some();
    let deactivated = row.try_get::<Option<i64>, _>("deactivated_at_ms")?.is_some();
    Ok(match (known, deactivated) {
        (false, _) => Standing::Unknown,
        (true, false) => Standing::Active,
        (true, true) => Standing::Deactivated,
    })
}

/// Takes a user out of the index of the search.
const FORGET: [&str; 2] = ["DELETE FROM user_word WHERE user_id = ?1", "DELETE FROM user_prefix WHERE user_id = ?1"];

/// By what the user is found.
async fn index(connection: &mut SqliteConnection, profile: &Profile, sort_key: &str) -> Result<(), StoreError> {
    let mut words = search_words(&profile.display_name);
    words.extend(search_words(&profile.username));
    let prefixes = short_prefixes(&words);
    for statement in FORGET {
        sqlx::query(statement).bind(profile.user.as_str()).execute(&mut *connection).await?;
    }
    for (statement, values) in [
        (
            "INSERT OR IGNORE INTO user_word (word, user_id, sort_key) SELECT value, ?1, ?2 FROM json_each(?3)",
            json(&words),
        ),
        (
            "INSERT OR IGNORE INTO user_prefix (prefix, user_id, sort_key) SELECT value, ?1, ?2 FROM json_each(?3)",
            json(&prefixes),
        ),
    ] {
        let query = sqlx::query(statement).bind(profile.user.as_str()).bind(sort_key).bind(values);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn by_ids(readers: &SqlitePool, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
    let rows = sqlx::query(
        "SELECT user_id, username, display_name, avatar_url, email, deactivated_at_ms FROM user_profile \
         WHERE user_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&ids))
    .fetch_all(readers)
    .await?;
    rows.iter().map(profile).collect()
}

/// In the order of the key.
pub(super) const SEARCH_SHORT: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url, p.email, p.deactivated_at_ms FROM user_prefix w \
     CROSS JOIN user_profile p ON p.user_id = w.user_id \
     WHERE w.prefix = ?1 AND ?2 IS NOT NULL AND (w.sort_key, w.user_id) > (?3, ?4) \
     ORDER BY w.sort_key, w.user_id LIMIT ?5";

/// Sorts what was found: long prefixes find few.
const SEARCH: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url, p.email, p.deactivated_at_ms FROM \
       (SELECT DISTINCT sort_key, user_id FROM user_word \
        WHERE word >= ?1 AND word < ?2 AND (sort_key, user_id) > (?3, ?4) ORDER BY sort_key, user_id LIMIT ?5) w \
     JOIN user_profile p ON p.user_id = w.user_id ORDER BY w.sort_key, w.user_id";

pub(super) async fn search(
    readers: &SqlitePool,
    prefix: &str,
    after: Option<(&str, &UserId)>,
    rows_max: usize,
) -> Result<Vec<Profile>, StoreError> {
    let (after_key, after_user) = after.map_or(("", ""), |(key, user)| (key, user.as_str()));
    let short = prefix.chars().count() <= SHORT_PREFIX_CHARS_MAX;
    let rows = sqlx::query(if short { SEARCH_SHORT } else { SEARCH })
        .bind(prefix)
        // The greatest character: no text that begins with the prefix comes after.
        .bind(format!("{prefix}{}", char::MAX))
        .bind(after_key)
        .bind(after_user)
        .bind(limit(rows_max))
        .fetch_all(readers)
        .await?;
    rows.iter().map(profile).collect()
}

fn profile(row: &SqliteRow) -> Result<Profile, StoreError> {
    Ok(Profile {
        user: user(row, "user_id")?,
        username: row.try_get("username")?,
        display_name: row.try_get("display_name")?,
        avatar_url: row.try_get("avatar_url")?,
        email: row.try_get("email")?,
        deactivated: row.try_get::<Option<i64>, _>("deactivated_at_ms")?.is_some(),
    })
}
