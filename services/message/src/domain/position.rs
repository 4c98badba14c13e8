//! Read and delivered positions.

use viberchat_kit::id::UserId;

use super::head::Head;

/// How far a user has read a conversation, and what has reached them. Both only move forward, and what is read is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The user.
    pub(crate) user: UserId,
    /// Everything up to this place is read.
    pub(crate) read_seq: u64,
    /// How many messages that is.
    pub(crate) read_message_no: u64,
    /// Everything up to this place has reached a device of the user.
    pub(crate) delivered_seq: u64,
}

impl Position {
    /// Of one who has read up to here.
    pub(crate) fn read(user: UserId, read_seq: u64, read_message_no: u64) -> Self {
        Self { user, read_seq, read_message_no, delivered_seq: read_seq }
    }

    /// The same, as it stood at a head: what moved on since is not known there yet.
    pub(crate) fn at_most(mut self, head: &Head) -> Self {
        if self.read_seq > head.seq {
            (self.read_seq, self.read_message_no) = (head.seq, head.message_no);
        }
        self.delivered_seq = self.delivered_seq.min(head.seq);
        self
    }

    /// The further one of two positions of one user, each number by itself. Whether it is further than `self` was.
    pub(crate) fn advance(&mut self, other: &Self) -> bool {
        let before = (self.read_seq, self.delivered_seq);
        self.read_seq = self.read_seq.max(other.read_seq);
        self.read_message_no = self.read_message_no.max(other.read_message_no);
        self.delivered_seq = self.delivered_seq.max(other.delivered_seq);
        before != (self.read_seq, self.delivered_seq)
    }
}

/// What a user does to their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Has read up to here, so it was delivered too.
    Read(u64),
    /// It has reached a device up to here.
    Delivered(u64),
}

impl Mark {
    /// The place.
    pub(crate) fn seq(self) -> u64 {
        match self {
            Self::Read(seq) | Self::Delivered(seq) => seq,
        }
    }

    /// Whether a position stands there or further already.
    pub(crate) fn is_behind(self, position: &Position) -> bool {
        match self {
            Self::Read(seq) => seq <= position.read_seq,
            Self::Delivered(seq) => seq <= position.delivered_seq,
        }
    }
}

/// Messages after a read position. Deleted ones count until they are passed.
pub(crate) fn unread_count(head_message_no: u64, read_message_no: u64) -> u64 {
    head_message_no.saturating_sub(read_message_no)
}
