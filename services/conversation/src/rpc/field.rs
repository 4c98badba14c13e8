//! Fields of requests → ids and checked values; what is wrong is named with its field.

use std::collections::BTreeSet;

use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::{ConversationId, RequestId, UserId};
use viberchat_proto::types::v1 as types;

use crate::convert::history_from_proto;
use crate::domain::{
    AVATAR_BYTES_MAX, BATCH_MAX, DESCRIPTION_CHARS_MAX, History, METADATA_BYTES_MAX, METADATA_NAME_BYTES_MAX, Metadata,
    NAME_CHARS_MAX,
};

pub(super) fn conversation_id(text: &str) -> Result<ConversationId> {
    conversation_id_of("conversation_id", text)
}

pub(super) fn conversation_id_of(field: &str, text: &str) -> Result<ConversationId> {
    ConversationId::parse(text).map_err(|invalid| Error::invalid_argument(field, invalid.to_string()))
}

pub(super) fn user_id(field: &str, text: &str) -> Result<UserId> {
    UserId::parse(text).map_err(|invalid| Error::invalid_argument(field, invalid.to_string()))
}

pub(super) fn request_id(text: &str) -> Result<RequestId> {
    RequestId::parse(text).map_err(|invalid| Error::invalid_argument("request_id", invalid.to_string()))
}

/// Each user once, however often they are named. `users_max` counts names.
pub(super) fn user_ids(field: &str, texts: &[String], users_max: usize) -> Result<BTreeSet<UserId>> {
    check_count(field, texts.len(), users_max)?;
    texts.iter().enumerate().map(|(index, text)| user_id(&format!("{field}[{index}]"), text)).collect()
}

/// Ids of a call that reads many.
pub(super) fn conversation_ids(field: &str, texts: &[String]) -> Result<Vec<ConversationId>> {
    check_count(field, texts.len(), BATCH_MAX)?;
    texts.iter().enumerate().map(|(index, text)| conversation_id_of(&format!("{field}[{index}]"), text)).collect()
}

pub(super) fn check_count(field: &str, count: usize, max: usize) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    let message = format!("at most {max} {field} in one call");
    Err(Error::new(Reason::LimitExceeded, message)
        .with_metadata("max", max.to_string())
        .with_field(field, format!("has {count} items, allowed are {max}")))
}

/// The name of a group.
pub(super) fn group_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::invalid_argument("name", "is blank"));
    }
    check_chars("name", name, NAME_CHARS_MAX)
}

pub(super) fn description(description: &str) -> Result<()> {
    check_chars("description", description, DESCRIPTION_CHARS_MAX)
}

pub(super) fn avatar_url(field: &str, url: &str) -> Result<()> {
    if url.len() > AVATAR_BYTES_MAX {
        return Err(Error::invalid_argument(field, format!("is longer than {AVATAR_BYTES_MAX} bytes")));
    }
    check_nul(field, url)
}

/// `None`: not set.
pub(super) fn history(history: i32) -> Result<Option<History>> {
    history_from_proto(history).ok_or_else(|| Error::invalid_argument("history", "is not a visibility"))
}

/// `None`: not set.
pub(super) fn metadata(metadata: Option<&types::Metadata>) -> Result<Option<Metadata>> {
    let Some(types::Metadata { entries }) = metadata else { return Ok(None) };
    if !entries.keys().all(|name| (1..=METADATA_NAME_BYTES_MAX).contains(&name.len())) {
        let allowed = format!("has a name that is not of 1 to {METADATA_NAME_BYTES_MAX} bytes");
        return Err(Error::invalid_argument("metadata", allowed));
    }
    let size: usize = entries.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > METADATA_BYTES_MAX {
        return Err(Error::invalid_argument("metadata", format!("is longer than {METADATA_BYTES_MAX} bytes in all")));
    }
    Ok(Some(entries.clone()))
}

pub(super) fn check_chars(field: &str, text: &str, max: usize) -> Result<()> {
    // No character has less than a byte: the long ones are not counted through.
    if text.len() > 4 * max || text.chars().count() > max {
        return Err(Error::invalid_argument(field, format!("is longer than {max} characters")));
    }
    check_nul(field, text)
}

/// The one character that not every store keeps.
fn check_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid_argument(field, "has a NUL character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(result: Result<impl std::fmt::Debug>) -> String {
        result.unwrap_err().violations.remove(0).field
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        assert_eq!(violation(conversation_id("no")), "conversation_id");
        assert_eq!(violation(user_ids("user_ids", &["a".into(), "b\n".into()], 200)), "user_ids[1]");
        assert_eq!(violation(request_id("")), "request_id");
        assert_eq!(violation(request_id(&"x".repeat(65))), "request_id");
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        group_name(&"ä".repeat(255)).unwrap();
        assert_eq!(violation(group_name(&"ä".repeat(256))), "name");
        assert_eq!(violation(group_name(" \u{a0}")), "name");
        description(&"🎉".repeat(1_000)).unwrap();
        assert_eq!(violation(description(&"x".repeat(1_001))), "description");
        assert_eq!(violation(avatar_url("avatar_url", &"ä".repeat(501))), "avatar_url");
    }

    #[test]
    fn a_nul_is_refused_and_every_other_character_is_not() {
        assert_eq!(violation(group_name("a\0b")), "name");
        assert_eq!(violation(check_chars("query", "\0", 9)), "query");
        assert_eq!(violation(avatar_url("users[0].avatar_url", "x\0")), "users[0].avatar_url");
        group_name("a\u{1}\u{7f}\u{feff}b").unwrap();
    }

    #[test]
    fn metadata_is_bounded_by_its_bytes() {
        let of = |entries: &[(&str, usize)]| {
            let entry = |(name, size): &(&str, usize)| ((*name).to_owned(), "x".repeat(*size));
            metadata(Some(&types::Metadata { entries: entries.iter().map(entry).collect() }))
        };
        assert_eq!(metadata(None).unwrap(), None);
        assert_eq!(of(&[]).unwrap(), Some(Metadata::new()));
        of(&[("a", 4_094), ("b", 0)]).unwrap();
        assert_eq!(violation(of(&[("a", 4_094), ("b", 1)])), "metadata");
        of(&[(&"n".repeat(64), 0)]).unwrap();
        assert_eq!(violation(of(&[(&"n".repeat(65), 0)])), "metadata");
        assert_eq!(violation(of(&[("", 1)])), "metadata");
    }

    #[test]
    fn too_many_items_are_a_limit() {
        let ids = vec!["a".to_owned(); 3];
        assert_eq!(user_ids("user_ids", &ids, 3).unwrap().len(), 1);
        assert_eq!(user_ids("user_ids", &ids, 2).unwrap_err().reason, Reason::LimitExceeded);
    }
}
