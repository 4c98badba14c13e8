//! One followed conversation: after n comes n + 1, and nothing else. Pure.

use std::sync::Arc;

use viberchat_kit::fault;

use crate::convert::Viewer;
use crate::domain::membership::Standing;

/// Where a stream stands in a conversation. Small: a stream has thousands, and nothing else is kept for each.
#[derive(Debug)]
pub(super) struct Follow {
    /// The last entry that was passed on.
    sent: u64,
    /// The log goes at least up to here.
    known: u64,
    /// The stream was told where it begins.
    started: bool,
    /// Is being filled from the log, or waits for it.
    behind: bool,
    /// Which request this is from: answers to an earlier one are out of date.
    pub(super) generation: u64,
    /// Who looks.
    pub(super) viewer: Viewer,
    /// For users: what they were last known to be, a member.
    pub(super) standing: Option<Arc<Standing>>,
}

/// What to do after something was heard of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the next entry: pass it on.
    Next,
    /// Nothing new, or not yet.
    Nothing,
    /// Something is missing: put the conversation on the list of those that are filled from the log.
    Missing,
}

impl Follow {
    /// Registered, and not started yet.
    pub(super) fn new(viewer: Viewer, generation: u64) -> Self {
        Self { sent: 0, known: 0, started: false, behind: false, generation, viewer, standing: None }
    }

    /// Begins after `after`, with the head as it was read. What was heard since the registration counts too.
    pub(super) fn start(&mut self, after: u64, head: u64) -> Heard {
        self.started = true;
        self.sent = after;
        self.heard_of(head)
    }

    /// Whether the stream was told where it begins.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Whether it has begun, and misses something.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// The last entry that was passed on.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// An entry came by the bus.
    pub(super) fn offer(&mut self, seq: u64) -> Heard {
        // Mutant `stream_gap_unnoticed`: whatever is newer is taken to be the next one.
        let is_next = if fault::mutant("stream_gap_unnoticed") { seq > self.sent } else { seq == self.sent + 1 };
        if self.started && !self.behind && is_next {
            self.known = self.known.max(seq);
            self.sent = seq;
            return Heard::Next;
        }
        self.heard_of(seq)
    }

    /// The log goes at least up to `seq`.
    pub(super) fn heard_of(&mut self, seq: u64) -> Heard {
        self.known = self.known.max(seq);
        if !self.started || self.behind || self.known <= self.sent {
            return Heard::Nothing;
        }
        self.behind = true;
        Heard::Missing
    }

    /// An entry was read from the log. True: it is the next one.
    pub(super) fn fill(&mut self, seq: u64) -> bool {
        let is_next = seq == self.sent + 1;
        if is_next {
            self.sent = seq;
        }
        is_next
    }

    /// A page that was read while the head was `head` has been passed on.
    pub(super) fn filled(&mut self, head: u64) -> Heard {
        self.behind = false;
        self.heard_of(head)
    }
}

#[cfg(test)]
mod tests;
