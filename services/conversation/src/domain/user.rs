use viberchat_kit::id::UserId;

use super::{LimitKind, Limits, Refusal, sort_key};

/// What the host application told about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) user: UserId,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) avatar_url: String,
    /// For the user and for services only.
    pub(crate) email: String,
    /// Out of service until the user is upserted again.
    pub(crate) deactivated: bool,
}

impl Profile {
    /// What an open directory knows of a user that nobody told it about.
    pub(crate) fn bare(user: UserId) -> Self {
        Self {
            user,
            username: String::new(),
            display_name: String::new(),
            avatar_url: String::new(),
            email: String::new(),
            deactivated: false,
        }
    }

    /// The name that is shown, folded; what a search is sorted by.
    pub(crate) fn sort_key(&self) -> String {
        let shown = [&self.display_name, &self.username].into_iter().find(|name| !name.is_empty());
        sort_key(shown.map_or(self.user.as_str(), String::as_str))
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.deactivated { Standing::Deactivated } else { Standing::Active }
    }
}

/// How a user stands in the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody told about them.
    #[default]
    Unknown,
    Active,
    /// Out of service.
    Deactivated,
}

/// Whether such a user takes part: may act, be added, be written to first, be blocked.
///
/// In an open directory every well-formed id is a user; a strict one knows only those that were upserted.
pub(crate) fn takes_part(standing: Standing, known_users_only: bool) -> bool {
    match standing {
        Standing::Active => true,
        Standing::Unknown => !known_users_only,
        Standing::Deactivated => false,
    }
}

/// What the rules have to know of somebody who gets one more conversation, or is about to be blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) standing: Standing,
    /// How many conversations the user has in the list; counted no further than the limit.
    pub(crate) conversation_count: u32,
}

/// Whether the user takes part.
///
/// # Errors
/// [`Refusal::UserNotFound`].
pub(crate) fn check_standing(user: &UserId, standing: Standing, limits: &Limits) -> Result<(), Refusal> {
    if takes_part(standing, limits.known_users_only) {
        return Ok(());
    }
    Err(Refusal::UserNotFound { user: user.clone() })
}

/// Whether the user takes part and may have one more conversation.
///
/// # Errors
/// [`Refusal::UserNotFound`], [`Refusal::LimitExceeded`].
pub(crate) fn check_candidate(user: &UserId, candidate: Candidate, limits: &Limits) -> Result<(), Refusal> {
    check_standing(user, candidate.standing, limits)?;
    let max = limits.user_conversations_max;
    if candidate.conversation_count < max {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { limit: LimitKind::UserConversations, max, user: Some(user.clone()) })
}

/// What the rules have to know of a block that somebody asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockState {
    pub(crate) standing: Standing,
    /// Blocks that the caller has; counted no further than the limit.
    pub(crate) block_count: u32,
}

/// Whether a user may be blocked who is not yet.
///
/// # Errors
/// [`Refusal::UserNotFound`], [`Refusal::LimitExceeded`].
pub(crate) fn check_block(blocked: &UserId, state: BlockState, limits: &Limits) -> Result<(), Refusal> {
    check_standing(blocked, state.standing, limits)?;
    let max = limits.user_blocks_max;
    if state.block_count < max {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { limit: LimitKind::UserBlocks, max, user: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_part_depends_on_the_directory() {
        let cases = [
            (Standing::Active, [true, true]),
            (Standing::Unknown, [true, false]),
            (Standing::Deactivated, [false, false]),
        ];
        for (standing, [open, strict]) in cases {
            assert_eq!((takes_part(standing, false), takes_part(standing, true)), (open, strict), "{standing:?}");
        }
    }
}
