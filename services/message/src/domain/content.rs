//! What a message carries beside its text, and what is done to it: the limits.

use std::collections::{BTreeMap, HashSet};

use viberchat_kit::id::UserId;

/// What the host application keeps with a message or a group, by name. In one order, so that it has one encoding.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Users whom a message mentions.
pub(crate) const MENTIONS_MAX: usize = 50;
/// Bytes of all names and values of a message's metadata.
pub(crate) const METADATA_BYTES_MAX: usize = 4 * 1024;
/// Bytes of one name.
pub(crate) const METADATA_NAME_BYTES_MAX: usize = 64;
/// Bytes of a reaction.
pub(crate) const EMOJI_BYTES_MAX: usize = 64;
/// Different reactions to a message.
pub(crate) const REACTION_KINDS_MAX: usize = 20;
/// Pinned messages of a conversation.
pub(crate) const PINS_MAX: u64 = 100;
/// Delivered positions are kept in groups of up to so many members.
pub(crate) const DELIVERED_MEMBERS_MAX: u32 = 32;

/// Why content is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidContent {
    /// Too many mentions.
    #[error("names more than {MENTIONS_MAX}")]
    TooManyMentions,
    /// A user twice.
    #[error("names a user twice")]
    MentionedTwice,
    /// A name of metadata.
    #[error("has a name that is empty or longer than {METADATA_NAME_BYTES_MAX} bytes")]
    MetadataName,
    /// Too much metadata.
    #[error("has more than {METADATA_BYTES_MAX} bytes")]
    MetadataTooLong,
    /// A reaction of no or too many bytes, or with a control character.
    #[error("has to have 1 to {EMOJI_BYTES_MAX} bytes without control characters")]
    Emoji,
}

/// Each user once, and not too many.
pub(crate) fn check_mentions(users: &[UserId]) -> Result<(), InvalidContent> {
    if users.len() > MENTIONS_MAX {
        return Err(InvalidContent::TooManyMentions);
    }
    let distinct: HashSet<&UserId> = users.iter().collect();
    if distinct.len() < users.len() { Err(InvalidContent::MentionedTwice) } else { Ok(()) }
}

/// Takes metadata as it is.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), InvalidContent> {
    if metadata.keys().any(|name| !(1..=METADATA_NAME_BYTES_MAX).contains(&name.len())) {
        return Err(InvalidContent::MetadataName);
    }
    if metadata_bytes(metadata) > METADATA_BYTES_MAX { Err(InvalidContent::MetadataTooLong) } else { Ok(()) }
}

/// Of all names and values.
pub(crate) fn metadata_bytes(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Takes a reaction as it is. What is an emoji changes from year to year; this does not.
pub(crate) fn check_emoji(emoji: &str) -> Result<(), InvalidContent> {
    let fits = (1..=EMOJI_BYTES_MAX).contains(&emoji.len()) && !emoji.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(InvalidContent::Emoji) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_bounded_in_all_and_by_name() {
        let of = |name: usize, value: usize| Metadata::from([("n".repeat(name), "v".repeat(value))]);
        assert_eq!(check_metadata(&of(64, 4_032)), Ok(()));
        assert_eq!(check_metadata(&of(64, 4_033)), Err(InvalidContent::MetadataTooLong));
        assert_eq!(check_metadata(&of(65, 1)), Err(InvalidContent::MetadataName));
        assert_eq!(check_metadata(&of(0, 1)), Err(InvalidContent::MetadataName));
        assert_eq!(check_metadata(&Metadata::new()), Ok(()));
    }

    #[test]
    fn a_reaction_is_short_and_has_no_control_character() {
        for good in ["👍", "👩‍👩‍👧‍👦", "+1", &"x".repeat(64)] {
            assert_eq!(check_emoji(good), Ok(()), "{good}");
        }
        for bad in ["", "a\u{0}", "\n", &"x".repeat(65)] {
            assert_eq!(check_emoji(bad), Err(InvalidContent::Emoji), "{bad:?}");
        }
    }

    #[test]
    fn a_user_is_mentioned_once() {
        let users = |count: usize| (0..count).map(|n| UserId::parse(format!("u{n}")).unwrap()).collect::<Vec<_>>();
        assert_eq!(check_mentions(&users(50)), Ok(()));
        assert_eq!(check_mentions(&users(51)), Err(InvalidContent::TooManyMentions));
        let twice = [users(1), users(2)].concat();
        assert_eq!(check_mentions(&twice), Err(InvalidContent::MentionedTwice));
    }
}
