//! The directory of users.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;
use viberchat_kit::store::postgres::Attempt;

use super::StoreError;
use super::inherit::inherit;
use super::rows::texts;
use crate::domain::{Limits, Profile, SHORT_PREFIX_CHARS_MAX, Standing, check_standing, search_words, short_prefixes};
use crate::store::rows::{limit, profile, standing_of, user};
use crate::store::{ChangeError, EncodeEntry};

/// New profiles, whole.
const UPDATE: &str = "UPDATE user_profile p \
     SET username = n.username, display_name = n.display_name, avatar_url = n.avatar_url, email = n.email, \
         sort_key = n.sort_key, deactivated_at_ms = NULL \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) \
        AS n (user_id, username, display_name, avatar_url, email, sort_key) \
     WHERE p.user_id = n.user_id";

pub(super) async fn upsert(
    attempt: &Attempt,
    profiles: &[Profile],
    now: Timestamp,
    encode: &impl EncodeEntry,
) -> Result<(), StoreError> {
    // The last one of a user wins; in order, so that two calls do not wait for each other.
    let profiles: BTreeMap<&UserId, &Profile> = profiles.iter().map(|profile| (&profile.user, profile)).collect();
    let users = || profiles.keys().copied();
    let sort_keys: Vec<_> = profiles.values().map(|profile| profile.sort_key()).collect();
    let column = |of: fn(&Profile) -> &str| profiles.values().map(|profile| of(profile)).collect::<Vec<_>>();
    let mut write = attempt.begin().await?;
    let connection = write.connection();
    let before = hold(connection, users()).await?;
    sqlx::query(UPDATE)
        .bind(texts(users()))
        .bind(column(|profile| &profile.username))
        .bind(column(|profile| &profile.display_name))
        .bind(column(|profile| &profile.avatar_url))
        .bind(column(|profile| &profile.email))
        .bind(&sort_keys)
        .execute(&mut *connection)
        .await?;
    forget(connection, users()).await?;
    index(connection, &profiles, &sort_keys).await?;
    for user in users() {
        if before.get(user) == Some(&Standing::Deactivated) {
            tell(connection, user, Told::Added, now).await?;
            inherit(connection, user, now, encode).await?;
        }
    }
    write.commit().await
}

pub(super) async fn deactivate(
    attempt: &Attempt,
    user: &UserId,
    limits: &Limits,
    now: Timestamp,
    encode: &impl EncodeEntry,
) -> Result<bool, ChangeError> {
    let mut write = attempt.begin().await?;
    let connection = write.connection();
    // In an open directory somebody without a profile is a user, too.
    let before = hold(connection, [user]).await?.remove(user).unwrap_or(Standing::Unknown);
    if before == Standing::Deactivated {
        return Ok(false);
    }
    check_standing(user, before, limits)?;
    sqlx::query("UPDATE user_profile SET deactivated_at_ms = $2 WHERE user_id = $1")
        .bind(user.as_str())
        .bind(now.millis())
        .execute(&mut *connection)
        .await?;
    // No search finds them.
    forget(connection, [user]).await?;
    tell(connection, user, Told::Removed, now).await?;
    inherit(connection, user, now, encode).await?;
    write.commit::<ChangeError>().await?;
    Ok(true)
}

/// How these users stand; nobody else changes their profiles until the end of the transaction. Those who had none have a
/// bare one afterwards: a row that is not there cannot be held.
async fn hold<'a>(
    connection: &mut PgConnection,
    users: impl IntoIterator<Item = &'a UserId>,
) -> Result<BTreeMap<UserId, Standing>, StoreError> {
    let users: Vec<_> = users.into_iter().collect();
    let keys: Vec<_> = users.iter().map(|user| Profile::bare((*user).clone()).sort_key()).collect();
    let made = sqlx::query(
        "INSERT INTO user_profile (user_id, username, display_name, avatar_url, sort_key) \
         SELECT n.user_id, '', '', '', n.sort_key FROM unnest($1::text[], $2::text[]) AS n (user_id, sort_key) \
         ORDER BY n.user_id COLLATE \"C\" ON CONFLICT (user_id) DO NOTHING RETURNING user_id",
    )
    .bind(texts(users.iter().copied()))
    .bind(keys)
    .fetch_all(&mut *connection)
    .await?;
    let held = sqlx::query(
        "SELECT user_id, user_id AS known, deactivated_at_ms FROM user_profile WHERE user_id = ANY($1) \
         ORDER BY user_id FOR UPDATE",
    )
    .bind(texts(users))
    .fetch_all(connection)
    .await?;
    let mut standings = BTreeMap::new();
    for row in &held {
        standings.insert(user(row, "user_id")?, standing_of(row)?);
    }
    for row in &made {
        standings.insert(user(row, "user_id")?, Standing::Unknown);
    }
    Ok(standings)
}

/// What those who watch hear of each membership of a user.
#[derive(Clone, Copy, Debug)]
enum Told {
    Added,
    Removed,
}

