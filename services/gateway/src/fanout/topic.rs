//! A conversation that somebody on this gateway follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use viberchat_kit::id::ConversationId;

use super::member::Member;
use super::user::User;

/// A user's number for one of their conversations. Used again after the conversation has ended for the user.
pub(crate) type Slot = u32;

/// Who follows a topic.
pub(super) struct Follower {
    pub(super) user: Arc<User>,
    pub(super) slot: Slot,
    /// The user is waiting for the topic's head.
    pub(super) is_waiting: bool,
}

/// A session that has the topic on its screen. Its user follows the topic.
pub(super) struct Focused {
    pub(super) user: Arc<User>,
    pub(super) member: Arc<Member>,
}

/// What the lock of a topic guards. Locks are taken in the order topic, user, session.
#[derive(Default)]
pub(super) struct Followers {
    pub(super) list: Vec<Follower>,
    pub(super) focused: Vec<Focused>,
    /// The stream brings the topic's entries, so its head is known.
    pub(super) is_live: bool,
    /// Since when nobody follows.
    pub(super) idle_since: Option<Instant>,
    /// Waits in the queue of the idle.
    pub(super) is_queued: bool,
}

/// See the module.
pub(crate) struct Topic {
    conversation: ConversationId,
    is_direct: AtomicBool,
    /// Written by the task of the Subscribe stream, before the entry is given to any session.
    head_seq: AtomicU64,
    followers: Mutex<Followers>,
}

impl Topic {
    pub(crate) fn new(conversation: ConversationId, is_direct: bool) -> Self {
        Self {
            conversation,
            is_direct: AtomicBool::new(is_direct),
            head_seq: AtomicU64::new(0),
            followers: Mutex::default(),
        }
    }

    pub(crate) fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// In a direct, both see each other's positions and typing.
    pub(crate) fn is_direct(&self) -> bool {
        self.is_direct.load(Ordering::Relaxed)
    }

    /// The head as far as the stream has told.
    pub(crate) fn head_seq(&self) -> u64 {
        self.head_seq.load(Ordering::Acquire)
    }

    /// Moves the head forward.
    pub(crate) fn advance_head(&self, seq: u64) {
        self.head_seq.fetch_max(seq, Ordering::AcqRel);
    }

    pub(super) fn followers(&self) -> MutexGuard<'_, Followers> {
        self.followers.lock()
    }
}
