//! Waits of the long streams.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(2);

/// Waits between attempts to open a stream: doubled each time, from 50 ms to 2 s.
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(LAST);
        now
    }

    /// Whether it worked before: a failure that goes on is not said again and again.
    pub(super) fn is_first(&self) -> bool {
        self.0 == FIRST
    }

    /// The stream works.
    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

/// What a service refused to follow for now. There are at most as many as are followed.
pub(super) struct Later<T>(VecDeque<(Instant, T)>);

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Later<T> {
    const AFTER: Duration = Duration::from_secs(1);

    pub(super) fn push(&mut self, now: Instant, what: T) {
        self.0.push_back((now + Self::AFTER, what));
    }

    /// Returns when the first one is due; never if there is none.
    pub(super) async fn wait(&self) {
        match self.0.front() {
            Some((at, _)) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<T> {
        self.0.pop_front_if(|(at, _)| *at <= now).map(|(_, what)| what)
    }
}
