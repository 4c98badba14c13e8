//! Leaves an instance out that fails again and again. Pure: time and randomness are parameters.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row.
const FAILURES_MAX: u32 = 5;
/// How long it is left out at first; doubled each time that a probe fails.
const OUT_MIN: Duration = Duration::from_millis(500);
const OUT_MAX: Duration = Duration::from_secs(5);

/// What is known of an instance by the calls to it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Times that it was left out in a row.
    times_out: u32,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    In,
    Out {
        until: Instant,
    },
    /// One call is under way that will tell.
    Probed,
}

impl Breaker {
    /// Whether a call may go there now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::In => true,
            State::Out { until } => until <= now,
            State::Probed => false,
        }
    }

    /// A call that was admitted begins.
    pub(super) fn begin(&mut self) {
        if self.state != State::In {
            self.state = State::Probed;
        }
    }

    /// It was answered, whatever the answer says.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It was lost, or not answered in time. `jitter` is 0 to 1. `true`: the instance is left out from now on.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) -> bool {
        self.failures += 1;
        let is_out = self.state == State::Probed || (self.state == State::In && self.failures >= FAILURES_MAX);
        if is_out {
            let longest = OUT_MIN.saturating_mul(1 << self.times_out.min(8)).min(OUT_MAX);
            self.times_out += 1;
            // At least half of it, so that callers do not come back together.
            self.state = State::Out { until: now + longest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0) };
        }
        is_out
    }

    /// Nobody waits for the call any more. If it was a probe, the next call is one.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if self.state == State::Probed {
            self.state = State::Out { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let failed: Vec<_> = (0..FAILURES_MAX).map(|_| breaker.failed(now, 1.0)).collect();
        assert_eq!(failed, [false, false, false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_leave_it_out_and_one_success_between_does_not() {
        let now = Instant::now();
        assert!(!out(now).admits(now));
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX * 3 {
            breaker.failed(now, 0.0);
            breaker.failed(now, 0.0);
            breaker.succeeded();
        }
        assert!(breaker.admits(now));
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let now = Instant::now();
        let mut breaker = out(now);
        let later = now + OUT_MIN;
        assert!(!breaker.admits(later - Duration::from_millis(1)) && breaker.admits(later));
        breaker.begin();
        assert!(!breaker.admits(later), "the probe is under way");
        assert!(breaker.failed(later, 1.0));
        assert!(!breaker.admits(later + OUT_MIN) && breaker.admits(later + OUT_MIN * 2), "twice as long");
        breaker.begin();
        breaker.succeeded();
        assert!(breaker.admits(later));
    }

    #[test]
    fn a_probe_that_nobody_waits_for_makes_room_for_the_next() {
        let now = Instant::now();
        let mut breaker = out(now);
        breaker.begin();
        breaker.abandoned(now + OUT_MIN);
        assert!(breaker.admits(now + OUT_MIN));
        let mut healthy = Breaker::default();
        healthy.abandoned(now);
        assert!(healthy.admits(now));
    }

    #[test]
    fn it_is_never_out_for_longer_than_the_most_and_jitter_shortens_it_by_half() {
        let now = Instant::now();
        let mut breaker = out(now);
        for _ in 0..40 {
            breaker.begin();
            breaker.failed(now, 1.0);
        }
        assert!(!breaker.admits(now + OUT_MAX - Duration::from_millis(1)) && breaker.admits(now + OUT_MAX));
        breaker.begin();
        breaker.failed(now, 0.0);
        assert!(breaker.admits(now + OUT_MAX / 2));
    }
}
