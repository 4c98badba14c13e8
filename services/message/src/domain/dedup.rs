//! Which ids a log has: a window over its end that answers without reading.
//!
//! The window remembers every id after some place x up to the head. A write says up to which place its id is certainly
//! *not* in the log (`clear_to`: at first what its client knew when it first tried, later what a look-up found). With
//! `clear_to ≥ x` the window's answer is exact and costs no read.

use std::collections::{HashMap, VecDeque};

use viberchat_kit::id::{RequestId, UserId};

/// HMAC of a write's meaningful body, to tell a repetition from a reused id. Says nothing about the text without the key.
pub(crate) type Fingerprint = [u8; 16];

/// The name of a write: unique in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WriteId {
    /// Who writes.
    pub(crate) user: UserId,
    /// The writer's id for it.
    pub(crate) request_id: RequestId,
}

/// Where an id stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The entry.
    pub(crate) seq: u64,
    /// Of the body it came with.
    pub(crate) fingerprint: Fingerprint,
}

/// The ids of all entries after some place up to the head.
#[derive(Debug)]
pub(crate) struct Window {
    places: HashMap<WriteId, Found>,
    /// In the order of the log.
    order: VecDeque<WriteId>,
    /// x: the id of every entry after it is here.
    lower: u64,
    /// Ids that are kept anyway.
    entries_max: usize,
    /// Writes wait that are to be compared with every entry after this place.
    wanted_after: u64,
}

/// While writes wait for them, so many times as many ids are kept.
const BUSY_TIMES: usize = 16;

impl Window {
    /// Empty, above `lower`. Keeps at least `entries_max` ids before it forgets.
    pub(crate) fn new(lower: u64, entries_max: usize) -> Self {
        Self { places: HashMap::new(), order: VecDeque::new(), lower, entries_max, wanted_after: u64::MAX }
    }

    /// Writes wait, and none of their ids stands at or below `lowest`. Where many wait, the log moves on by more than
    /// `entries_max` before their turn comes, and each would cost a read. `None`: nothing waits.
    pub(crate) fn keep_after(&mut self, lowest: Option<u64>) {
        self.wanted_after = lowest.unwrap_or(u64::MAX);
        while self.order.len() > self.entries_max && self.can_forget() {
            self.forget();
        }
    }

    /// Learns the next entry's id. Entries without one need not be told.
    pub(crate) fn push(&mut self, id: WriteId, found: Found) {
        while self.order.len() >= self.entries_max && self.can_forget() {
            self.forget();
        }
        self.order.push_back(id.clone());
        self.places.insert(id, found);
    }

    fn can_forget(&self) -> bool {
        let oldest = self.order.front().and_then(|oldest| self.places.get(oldest));
        oldest.is_some_and(|oldest| oldest.seq <= self.wanted_after)
            || self.order.len() >= self.entries_max.saturating_mul(BUSY_TIMES)
    }

    fn forget(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        // The window ends above the entry that it forgets.
        self.lower = self.places.remove(&oldest).map_or(self.lower, |oldest| oldest.seq);
    }

    /// Whether [`Window::find`] is exact for an id that is known not to stand at or below `clear_to`.
    pub(crate) fn is_exact_for(&self, clear_to: u64) -> bool {
        clear_to >= self.lower
    }

    /// Where the id stands, if the window has it.
    pub(crate) fn find(&self, id: &WriteId) -> Option<Found> {
        self.places.get(id).copied()
    }
}

#[cfg(test)]
mod tests;
