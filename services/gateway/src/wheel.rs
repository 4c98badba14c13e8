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
