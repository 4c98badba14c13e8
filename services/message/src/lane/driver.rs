//! Runs the batches of a lane, one after the other, until nothing waits. Runs in a tracked task: callers may go away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::fault;

use super::decide::{Decision, Verdict, decide};
use super::prepare::{self, Prepared};
use super::queue::{AttemptKey, Pending};
use super::{Lane, Request, Reserved, Stored, Tools, append};
use crate::domain::dedup::Found;
use crate::domain::entry::Entry;
use crate::domain::head::LogState;
use crate::domain::position::Position;
use crate::store::{Appended, StoreError};
use crate::{convert, error};

/// How often a batch is decided again before its callers are asked to come back.
const ROUNDS_MAX: u32 = 12;
/// Changes of members that a lane remembers.
const CHANGES_MAX: usize = 512;

/// What one attempt carries from round to round.
pub(super) struct Attempt {
    pub(super) key: AttemptKey,
    pub(super) request: Request,
    /// Its id is certainly not in the log up to here. `None`: unknown.
    pub(super) clear_to: Option<u64>,
    /// Where a look-up found the id.
    pub(super) found: Option<Found>,
    /// It was in an append after this head whose outcome is unknown.
    pub(super) in_doubt_at: Option<u64>,
    _reserved: Reserved,
}

/// A driver's view of its lane.
pub(super) struct Driver {
    pub(super) tools: Arc<Tools>,
    pub(super) lane: Arc<Lane>,
    pub(super) memory: crate::domain::head::Memory,
    /// `None`: not loaded, or no longer sure.
    pub(super) state: Option<LogState>,
}

/// Starts the driver of a lane that has none.
pub(super) fn start(tools: &Arc<Tools>, lane: &Arc<Lane>, ids_max: usize) {
    let driver = Driver {
        tools: tools.clone(),
        lane: lane.clone(),
        memory: crate::domain::head::Memory { ids_max, changes_max: CHANGES_MAX },
        state: lane.queue.lock().take_state(),
    };
    tools.lifecycle.spawn("message-lane", driver.run());
}

/// An entry that an append has stored whose outcome was unknown.
struct LateNews {
    seq: u64,
    moves_position: bool,
}

fn late_news(attempts: &[Attempt], decision: &Decision) -> Vec<LateNews> {
    let decided = attempts.iter().zip(&decision.verdicts);
    let late = decided.filter_map(|(attempt, verdict)| match verdict {
        Verdict::Before { seq } if attempt.in_doubt_at.is_some() => Some((attempt, *seq)),
        _ => None,
    });
    late.map(|(attempt, seq)| LateNews { seq, moves_position: attempt.request.proposal.intent.moves_position() })
        .collect()
}

/// How a round ended.
enum Round {
    /// Everybody can be told.
    Done(Decision),
    /// The log has moved, or nobody knows: decide everything again.
    Again,
    /// The store or the conversation service does not answer.
    Failed(Error),
}

impl Driver {
    async fn run(mut self) {
        let guard = AbandonOnPanic(self.lane.clone());
        loop {
            let batch = self.lane.queue.lock().next_batch(Instant::now(), &mut self.state);
            let Some(batch) = batch else { break };
            self.run_batch(batch.into_iter().map(Attempt::from).collect()).await;
        }
        std::mem::forget(guard);
    }

    async fn run_batch(&mut self, mut attempts: Vec<Attempt>) {
        let mut lost = false;
        let mut prepared = Prepared::default();
        for round in 0..ROUNDS_MAX {
            match self.round(&mut attempts, &mut prepared, lost).await {
                Round::Done(decision) => {
                    let late = late_news(&attempts, &decision);
                    self.deliver(attempts, decision);
                    return self.tell_late(late).await;
                }
                Round::Failed(error) => return self.fail(attempts, &error),
                Round::Again => {
                    lost = true;
                    self.back_off(round).await;
                }
            }
        }
        self.fail(attempts, &error::overloaded());
    }

    async fn round(&mut self, attempts: &mut [Attempt], prepared: &mut Prepared, lost: bool) -> Round {
        // Decide at the head: ids and rules on the state with all entries up to the expected head applied. After a lost
        // condition everything is decided again, not only the ids: else an edit lands after a deletion, or a removed
        // member speaks once more.
        if let Err(error) = prepare::run(self, attempts, prepared, lost).await {
            return Round::Failed(error);
        }
        let Some(state) = &self.state else { return Round::Again };
        let decision = decide(self.lane.conversation_id, state, attempts, prepared, &self.tools, lost);
        if decision.entries.is_empty() {
            return Round::Done(decision);
        }
        // Mutant `ack_before_write`: callers hear of it before it is stored.
        if fault::mutant("ack_before_write") {
            return self.acknowledge_too_early(attempts, decision).await;
        }
        let expected_head = state.head.seq;
        let write = append::of_decision(self.lane.conversation_id, expected_head, &decision);
        match self.tools.store.append(write).await {
            Ok(Appended::Stored) => {
                fault::kill_point("message.log_committed");
                self.stored(&decision);
                Round::Done(decision)
            }
            Ok(Appended::Conflict { head }) => {
                self.tools.metrics.conditions_lost.inc();
                tracing::debug!(expected_head, head, "condition lost");
                self.catch_up().await
            }
            Ok(Appended::IdTaken) => {
                // A client's `known_seq` was too high. Ask the store for every id of the batch.
                for attempt in attempts.iter_mut() {
                    attempt.clear_to = None;
                }
                Round::Again
            }
            // An unknown outcome is a lost condition: read, compare, decide, append again under the same condition.
            Err(StoreError::OutcomeUnknown(cause)) => {
                self.tools.metrics.outcomes_unknown.inc();
                tracing::warn!(cause, "outcome of an append unknown");
                decision.doubt(attempts, expected_head);
                self.catch_up().await
            }
            Err(error) => Round::Failed(error.into()),
        }
    }

