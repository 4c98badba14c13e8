//! Read positions.

use viberchat_kit::id::UserId;

/// How far a user has read a conversation. It only moves forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The user.
    pub(crate) user: UserId,
    /// Everything up to this place is read.
    pub(crate) read_seq: u64,
    /// How many messages that is.
    pub(crate) read_message_no: u64,
}

/// Messages after a read position. Deleted ones count until they are passed.
pub(crate) fn unread_count(head_message_no: u64, read_message_no: u64) -> u64 {
    head_message_no.saturating_sub(read_message_no)
}
