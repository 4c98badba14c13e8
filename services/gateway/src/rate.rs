//! How fast a user may send.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::UserId;

/// A refusal closes the door for this long: sends that were on their way when the sender learned of it are refused too, so
/// that none of them overtakes the refused one. The time counts towards the next sends.
const CLOSED: Duration = Duration::from_millis(250);

/// Limits the sends of each user, over all doors of this gateway: the generic cell rate algorithm (ITU-T I.371).
pub(crate) struct SendRate {
    /// Time that one send takes up. Zero: no limit.
    interval: Duration,
    /// How far ahead of the clock a user may be.
    tolerance: Duration,
    /// Users who are not in it may send as if they had never sent.
    users: Mutex<HashMap<UserId, Account>>,
}

/// What a user has sent.
struct Account {
    /// When the sends so far are paid for.
    paid_until: Instant,
    /// After a refusal.
    closed_until: Instant,
}

impl SendRate {
    pub(crate) fn new(per_second_max: u32, burst_max: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second_max).unwrap_or_default();
        Self { interval, tolerance: interval * burst_max.saturating_sub(1), users: Mutex::default() }
    }

    /// Counts a send.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the time to wait; nothing was attempted.
    pub(crate) fn check(&self, user: &UserId, now: Instant) -> Result<(), Error> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut users = self.users.lock();
        let account = users.entry(user.clone()).or_insert(Account { paid_until: now, closed_until: now });
        account.paid_until = account.paid_until.max(now);
        let ahead = account.paid_until - now;
        if ahead <= self.tolerance && account.closed_until <= now {
            account.paid_until += self.interval;
            return Ok(());
        }
        if account.closed_until <= now {
            account.closed_until = now + CLOSED;
        }
        let wait = ahead.saturating_sub(self.tolerance).max(account.closed_until - now);
        Err(Error::new(Reason::RateLimited, "too many sends in too short a time").with_retry_after(wait))
    }

    /// Forgets users who may send as if they had never sent.
    pub(crate) fn sweep(&self, now: Instant) {
        self.users.lock().retain(|_, account| account.paid_until > now || account.closed_until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserId {
        UserId::parse("alice").expect("a well-formed id")
    }

    #[test]
    fn a_burst_passes_and_then_only_the_rate() {
        let rate = SendRate::new(50, 100);
        let start = Instant::now();
        let burst = (0..200).take_while(|_| rate.check(&alice(), start).is_ok()).count();
        assert_eq!(burst, 100);
        let mut now = start;
        let mut sent = 0;
        while now < start + Duration::from_secs(10) {
            match rate.check(&alice(), now) {
                Ok(()) => sent += 1,
                Err(error) => now += error.retry_after.expect("a refusal says how long to wait"),
            }
        }
        assert!((400..=500).contains(&sent), "{sent} sends in 10 s at 50 a second");
    }

    #[test]
    fn what_was_on_its_way_with_a_refused_send_is_refused_too() {
        let rate = SendRate::new(50, 1);
        let start = Instant::now();
        assert!(rate.check(&alice(), start).is_ok());
        let refused = rate.check(&alice(), start).expect_err("the burst is one");
        assert_eq!(refused.reason, Reason::RateLimited);
        assert!(rate.check(&alice(), start + Duration::from_millis(100)).is_err(), "a moment later");
        let wait = refused.retry_after.expect("a refusal says how long to wait");
        assert!(rate.check(&alice(), start + Duration::from_millis(600).max(wait)).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = SendRate::new(0, 0);
        assert!((0..10_000).all(|_| rate.check(&alice(), Instant::now()).is_ok()));
    }

    #[test]
    fn users_who_have_waited_are_forgotten() {
        let rate = SendRate::new(50, 100);
        let start = Instant::now();
        rate.check(&alice(), start).expect("the first");
        rate.sweep(start + Duration::from_secs(1));
        assert!(rate.users.lock().is_empty());
    }
}
