//! The directory of users.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, SqliteConnection};
use viberchat_kit::id::UserId;

use super::rows::{json, limit, user};
use super::{SqliteStore, StoreError};
use crate::domain::{Profile, SHORT_PREFIX_CHARS_MAX, search_words, short_prefixes};

pub(super) async fn upsert(store: &SqliteStore, profiles: &[Profile]) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    for profile in profiles {
        let sort_key = profile.sort_key();
        sqlx::query(
            "INSERT INTO user_profile (user_id, username, display_name, avatar_url, sort_key) \
             VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name, \
                                                 avatar_url = excluded.avatar_url, sort_key = excluded.sort_key",
        )
        .bind(profile.user.as_str())
        .bind(&profile.username)
        .bind(&profile.display_name)
        .bind(&profile.avatar_url)
        .bind(&sort_key)
        .execute(write.connection())
        .await?;
        index(write.connection(), profile, &sort_key).await?;
    }
    write.commit().await
}

/// By what the user is found.
async fn index(connection: &mut SqliteConnection, profile: &Profile, sort_key: &str) -> Result<(), StoreError> {
    let mut words = search_words(&profile.display_name);
    words.extend(search_words(&profile.username));
    let prefixes = short_prefixes(&words);
    for statement in ["DELETE FROM user_word WHERE user_id = ?1", "DELETE FROM user_prefix WHERE user_id = ?1"] {
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
        "SELECT user_id, username, display_name, avatar_url FROM user_profile \
         WHERE user_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&ids))
    .fetch_all(readers)
    .await?;
    rows.iter().map(profile).collect()
}

/// In the order of the key.
pub(super) const SEARCH_SHORT: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url FROM user_prefix w \
     CROSS JOIN user_profile p ON p.user_id = w.user_id \
     WHERE w.prefix = ?1 AND ?2 IS NOT NULL AND (w.sort_key, w.user_id) > (?3, ?4) \
     ORDER BY w.sort_key, w.user_id LIMIT ?5";

/// Sorts what was found: long prefixes find few.
const SEARCH: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url FROM \
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
    })
}
