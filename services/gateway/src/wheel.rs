//! One wheel for the times of all sessions (Varghese and Lauck 1987, scheme 6): an idle socket has no timer of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::fanout::Member;

/// Times are kept this exactly.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// A session that is due later than the wheel reaches is asked once in between.
const STEPS: usize = 256;

struct Turning {
    /// When the slot at `place` is due.
    at: Instant,
    place: usize,
    slots: Vec<Vec<Arc<Member>>>,
}

/// See the module.
pub(crate) struct Wheel(Mutex<Turning>);

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(STEPS).collect();
        Self(Mutex::new(Turning { at: now + STEP, place: 0, slots }))
    }

    /// Makes a session due at `at`, or up to a step later, and returns when exactly.
    pub(crate) fn schedule(&self, member: &Arc<Member>, at: Instant) -> Instant {
        let mut wheel = self.0.lock();
        let wait = at.saturating_duration_since(wheel.at);
        let steps = (wait.as_nanos().div_ceil(STEP.as_nanos())).min(STEPS as u128 - 1) as usize;
        let place = (wheel.place + steps) % STEPS;
        wheel.slots[place].push(member.clone());
        wheel.at + STEP * u32::try_from(steps).expect("the wheel has 256 steps")
    }

    /// All sessions on the wheel, each once; every socket's is there from its first turn on.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        let wheel = self.0.lock();
        let by_address = wheel.slots.iter().flatten().map(|member| (Arc::as_ptr(member), member));
        by_address.collect::<HashMap<_, _>>().into_values().cloned().collect()
    }

    /// Turns the wheel to `now` and tells the sessions that are due.
    pub(crate) fn turn(&self, now: Instant) {
        loop {
            let due = {
                let mut wheel = self.0.lock();
                if wheel.at > now {
                    return;
                }
                let place = wheel.place;
                wheel.place = (place + 1) % STEPS;
                wheel.at += STEP;
                std::mem::take(&mut wheel.slots[place])
            };
            for member in due {
                member.set_due();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::frames::Encoding;
    use crate::session::Session;

    fn member(now: Instant) -> Arc<Member> {
        let member = Member::new(Session::new(Arc::new(Config::default()), Encoding::Json, now));
        // A new one is due at once, for its first turn.
        assert!(member.take_due());
        member
    }

    #[test]
    fn a_session_is_told_when_its_time_has_come_and_not_before() {
        let now = Instant::now();
        let wheel = Wheel::new(now);
        for wait in [0u64, 1, 99, 100, 101, 250, 15_000, 25_500] {
            let member = member(now);
            let at = now + Duration::from_millis(wait);
            let due = wheel.schedule(&member, at);
            assert!(due >= at && due < at + 2 * STEP, "{wait} ms became {:?}", due - now);
        }
        let member = member(now);
        let due = wheel.schedule(&member, now + Duration::from_secs(3));
        wheel.turn(due - Duration::from_millis(1));
        assert!(!member.take_due());
        wheel.turn(due);
        assert!(member.take_due());
    }

    #[test]
    fn a_time_beyond_the_wheel_is_asked_about_in_between() {
        let now = Instant::now();
        let wheel = Wheel::new(now);
        let member = member(now);
        let at = now + Duration::from_secs(3600);
        let due = wheel.schedule(&member, at);
        assert!(due < at);
        wheel.turn(due);
        assert!(member.take_due());
        assert!(wheel.schedule(&member, at) > due);
    }

    #[test]
    fn every_session_on_the_wheel_is_listed_once() {
        let now = Instant::now();
        let wheel = Wheel::new(now);
        let members = [member(now), member(now)];
        for seconds in 1..5 {
            wheel.schedule(&members[0], now + Duration::from_secs(seconds));
        }
        wheel.schedule(&members[1], now);
        assert_eq!(wheel.members().len(), 2);
        wheel.turn(now + Duration::from_secs(10));
        assert!(wheel.members().is_empty());
    }
}
