//! What waits in a lane: attempts, and those who wait for them.

use std::collections::{HashMap, VecDeque};

use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;
use tokio::time::Instant;
use viberchat_kit::error::Result;

use super::chain::Link;
use super::{Request, Reserved, Stored};
use crate::domain::dedup::{Fingerprint, WriteId};
use crate::domain::head::LogState;
use crate::domain::rules::Intent;
use crate::error;

/// Entries of one append. A constant of the format: look-ups of ids rely on it.
pub(super) const BATCH_ENTRIES_MAX: usize = 64;
/// Bytes of one append.
pub(super) const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Attempts whose ids are kept from being looked up. By the time of those behind them the window has moved on anyway.
const WINDOW_WANTED_BY_MAX: usize = 4_096;

/// One try to append one thing. A second one for the same joins the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum AttemptKey {
    /// The same id with the same body. Another body is another attempt, which is decided after the first.
    Write(WriteId, Fingerprint),
    /// A system entry.
    System(u64),
}

impl AttemptKey {
    pub(super) fn of(request: &Request) -> Self {
        match (&request.proposal.id, &request.proposal.intent) {
            (Some((id, fingerprint)), _) => Self::Write(id.clone(), *fingerprint),
            (None, Intent::System { version, .. }) => Self::System(*version),
            (None, _) => unreachable!("only system entries have no id"),
        }
    }
}

/// Somebody who waits for an attempt.
pub(super) struct Waiter {
    pub(super) answer: oneshot::Sender<Result<Stored>>,
    pub(super) ticket: u64,
    pub(super) deadline: Instant,
    pub(super) link: Option<Link>,
    /// Came when the attempt was under way.
    pub(super) joined: bool,
}

struct Waiting {
    /// Its batch was formed: it cannot be withdrawn.
    begun: bool,
    waiters: SmallVec<[Waiter; 1]>,
}

/// An attempt that waits for its batch.
pub(super) struct Pending {
    pub(super) key: AttemptKey,
    pub(super) request: Request,
    /// Held until the attempt has ended.
    pub(super) reserved: Reserved,
}

/// The state of a lane. Held only for moments, never across an await.
#[derive(Default)]
pub(super) struct Queue {
    /// In order of arrival.
    pending: VecDeque<Pending>,
    /// Of all attempts, pending or begun.
    waiting: HashMap<AttemptKey, Waiting>,
    /// A driver runs. It starts with the first attempt and ends with the last.
    running: bool,
    /// What the last driver knew. Taken by the next one.
    state: Option<LogState>,
    /// Evicted: look the lane up again.
    closed: bool,
    /// Used since eviction last looked.
    touched: bool,
    next_ticket: u64,
}

/// What became of a request that was put in.
pub(super) enum Pushed {
    /// Waits; `start`: the caller has to start the driver.
    Waits { ticket: u64, start: bool },
    /// The lane was evicted meanwhile; here is the request again.
    Closed(Box<(Request, oneshot::Sender<Result<Stored>>)>),
    /// Too many wait.
    Full,
}

impl Queue {
    pub(super) fn push(
        &mut self,
        request: Request,
        answer: oneshot::Sender<Result<Stored>>,
        reserved: Reserved,
        pending_max: usize,
    ) -> Pushed {
        if self.closed {
            return Pushed::Closed(Box::new((request, answer)));
        }
        self.touched = true;
        let ticket = self.next_ticket;
        let key = AttemptKey::of(&request);
        let waiter = Waiter { answer, ticket, deadline: request.deadline, link: request.link.clone(), joined: false };
        if let Some(waiting) = self.waiting.get_mut(&key) {
            if waiting.waiters.len() >= pending_max {
                return Pushed::Full;
            }
            waiting.waiters.push(Waiter { joined: true, ..waiter });
        } else {
            if self.pending.len() >= pending_max {
                return Pushed::Full;
            }
            self.waiting.insert(key.clone(), Waiting { begun: false, waiters: smallvec![waiter] });
            self.pending.push_back(Pending { key, request, reserved });
        }
        self.next_ticket += 1;
        let start = !std::mem::replace(&mut self.running, true);
        Pushed::Waits { ticket, start }
    }

    /// Takes the driver's place: it gets what its predecessor knew.
    pub(super) fn take_state(&mut self) -> Option<LogState> {
        self.state.take()
    }

    /// The next batch: everything that has queued up, within the limits of one append, without those whose time is over.
    /// `None`: nothing is left, and the driver has to end; `state` stays here for the next one.
    pub(super) fn next_batch(&mut self, now: Instant, state: &mut Option<LogState>) -> Option<Vec<Pending>> {
        if let Some(state) = state {
            let next = self.pending.iter().take(WINDOW_WANTED_BY_MAX);
            state.window.keep_after(next.filter_map(|pending| pending.request.known_seq).min());
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_ENTRIES_MAX
            && let Some(next) = self.pending.front()
            && (batch.is_empty() || bytes + next.reserved.bytes <= BATCH_BYTES_MAX)
        {
            let Some(next) = self.pending.pop_front() else { break };
            if self.begin(&next, now) {
                bytes += next.reserved.bytes;
                batch.push(next);
            } else {
                self.waiting.remove(&next.key);
            }
        }
        if batch.is_empty() {
            self.running = false;
            self.state = state.take();
            return None;
        }
        Some(batch)
    }

    /// Whether anybody still waits for it. Past its deadline an entry leaves before its batch is formed; from here on it
    /// cannot be withdrawn.
    fn begin(&mut self, pending: &Pending, now: Instant) -> bool {
        let Some(waiting) = self.waiting.get_mut(&pending.key) else { return false };
        let broken = pending.request.link.as_ref().is_some_and(Link::is_broken);
        for waiter in std::mem::take(&mut waiting.waiters) {
            if waiter.deadline <= now {
                waiter.fail(error::too_late_not_attempted());
            } else if broken && !waiter.joined {
                waiter.fail(error::predecessor_failed());
            } else {
                waiting.waiters.push(waiter);
            }
        }
        waiting.begun = true;
        !waiting.waiters.is_empty()
    }

    /// Ends an attempt: whoever waits for it is to be told.
    pub(super) fn finish(&mut self, key: &AttemptKey) -> SmallVec<[Waiter; 1]> {
        self.waiting.remove(key).map(|waiting| waiting.waiters).unwrap_or_default()
    }

    /// A waiter whose time is over leaves. True: its attempt has not begun, so this call stores nothing.
    pub(super) fn withdraw(&mut self, ticket: u64) -> bool {
        for waiting in self.waiting.values_mut() {
            if let Some(index) = waiting.waiters.iter().position(|waiter| waiter.ticket == ticket) {
                waiting.waiters.remove(index);
                return !waiting.begun;
            }
        }
        false
    }

    /// The driver died: those who wait hear that nobody knows, and the next attempt starts anew.
    pub(super) fn abandon(&mut self) {
        self.pending.clear();
        self.waiting.clear();
        self.state = None;
        self.running = false;
    }

    /// Closes the lane if nothing happens in it. `false`: it is busy, or was used since the last look.
    pub(super) fn close_if_idle(&mut self) -> bool {
        if self.running || std::mem::take(&mut self.touched) {
            return false;
        }
        self.closed = true;
        true
    }
}

impl Waiter {
    /// Tells a failure, after which later sends of its chain must not be stored.
    pub(super) fn fail(self, error: viberchat_kit::error::Error) {
        if let Some(link) = &self.link {
            link.fail();
        }
        // Nobody may be left to hear it.
        let _ = self.answer.send(Err(error));
    }
}
