/// Bounds of a deployment. Those of the configuration have its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) group_members_max: u32,
    pub(crate) call_members_max: u32,
    pub(crate) user_conversations_max: u32,
}

/// Characters of a group's name.
pub(crate) const NAME_CHARS_MAX: usize = 255;
/// Characters of a group's description.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Bytes of an address of a picture.
pub(crate) const AVATAR_BYTES_MAX: usize = 1_000;
/// Characters of a username or a display name.
pub(crate) const PROFILE_NAME_CHARS_MAX: usize = 255;
/// Characters of a search.
pub(crate) const QUERY_CHARS_MAX: usize = 100;
/// Ids in a call that reads many.
pub(crate) const BATCH_MAX: usize = 200;
