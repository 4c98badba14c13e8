//! The one pump of a session: fills conversations that are behind, one read at a time, as fast as the socket drains.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{Head, LogEntry, ReadLogResponse};

use super::conversations::Needs;
use super::{Phase, Session};
use crate::fanout::Slot;
use crate::frames;

/// Conversations that are announced together.
const ANNOUNCED_MAX: usize = 100;

/// Waits after failures: doubled each time, up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// Wait for a conversation that the services do not show to the user yet.
const PARKED: Duration = Duration::from_millis(500);

/// What the owner of the session is to read on behalf of its user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Entries of a conversation.
    Log {
        /// Which one.
        conversation: ConversationId,
        /// The first entry is the one after this.
        after_seq: u64,
        /// At most this many.
        limit: u32,
        /// Of at most so many bytes: more would not find room.
        bytes_max: u32,
    },
    /// Heads and unread counts.
    Heads(Vec<ConversationId>),
}

/// What came of a [`Job`].
#[derive(Debug)]
pub(crate) enum JobDone {
    /// Of [`Job::Log`].
    Log(Result<ReadLogResponse, Error>),
    /// Of [`Job::Heads`].
    Heads(Result<Vec<Head>, Error>),
}

/// For whom a read is under way. A slot that was taken away meanwhile is `None`.
enum Reading {
    Log { slot: Option<Slot>, after_seq: u64 },
    Heads(Vec<Option<Slot>>),
}

#[derive(Default)]
pub(super) struct Pump {
    reading: Option<Reading>,
    /// After a failure that concerns all conversations, none is read before.
    retry_at: Option<Instant>,
    failures: u32,
    /// When conversations that have left the work queue unfinished come back to it.
    parked_until: Option<Instant>,
}

impl Pump {
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.parked_until).min()
    }

    /// Whether parked conversations are to come back.
    pub(super) fn end_parking(&mut self, now: Instant) -> bool {
        let over = self.parked_until.is_some_and(|until| until <= now);
        if over {
            self.parked_until = None;
        }
        over
    }

    /// The slot is no longer what the read under way was begun for.
    pub(super) fn forget(&mut self, removed: Slot) {
        let forget = |slot: &mut Option<Slot>| *slot = slot.filter(|slot| *slot != removed);
        match &mut self.reading {
            None => {}
            Some(Reading::Log { slot, .. }) => forget(slot),
            Some(Reading::Heads(slots)) => slots.iter_mut().for_each(forget),
        }
    }

    fn fail(&mut self, now: Instant) {
        self.retry_at = Some(now + RETRY_FIRST * 2u32.pow(self.failures.min(RETRY_DOUBLINGS_MAX)));
        self.failures += 1;
    }

    fn succeed(&mut self) {
        self.retry_at = None;
        self.failures = 0;
    }
}

/// What the slot whose turn it is needs next.
enum Turn {
    /// Nothing more.
    End,
    /// A frame was queued; ask again.
    Again,
    /// A read.
    Read(Job, Reading),
}

