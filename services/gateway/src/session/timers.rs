//! What is due at a time. The owner asks for the next time, and comes back then; there is no timer per session.

use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;

use super::{Phase, Session};
use crate::close::Close;
use crate::config::millis;
use crate::frames;

/// Heads in one heartbeat; the others come with the next.
const HEARTBEAT_HEADS_MAX: usize = 200;

pub(super) struct Timers {
    last_heard: Instant,
    /// From welcome on.
    next_heartbeat: Option<Instant>,
    /// Since when the socket takes nothing, while something waits for it.
    stalled_since: Option<Instant>,
    token_announced: bool,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_heard: now, next_heartbeat: None, stalled_since: None, token_announced: false }
    }

    pub(super) fn begin_heartbeats(&mut self, first: Instant) {
        self.next_heartbeat = Some(first);
    }
}

impl Session {
    /// The client said something, or could not because nothing is read from it.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.timers.last_heard = now;
    }

    /// The socket takes no more bytes, or took some.
    pub(crate) fn set_stalled(&mut self, now: Instant, stalled: bool) {
        match stalled {
            false => self.timers.stalled_since = None,
            true => _ = self.timers.stalled_since.get_or_insert(now),
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.timers.stalled_since.is_some()
    }

    /// A newer token of the same user: the session lasts as long as the one that ends later. Returns when that is.
    pub(crate) fn extend_token(&mut self, ends: (Instant, Timestamp)) -> Timestamp {
        let (at, expires) = self.token_ends.filter(|(at, _)| *at > ends.0).unwrap_or(ends);
        self.token_ends = Some((at, expires));
        self.timers.token_announced = false;
        expires
    }

    /// The hello is good so far, and waits for its turn.
    pub(crate) fn hold_hello(&mut self, now: Instant) {
        if let Phase::Hello { until } = &mut self.phase {
            *until = now + millis(self.config.resume_timeout_ms);
        }
    }

    /// Does what is due, and says when to come back at the latest.
    pub(crate) fn tick(&mut self, now: Instant) -> Instant {
        if !self.may_read() {
            // It is ours to read again; silence counts from then on.
            self.heard(now);
        }
        self.close_if_late(now);
        self.announce_token_end(now);
        self.activity.look(now);
        self.queue_heartbeat(now);
        if self.pump.end_parking(now) {
            self.conversations.queue_behind(0);
        }
        self.next_tick(now)
    }

    fn close_if_late(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.handshake_ends()) {
            self.close(Close::ProtocolError);
        } else if due(self.stall_ends()) {
            self.close(Close::SlowConsumer);
        } else if due(self.token_ends.map(|(at, _)| at)) {
            self.close(Close::TokenExpired);
        } else if due(Some(self.silence_ends())) {
            self.close(Close::Silent);
        }
    }

    fn announce_token_end(&mut self, now: Instant) {
        if self.token_notice().is_some_and(|at| at <= now)
            && let Some((_, expires)) = self.token_ends
        {
            self.timers.token_announced = true;
            self.queue_push(&frames::token_expires(expires));
        }
    }

    fn queue_heartbeat(&mut self, now: Instant) {
        if self.timers.next_heartbeat.is_some_and(|due| due <= now) {
            self.beat(now);
        }
    }

    /// The client's heartbeat is a good time for ours, unless the last one was a moment ago: both ends wake up once.
    pub(super) fn answer_heartbeat(&mut self, now: Instant) {
        let interval = millis(self.config.heartbeat_ms);
        if self.timers.next_heartbeat.is_some_and(|due| due <= now + interval * 9 / 10) {
            self.beat(now);
        }
    }

    fn beat(&mut self, now: Instant) {
        self.timers.next_heartbeat = Some(now + millis(self.config.heartbeat_ms));
        let heads = self.conversations.queue_behind(HEARTBEAT_HEADS_MAX);
        // No room: the client is busy reading, and hears from us all the same.
        let _queued = self.outbox.try_push(self.encoding.encode(&frames::heartbeat(heads)));
    }

    /// The next time after `now` at which something is due.
    pub(crate) fn next_tick(&self, now: Instant) -> Instant {
        let times = [
            self.handshake_ends(),
            self.stall_ends(),
            self.token_notice(),
            self.token_ends.map(|(at, _)| at),
            Some(self.silence_ends()),
            self.timers.next_heartbeat,
            self.pump.next_tick(),
        ];
        let next = times.into_iter().flatten().filter(|at| *at > now).min();
        next.unwrap_or(now + Duration::from_secs(1))
    }

    fn handshake_ends(&self) -> Option<Instant> {
        match self.phase {
            Phase::Hello { until } | Phase::Resume { until, .. } => Some(until),
            Phase::Memberships { .. } | Phase::Live => None,
        }
    }

    fn silence_ends(&self) -> Instant {
        self.timers.last_heard + millis(self.config.silence_ms_max)
    }

    fn stall_ends(&self) -> Option<Instant> {
        self.timers.stalled_since.map(|since| since + millis(self.config.stall_ms_max))
    }

    fn token_notice(&self) -> Option<Instant> {
        let (ends, _) = self.token_ends.filter(|_| !self.timers.token_announced)?;
        ends.checked_sub(millis(self.config.token_notice_ms))
    }
}