    /// The log as it is now: what came after the known head is applied.
    async fn catch_up(&mut self) -> Round {
        match prepare::catch_up(self).await {
            Ok(()) => Round::Again,
            Err(error) => Round::Failed(error),
        }
    }

    /// Our own append is a delta that need not be read.
    fn stored(&mut self, decision: &Decision) {
        self.tools.metrics.append_entries.observe(decision.entries.len() as f64);
        if let Some(state) = &mut self.state {
            for drafted in &decision.entries {
                state.apply(drafted.step());
            }
        }
    }

    /// Instances that want the same place wait for a moment of different length.
    async fn back_off(&self, round: u32) {
        const STEP: Duration = Duration::from_micros(500);
        if round == 0 {
            return;
        }
        let mut random = [0; 2];
        self.tools.entropy.fill(&mut random);
        let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
        tokio::time::sleep((STEP * (1 << round.min(6))).mul_f64(share)).await;
    }

    /// Tells everybody, callers first, subscribers then.
    fn deliver(&self, attempts: Vec<Attempt>, decision: Decision) {
        let Decision { entries, verdicts } = decision;
        let positions = append::positions(&entries);
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(|drafted| Arc::new(drafted.entry)).collect();
        for (attempt, verdict) in attempts.into_iter().zip(verdicts) {
            let result = match verdict {
                Verdict::Append { index } => Ok(Stored::Appended { entry: entries[index].clone(), duplicate: false }),
                Verdict::Before { seq } => {
                    let duplicate = attempt.in_doubt_at.is_none();
                    self.tools.metrics.duplicates.inc_by(u64::from(duplicate));
                    Ok(Stored::Before { seq, duplicate })
                }
                Verdict::Unchanged => Ok(Stored::Unchanged),
                Verdict::Refused(error) => Err(error),
            };
            self.tell(&attempt, &result);
        }
        self.tools.activity.note(&entries);
        self.tools.bus.publish(self.lane.conversation_id, &entries, &positions);
    }

    /// Tells subscribers of entries of which it was unknown for a while whether they are stored: they are.
    async fn tell_late(&self, late: Vec<LateNews>) {
        let conversation_id = self.lane.conversation_id;
        for LateNews { seq, moves_position } in late {
            let read = prepare::record_at(self, seq).await;
            let entry =
                read.and_then(|record| record.map(|record| convert::entry(conversation_id, record)).transpose());
            match entry {
                Ok(entry) => {
                    let entry = entry.map(Arc::new);
                    let moved = entry.as_ref().filter(|_| moves_position);
                    let moved = moved.map(|entry| Position::read(entry.actor.clone(), entry.seq, entry.message_no));
                    self.tools.activity.note(entry.as_slice());
                    self.tools.bus.publish(conversation_id, entry.as_slice(), moved.as_slice());
                }
                // The audit of heads finds it.
                Err(error) => tracing::debug!(%conversation_id, seq, %error, "an entry is not told of yet"),
            }
        }
    }

    /// Nothing was stored of this batch, except what an earlier round left in doubt.
    fn fail(&mut self, attempts: Vec<Attempt>, error: &Error) {
        // What is known may be why it failed.
        self.state = None;
        for attempt in attempts {
            // "Not stored" is never said of what may still sit in a queue.
            let error = if attempt.in_doubt_at.is_some() { error::outcome_unknown() } else { error.clone() };
            self.tell(&attempt, &Err(error));
        }
    }

    fn tell(&self, attempt: &Attempt, result: &Result<Stored>) {
        let waiters = self.lane.queue.lock().finish(&attempt.key);
        for waiter in waiters {
            match result.clone() {
                // Nobody may be left to hear it.
                Ok(stored) => drop(waiter.answer.send(Ok(stored.seen_by(waiter.joined)))),
                Err(error) => waiter.fail(error),
            }
        }
    }

    async fn acknowledge_too_early(&mut self, attempts: &mut [Attempt], decision: Decision) -> Round {
        const LATE: Duration = Duration::from_millis(20);
        let Some(expected_head) = self.state.as_ref().map(|state| state.head.seq) else { return Round::Again };
        let write = append::of_decision(self.lane.conversation_id, expected_head, &decision);
        for (attempt, verdict) in attempts.iter().zip(&decision.verdicts) {
            if let Verdict::Append { index } = verdict {
                let entry = Arc::new(decision.entries[*index].entry.clone());
                self.tell(attempt, &Ok(Stored::Appended { entry, duplicate: false }));
            }
        }
        tokio::time::sleep(LATE).await;
        match self.tools.store.append(write).await {
            Ok(Appended::Stored) => {
                self.stored(&decision);
                Round::Done(decision)
            }
            _ => self.catch_up().await,
        }
    }
}

impl From<Pending> for Attempt {
    fn from(pending: Pending) -> Self {
        let Pending { key, request, reserved } = pending;
        let clear_to = request.known_seq;
        Self { key, request, clear_to, found: None, in_doubt_at: None, _reserved: reserved }
    }
}

impl Stored {
    fn seen_by(self, joined: bool) -> Self {
        match self {
            Self::Appended { entry, .. } => Self::Appended { entry, duplicate: joined },
            Self::Before { seq, duplicate } => Self::Before { seq, duplicate: duplicate || joined },
            Self::Unchanged => Self::Unchanged,
        }
    }
}

/// Frees the lane when its driver panics. Those who wait hear that nobody knows.
struct AbandonOnPanic(Arc<Lane>);

impl Drop for AbandonOnPanic {
    fn drop(&mut self) {
        self.0.queue.lock().abandon();
    }
}
