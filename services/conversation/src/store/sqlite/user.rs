//! The directory of users.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use viberchat_kit::id::UserId;

use super::rows::{json, limit, user};
use super::{SqliteStore, StoreError};
use crate::domain::{Profile, search_words};

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
        sqlx::query("DELETE FROM user_word WHERE user_id = ?1")
            .bind(profile.user.as_str())
            .execute(write.connection())
            .await?;
        let mut words = search_words(&profile.display_name);
        words.extend(search_words(&profile.username));
        sqlx::query(
            "INSERT OR IGNORE INTO user_word (word, user_id, sort_key) SELECT value, ?1, ?2 FROM json_each(?3)",
        )
        .bind(profile.user.as_str())
        .bind(&sort_key)
        .bind(json(&words))
        .execute(write.connection())
        .await?;
    }
    write.commit().await
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

pub(super) async fn search(
    readers: &SqlitePool,
    prefix: &str,
    after: Option<(&str, &UserId)>,
    rows_max: usize,
) -> Result<Vec<Profile>, StoreError> {
    let (after_key, after_user) = after.map_or(("", ""), |(key, user)| (key, user.as_str()));
    let rows = sqlx::query(
        "SELECT p.user_id, p.username, p.display_name, p.avatar_url FROM \
           (SELECT DISTINCT sort_key, user_id FROM user_word \
            WHERE word >= ?1 AND word < ?2 AND (sort_key, user_id) > (?3, ?4) ORDER BY sort_key, user_id LIMIT ?5) w \
         JOIN user_profile p ON p.user_id = w.user_id ORDER BY w.sort_key, w.user_id",
    )
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