/// The user's memberships come or go; for the peers of the user's directs something has changed.
async fn tell(connection: &mut PgConnection, user: &UserId, what: Told, now: Timestamp) -> Result<(), StoreError> {
    let kind: i64 = match what {
        Told::Added => 2,
        Told::Removed => 5,
    };
    sqlx::query(
        "WITH of_the_peers AS ( \
            INSERT INTO pending_change (conversation_id, kind, version, user_id, at_ms) \
            SELECT m.conversation_id, 4, 0, m.peer_user_id, $2 FROM member m \
            WHERE m.user_id = $1 AND m.peer_user_id <> $1) \
         INSERT INTO pending_change (conversation_id, kind, version, user_id, role, at_ms) \
         SELECT m.conversation_id, $3, c.version, m.user_id, m.role, $2 FROM member m \
         JOIN conversation c ON c.conversation_id = m.conversation_id WHERE m.user_id = $1 AND m.listed",
    )
    .bind(user.as_str())
    .bind(now.millis())
    .bind(kind)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn standing(connection: &mut PgConnection, of: &UserId) -> Result<Standing, StoreError> {
    let row = sqlx::query("SELECT user_id AS known, deactivated_at_ms FROM user_profile WHERE user_id = $1")
        .bind(of.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or(Ok(Standing::Unknown), standing_of)
}

/// Takes users out of the index of the search.
async fn forget<'a>(
    connection: &mut PgConnection,
    users: impl IntoIterator<Item = &'a UserId>,
) -> Result<(), StoreError> {
    sqlx::query(
        "WITH words AS (DELETE FROM user_word WHERE user_id = ANY($1)) DELETE FROM user_prefix WHERE user_id = ANY($1)",
    )
    .bind(texts(users))
    .execute(connection)
    .await?;
    Ok(())
}

/// A text by which a user is found, with what the finds are sorted by.
#[derive(Default)]
struct Found<'a> {
    texts: Vec<String>,
    users: Vec<&'a str>,
    sort_keys: Vec<&'a str>,
}

impl<'a> Found<'a> {
    fn extend(&mut self, texts: impl IntoIterator<Item = String>, user: &'a UserId, sort_key: &'a str) {
        for text in texts {
            self.texts.push(text);
            self.users.push(user.as_str());
            self.sort_keys.push(sort_key);
        }
    }

    async fn insert(self, connection: &mut PgConnection, statement: &'static str) -> Result<(), StoreError> {
        let query = sqlx::query(statement).bind(self.texts).bind(self.users).bind(self.sort_keys);
        query.execute(connection).await?;
        Ok(())
    }
}

/// By what the users are found.
async fn index(
    connection: &mut PgConnection,
    profiles: &BTreeMap<&UserId, &Profile>,
    sort_keys: &[String],
) -> Result<(), StoreError> {
    let (mut by_words, mut by_prefixes) = (Found::default(), Found::default());
    for ((user, profile), sort_key) in profiles.iter().zip(sort_keys) {
        let mut words = search_words(&profile.display_name);
        words.extend(search_words(&profile.username));
        by_prefixes.extend(short_prefixes(&words), user, sort_key);
        by_words.extend(words, user, sort_key);
    }
    by_words
        .insert(
            connection,
            "INSERT INTO user_word (word, user_id, sort_key) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING",
        )
        .await?;
    by_prefixes
        .insert(
            connection,
            "INSERT INTO user_prefix (prefix, user_id, sort_key) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING",
        )
        .await
}

pub(super) async fn by_ids(attempt: &Attempt, ids: &[UserId]) -> Result<Vec<Profile>, StoreError> {
    let rows = sqlx::query(
        "SELECT user_id, username, display_name, avatar_url, email, deactivated_at_ms FROM user_profile \
         WHERE user_id = ANY($1)",
    )
    .bind(texts(ids))
    .fetch_all(attempt.pool())
    .await?;
    rows.iter().map(profile).collect()
}

/// In the order of the key.
pub(super) const SEARCH_SHORT: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url, p.email, p.deactivated_at_ms FROM user_prefix w \
     JOIN user_profile p ON p.user_id = w.user_id \
     WHERE w.prefix = $1 AND $2::text IS NOT NULL AND (w.sort_key, w.user_id) > ($3, $4) \
     ORDER BY w.sort_key, w.user_id LIMIT $5";

/// Sorts what was found: long prefixes find few.
const SEARCH: &str = "SELECT p.user_id, p.username, p.display_name, p.avatar_url, p.email, p.deactivated_at_ms FROM \
       (SELECT DISTINCT sort_key, user_id FROM user_word \
        WHERE word >= $1 AND word < $2 AND (sort_key, user_id) > ($3, $4) ORDER BY sort_key, user_id LIMIT $5) w \
     JOIN user_profile p ON p.user_id = w.user_id ORDER BY w.sort_key, w.user_id";

pub(super) async fn search(
    attempt: &Attempt,
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
        .fetch_all(attempt.pool())
        .await?;
    rows.iter().map(profile).collect()
}
