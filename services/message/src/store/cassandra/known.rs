//! What a handle knows of a log: a verified head, and how far its projections are written. Entries at or below a verified
//! head never change, so what is known stays true, and only becomes old.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use viberchat_kit::id::{ConversationId, UserId};

use super::effects::Effects;
use super::row::EntryRow;
use super::together::Together;
use crate::domain::head::Head;
use crate::domain::position::Position;
use crate::store::Result;

/// One log.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) conversation_id: ConversationId,
    /// The first part of every time of a projection.
    pub(super) generation: u64,
    /// Who wants to know its end.
    pub(super) readers: Together,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    head: Head,
    /// The state that entries up to here make of messages and members is written; their senders' positions are written, or
    /// stand in `sent`.
    settled: u64,
    /// Positions that are not written yet.
    sent: HashMap<UserId, Position>,
    /// As `conversation_tail` has it, or less.
    projected: u64,
}

/// What is to be written of a log, as of one moment.
pub(super) struct Due {
    pub(super) positions: Vec<Position>,
    /// Everything up to here is written once `positions` are.
    pub(super) projected: u64,
}

impl Known {
    /// As it was loaded: projections are written up to `projected`.
    pub(super) fn new(conversation_id: ConversationId, generation: u64, head: Head, projected: u64) -> Arc<Self> {
        let state = State { head, settled: projected.min(head.seq), sent: HashMap::new(), projected };
        Arc::new(Self { conversation_id, generation, readers: Together::default(), state: Mutex::new(state) })
    }

    pub(super) fn head(&self) -> Head {
        self.state.lock().head
    }

    pub(super) fn settled(&self) -> u64 {
        self.state.lock().settled
    }

    /// Takes rows that follow a verified head without a gap. What needs no write before it is seen is settled at once.
    pub(super) fn learn(&self, rows: &[EntryRow]) -> Result<Head> {
        for row in rows {
            let deferrable = if row.seq() == self.settled() + 1 {
                let effects = Effects::decode(row.seq(), row.effects.as_deref())?;
                effects.is_deferrable().then_some(effects)
            } else {
                None
            };
            let mut state = self.state.lock();
            if row.seq() == state.head.seq + 1 {
                state.head = row.head();
            }
            if let Some(effects) = deferrable {
                state.settle(row.seq(), &effects.sent);
            }
        }
        Ok(self.head())
    }

    /// An own append was stored.
    pub(super) fn appended(&self, head: Head) {
        let mut state = self.state.lock();
        if head.seq > state.head.seq {
            state.head = head;
        }
    }

    /// What the entry at `seq` does is written, `sent` excepted, which it leaves for later.
    pub(super) fn settle(&self, seq: u64, sent: &[Position]) {
        self.state.lock().settle(seq, sent);
    }

    /// Somebody else has settled it up to here, positions included.
    pub(super) fn skip_to(&self, projected: u64) {
        let mut state = self.state.lock();
        state.settled = state.settled.max(projected.min(state.head.seq));
    }

    /// A user's position that is not written yet.
    pub(super) fn sent(&self, user: &UserId) -> Option<Position> {
        self.state.lock().sent.get(user).cloned()
    }

    /// All positions that are not written yet.
    pub(super) fn all_sent(&self) -> Vec<Position> {
        self.state.lock().sent.values().cloned().collect()
    }

    /// Entries of which something is not written, or not said to be.
    pub(super) fn unwritten(&self) -> u64 {
        let state = self.state.lock();
        state.settled - state.projected.min(state.settled)
    }

    /// `None`: nothing has happened since.
    pub(super) fn due(&self) -> Option<Due> {
        let state = self.state.lock();
        let due = Due { positions: state.sent.values().cloned().collect(), projected: state.settled };
        (due.projected > state.projected || !due.positions.is_empty()).then_some(due)
    }

    /// That was written. Positions that have moved on meanwhile stay.
    pub(super) fn written(&self, due: &Due) {
        let mut state = self.state.lock();
        for position in &due.positions {
            if state.sent.get(&position.user) == Some(position) {
                state.sent.remove(&position.user);
            }
        }
        state.projected = state.projected.max(due.projected);
    }
}

impl State {
    fn settle(&mut self, seq: u64, sent: &[Position]) {
        if seq != self.settled + 1 {
            return;
        }
        self.settled = seq;
        for position in sent {
            match self.sent.get_mut(&position.user) {
                Some(known) => drop(known.advance(position)),
                None => drop(self.sent.insert(position.user.clone(), position.clone())),
            }
        }
    }
}