impl Session {
    /// Queues what can be queued without a read, as long as there is room, and returns the next read. The owner brings
    /// its result to [`Session::job_done`], and calls again whenever the outbox has drained or something has changed.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Job> {
        if !matches!(self.phase, Phase::Live) || self.closing.is_some() {
            return None;
        }
        let mut job = None;
        while self.outbox.has_room_for_filling() {
            if self.queue_ended() {
                continue;
            }
            let Some(slot) = self.conversations.next_work() else { break };
            match self.take_turn(slot) {
                Turn::End => self.conversations.end_turn(),
                Turn::Again => {}
                Turn::Read(wanted, reading) => {
                    if self.pump.reading.is_none() && self.pump.retry_at.is_none_or(|at| at <= now) {
                        self.pump.reading = Some(reading);
                        job = Some(wanted);
                    }
                    break;
                }
            }
        }
        self.queue_positions();
        self.queue_soft(now);
        self.queue_ready();
        job
    }

    /// Takes the result of a read.
    pub(crate) fn job_done(&mut self, now: Instant, done: JobDone) {
        match (self.pump.reading.take(), done) {
            (Some(Reading::Log { slot, after_seq }), JobDone::Log(result)) => {
                self.log_read(now, slot, after_seq, result);
            }
            (Some(Reading::Heads(slots)), JobDone::Heads(result)) => self.heads_read(now, &slots, result),
            _ => debug_assert!(false, "a result without its read"),
        }
    }

    /// One conversation that ended, or that the resume named and is not the user's.
    fn queue_ended(&mut self) -> bool {
        if let Some(resuming) = &mut self.resuming
            && let Some(conversation) = resuming.resets.pop_front()
        {
            self.queue_push(&frames::resumed_reset(conversation, true));
            return true;
        }
        let Some(conversation) = self.removed.pop_front() else { return false };
        self.queue_push(&frames::conversation_removed(conversation));
        true
    }

    fn queue_positions(&mut self) {
        while !self.positions.is_empty() && self.outbox.has_room_for_filling() {
            let positions = self.positions.take();
            self.queue_push(&frames::positions(positions));
        }
    }

    /// The resume is over, or there was none.
    pub(super) fn queue_ready(&mut self) {
        if self.resuming.as_ref().is_some_and(|resuming| resuming.open == 0 && resuming.resets.is_empty()) {
            self.resuming = None;
            self.queue_push(&frames::ready());
        }
    }

    fn take_turn(&mut self, slot: Slot) -> Turn {
        let Some((conversation, topic)) = self.conversations.get_mut(slot) else { return Turn::End };
        if conversation.needs(Needs::ANNOUNCE) {
            return self.read_heads();
        }
        if conversation.clear(Needs::CHANGED) {
            self.queue_push(&frames::conversation_changed(topic.conversation()));
            return Turn::Again;
        }
        let (pushed_seq, head_seq) = (conversation.pushed_seq, topic.head_seq());
        let is_behind = conversation.is_behind();
        if conversation.needs(Needs::VERDICT) {
            let target = self.target(slot);
            if pushed_seq == target {
                self.queue_complete(slot, topic.conversation(), target);
                return Turn::Again;
            }
            if pushed_seq > target && pushed_seq > head_seq {
                // Heads here may lag behind what the client saw through another gateway: ask the log itself.
                return Turn::Read(self.read_log(topic.conversation(), pushed_seq, 1), reading(slot, pushed_seq));
            }
            if pushed_seq > target {
                self.queue_complete(slot, topic.conversation(), pushed_seq);
                return Turn::Again;
            }
            if target - pushed_seq > u64::from(self.config.resume_entries_max) {
                self.queue_gap(slot, topic.conversation(), head_seq);
                return Turn::Again;
            }
        } else if !is_behind {
            return Turn::End;
        }
        let limit = self.config.pump_entries_max;
        Turn::Read(self.read_log(topic.conversation(), pushed_seq, limit), reading(slot, pushed_seq))
    }

    fn read_log(&self, conversation: ConversationId, after_seq: u64, limit: u32) -> Job {
        let bytes_max = u32::try_from(self.outbox.page_bytes_max()).unwrap_or(u32::MAX);
        Job::Log { conversation, after_seq, limit, bytes_max }
    }

    /// Announces the slot whose turn it is together with those behind it.
    fn read_heads(&mut self) -> Turn {
        let mut slots = Vec::new();
        let mut ids = Vec::new();
        let queue: Vec<_> = self.conversations.work().take(ANNOUNCED_MAX).collect();
        for slot in queue {
            if let Some((conversation, topic)) = self.conversations.get_mut(slot)
                && conversation.needs(Needs::ANNOUNCE)
            {
                slots.push(Some(slot));
                ids.push(topic.conversation());
            }
        }
        Turn::Read(Job::Heads(ids), Reading::Heads(slots))
    }

    fn target(&self, slot: Slot) -> u64 {
        self.resuming.as_ref().and_then(|resuming| resuming.targets.get(&slot).copied()).unwrap_or(0)
    }

    fn queue_complete(&mut self, slot: Slot, conversation: ConversationId, head_seq: u64) {
        self.queue_push(&frames::resumed_complete(conversation, head_seq));
        self.end_resume(slot);
    }

    fn queue_gap(&mut self, slot: Slot, conversation: ConversationId, head_seq: u64) {
        if let Some((state, _)) = self.conversations.get_mut(slot) {
            state.pushed_seq = head_seq;
        }
        self.queue_push(&frames::resumed_gap(conversation, head_seq + 1));
        self.end_resume(slot);
    }

    fn queue_reset(&mut self, slot: Slot, conversation: ConversationId, head_seq: u64, removed: bool) {
        if let Some((state, _)) = self.conversations.get_mut(slot) {
            state.pushed_seq = head_seq;
        }
        self.queue_push(&frames::resumed_reset(conversation, removed));
        self.end_resume(slot);
    }

    /// The conversation has its verdict.
    fn end_resume(&mut self, slot: Slot) {
        let Some((conversation, _)) = self.conversations.get_mut(slot) else { return };
        conversation.clear(Needs::VERDICT);
        self.settle(slot);
        if let Some(resuming) = &mut self.resuming {
            resuming.targets.remove(&slot);
        }
    }

    /// `ready` waits for the slot no longer.
    fn settle(&mut self, slot: Slot) {
        if let Some((conversation, _)) = self.conversations.get_mut(slot)
            && conversation.clear(Needs::BEFORE_READY)
            && let Some(resuming) = &mut self.resuming
        {
            resuming.open -= 1;
        }
    }

    fn log_read(&mut self, now: Instant, slot: Option<Slot>, after_seq: u64, result: Result<ReadLogResponse, Error>) {
        let Some(slot) = slot else { return };
        let Some((conversation, topic)) = self.conversations.get_mut(slot) else { return };
        let has_verdict = !conversation.needs(Needs::VERDICT);
        let id = topic.conversation();
        match result {
            Ok(page) if page.head_seq < after_seq && !has_verdict => {
                self.pump.succeed();
                self.queue_reset(slot, id, page.head_seq, false);
            }
            Ok(page) if page.entries.is_empty() && !has_verdict && page.head_seq == after_seq => {
                self.pump.succeed();
                self.queue_complete(slot, id, after_seq);
            }
            Ok(page) => {
                let before = conversation.pushed_seq;
                self.queue_page(slot, id, page.entries);
                let moved = self.conversations.get_mut(slot).is_some_and(|(now, _)| now.pushed_seq > before);
                // Without progress the same question would be asked at once, and again.
                if moved || before > after_seq || !self.outbox.has_room_for_filling() {
                    self.pump.succeed();
                } else {
                    self.pump.fail(now);
                }
            }
            Err(error) if !has_verdict && error.reason == Reason::InvalidArgument => {
                // No log is that long.
                let head_seq = topic.head_seq();
                self.queue_reset(slot, id, head_seq, false);
            }
            Err(error) if is_final(&error) => {
                if !has_verdict {
                    self.queue_reset(slot, id, after_seq, true);
                }
                // The membership's end is on its way; if it is not, the next heartbeat asks again.
                return self.conversations.end_turn_of(slot);
            }
            Err(_) => self.pump.fail(now),
        }
        self.conversations.rotate_work();
    }

    /// Queues the entries of a page that are next, as far as there is room; the others are read again.
    fn queue_page(&mut self, slot: Slot, id: ConversationId, entries: Vec<LogEntry>) {
        let target = self.target(slot);
        for entry in entries {
            let Some((conversation, _)) = self.conversations.get_mut(slot) else { return };
            let last_seq = last_seq(&entry);
            if last_seq <= conversation.pushed_seq {
                continue;
            }
            let wants_verdict = conversation.needs(Needs::VERDICT);
            if entry.seq != conversation.pushed_seq + 1 {
                return;
            }
            let frame = self.encoding.encode(&frames::entry(entry));
            if !self.outbox.try_push(frame) {
                return;
            }
            conversation.pushed_seq = last_seq;
            if wants_verdict && last_seq >= target {
                self.queue_complete(slot, id, last_seq);
            }
        }
    }

    fn heads_read(&mut self, now: Instant, slots: &[Option<Slot>], result: Result<Vec<Head>, Error>) {
        let Ok(heads) = result else { return self.pump.fail(now) };
        let heads: HashMap<_, _> =
            heads.iter().filter_map(|head| Some((ConversationId::parse(&head.conversation_id).ok()?, head))).collect();
        for slot in slots.iter().copied().flatten() {
            let Some((conversation, topic)) = self.conversations.get_mut(slot) else { continue };
            let id = topic.conversation();
            match heads.get(&id) {
                Some(head) => {
                    conversation.clear(Needs::ANNOUNCE);
                    conversation.pushed_seq = head.head_seq;
                    let (head_seq, unread_count) = (head.head_seq, head.unread_count);
                    self.queue_push(&frames::conversation_added(id, head_seq, unread_count));
                }
                // The joining is not in the log yet: it is announced when it is, and `ready` does not wait for it.
                None => {
                    self.pump.parked_until = Some(now + PARKED);
                    self.conversations.end_turn_of(slot);
                }
            }
            self.settle(slot);
        }
        self.pump.succeed();
    }
}

fn reading(slot: Slot, after_seq: u64) -> Reading {
    Reading::Log { slot: Some(slot), after_seq }
}

/// An entry stands for itself, or for all that the reader may not see.
fn last_seq(entry: &LogEntry) -> u64 {
    match entry.body.as_ref().and_then(|body| body.body.as_ref()) {
        Some(Body::Hidden(hidden)) => hidden.to_seq.max(entry.seq),
        _ => entry.seq,
    }
}

fn is_final(error: &Error) -> bool {
    matches!(error.reason, Reason::ConversationNotFound | Reason::PermissionDenied)
}
