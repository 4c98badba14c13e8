/// Bounds and rules of a deployment. Bounds of the configuration have its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) group_members_max: u32,
    pub(crate) call_members_max: u32,
    pub(crate) user_conversations_max: u32,
    pub(crate) user_blocks_max: u32,
    /// The directory is strict: who was not upserted is no user.
    pub(crate) known_users_only: bool,
}

/// Characters of a group's name.
pub(crate) const NAME_CHARS_MAX: usize = 255;
/// Characters of a group's description.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Bytes of an address of a picture.
pub(crate) const AVATAR_BYTES_MAX: usize = 1_000;
/// Characters of a username or a display name.
pub(crate) const PROFILE_NAME_CHARS_MAX: usize = 255;
/// Characters of an e-mail address.
pub(crate) const EMAIL_CHARS_MAX: usize = 255;
/// Characters of what a member calls a conversation.
pub(crate) const NICKNAME_CHARS_MAX: usize = 255;
/// Bytes of a group's metadata, names and values together.
pub(crate) const METADATA_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a name in it.
pub(crate) const METADATA_NAME_BYTES_MAX: usize = 64;
/// Characters of a search.
pub(crate) const QUERY_CHARS_MAX: usize = 100;
/// Ids in a call that reads many.
pub(crate) const BATCH_MAX: usize = 200;
