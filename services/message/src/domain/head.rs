//! The end of a log, and what an instance knows about it.

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;

use super::dedup::{Fingerprint, Found, Window, WriteId};
use super::entry::SystemBody;
use super::membership::Changes;

/// The last entry of a log, with what each entry carries on from the one before. All zero: the log is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its place.
    pub(crate) seq: u64,
    /// Messages up to it.
    pub(crate) message_no: u64,
    /// The place of the last message.
    pub(crate) last_message_seq: u64,
    /// Version of the membership.
    pub(crate) conversation_version: u64,
    /// When the log took it.
    pub(crate) time: Option<Timestamp>,
}

/// What an entry changes about what is known of its log.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The entry as head.
    pub(crate) head: Head,
    /// Who wrote it, under which id.
    pub(crate) id: Option<(WriteId, Fingerprint)>,
    /// For system entries: what changed.
    pub(crate) system: Option<SystemBody>,
}

/// How much of a log's end is kept in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Ids in the window.
    pub(crate) ids_max: usize,
    /// Changes of members.
    pub(crate) changes_max: usize,
}

/// A log up to a verified head: enough to decide about the next entries.
#[derive(Debug)]
pub(crate) struct LogState {
    /// The head.
    pub(crate) head: Head,
    /// The ids near it.
    pub(crate) window: Window,
    /// The changes of members near it.
    pub(crate) changes: Changes,
    /// The group was deleted: nothing is appended any more.
    pub(crate) closed: bool,
}

impl LogState {
    /// What is known before the entry after `below` was read: `below` is the head then.
    pub(crate) fn above(below: Head, memory: Memory) -> Self {
        Self {
            head: below,
            window: Window::new(below.seq, memory.ids_max),
            changes: Changes::since(below.conversation_version, memory.changes_max),
            closed: false,
        }
    }

    /// Takes the next entry. The caller gives them contiguously.
    pub(crate) fn apply(&mut self, step: Step) {
        debug_assert_eq!(step.head.seq, self.head.seq + 1, "entries are applied without a gap");
        if let Some((id, fingerprint)) = step.id {
            self.window.push(id, Found { seq: step.head.seq, fingerprint });
        }
        if let Some(system) = &step.system {
            self.changes.apply(step.head.conversation_version, system);
            // Always the last entry, so whoever reads the end of a log meets it.
            self.closed |= *system == SystemBody::Closed;
        }
        self.head = step.head;
    }
}

impl WriteId {
    /// The id of a write by `user`.
    pub(crate) fn new(user: &UserId, request_id: &viberchat_kit::id::RequestId) -> Self {
        Self { user: user.clone(), request_id: request_id.clone() }
    }
}
