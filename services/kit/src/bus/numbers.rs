//! What a listener has heard of each publisher, and what it must have missed. Pure: time comes as a parameter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{PublisherId, SHARDS};

/// Publishers that are remembered. Of more, each hint counts as one after a hole.
const PUBLISHERS_MAX: usize = 1_024;

/// Some of the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet([u64; SHARDS / 64]);

impl ShardSet {
    /// Every shard.
    pub const ALL: Self = Self([u64::MAX; SHARDS / 64]);

    /// Adds one.
    pub fn insert(&mut self, shard: u8) {
        self.0[usize::from(shard) / 64] |= 1 << (shard % 64);
    }

    /// Adds those of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    /// Whether it is among them.
    pub fn contains(&self, shard: u8) -> bool {
        self.0[usize::from(shard) / 64] & (1 << (shard % 64)) != 0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The last number of each publisher in each shard.
#[derive(Default)]
pub(super) struct Numbers {
    publishers: HashMap<PublisherId, Known>,
}

struct Known {
    last: Box<[u64; SHARDS]>,
    heard_at: Instant,
}

impl Numbers {
    /// A hint came. False: some before it did not.
    pub(super) fn hint(&mut self, publisher: PublisherId, shard: u8, number: u64, now: Instant) -> bool {
        let Some(known) = self.known(publisher, now) else { return false };
        let last = &mut known.last[usize::from(shard)];
        let is_unbroken = number <= last.saturating_add(1);
        *last = number.max(*last);
        is_unbroken
    }

    /// A publisher's last numbers came. Returns where hints before them did not.
    pub(super) fn beacon(&mut self, publisher: PublisherId, numbers: &[u64; SHARDS], now: Instant) -> ShardSet {
        let Some(known) = self.known(publisher, now) else { return ShardSet::ALL };
        let mut missed = ShardSet::default();
        for (shard, (last, number)) in (0..=u8::MAX).zip(known.last.iter_mut().zip(numbers)) {
            if number > last {
                *last = *number;
                missed.insert(shard);
            }
        }
        missed
    }

    /// Forgets publishers of whom nothing was heard for `limit`. Returns the shards in which they spoke: they may have stored
    /// something, and ended before they could say it.
    pub(super) fn forget_silent(&mut self, limit: Duration, now: Instant) -> ShardSet {
        let mut spoken = ShardSet::default();
        self.publishers.retain(|_, known| {
            let is_silent = now.saturating_duration_since(known.heard_at) >= limit;
            if is_silent {
                let shards = (0..=u8::MAX).zip(known.last.iter());
                shards.filter(|(_, last)| **last > 0).for_each(|(shard, _)| spoken.insert(shard));
            }
            !is_silent
        });
        spoken
    }

    /// How many publishers are heard.
    pub(super) fn len(&self) -> usize {
        self.publishers.len()
    }

    fn known(&mut self, publisher: PublisherId, now: Instant) -> Option<&mut Known> {
        if !self.publishers.contains_key(&publisher) && self.publishers.len() >= PUBLISHERS_MAX {
            return None;
        }
        let new = || Known { last: Box::new([0; SHARDS]), heard_at: now };
        let known = self.publishers.entry(publisher).or_insert_with(new);
        known.heard_at = now;
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PublisherId = [1; 16];
    const TWO: PublisherId = [2; 16];

    fn numbers(said: &[(u8, u64)]) -> [u64; SHARDS] {
        let mut numbers = [0; SHARDS];
        said.iter().for_each(|(shard, number)| numbers[usize::from(*shard)] = *number);
        numbers
    }

    fn set(shards: &[u8]) -> ShardSet {
        let mut set = ShardSet::default();
        shards.iter().for_each(|shard| set.insert(*shard));
        set
    }

    #[test]
    fn a_hole_is_noticed_at_the_next_hint_of_its_shard() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        assert!(heard.hint(ONE, 3, 1, now));
        assert!(heard.hint(ONE, 3, 2, now));
        assert!(heard.hint(ONE, 4, 1, now), "each shard counts by itself");
        assert!(heard.hint(TWO, 3, 1, now), "and each publisher");
        assert!(!heard.hint(ONE, 3, 4, now));
        assert!(heard.hint(ONE, 3, 5, now), "said once");
    }

    #[test]
    fn a_repeated_or_late_hint_is_no_hole() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        for number in [1, 2, 2, 1, 3] {
            assert!(heard.hint(ONE, 0, number, now), "{number}");
        }
    }

    #[test]
    fn what_came_before_the_first_that_is_heard_was_missed() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        assert!(!heard.hint(ONE, 0, 7, now));
        assert_eq!(heard.beacon(ONE, &numbers(&[(0, 7), (9, 2)]), now), set(&[9]));
    }

    #[test]
    fn a_lost_last_hint_is_noticed_at_the_next_beacon() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        assert!(heard.hint(ONE, 5, 1, now));
        assert_eq!(heard.beacon(ONE, &numbers(&[(5, 1)]), now), ShardSet::default());
        assert_eq!(heard.beacon(ONE, &numbers(&[(5, 2), (255, 1)]), now), set(&[5, 255]));
        assert_eq!(heard.beacon(ONE, &numbers(&[(5, 2), (255, 1)]), now), ShardSet::default(), "said once");
    }

    #[test]
    fn who_falls_silent_may_have_left_something_unsaid() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        let limit = Duration::from_secs(3);
        heard.hint(ONE, 5, 1, now);
        heard.beacon(TWO, &numbers(&[]), now + limit / 2);
        assert_eq!(heard.forget_silent(limit, now + limit / 2), ShardSet::default());
        assert_eq!(heard.forget_silent(limit, now + limit), set(&[5]));
        assert_eq!(heard.len(), 1);
        assert_eq!(heard.forget_silent(limit, now + 2 * limit), ShardSet::default(), "the other one never spoke");
        assert_eq!(heard.len(), 0);
    }

    #[test]
    fn too_many_publishers_cost_audits_and_no_memory() {
        let (mut heard, now) = (Numbers::default(), Instant::now());
        for number in 0..PUBLISHERS_MAX as u128 {
            heard.hint(number.to_be_bytes(), 0, 1, now);
        }
        assert!(!heard.hint([255; 16], 0, 1, now));
        assert_eq!(heard.beacon([255; 16], &numbers(&[]), now), ShardSet::ALL);
        assert_eq!(heard.len(), PUBLISHERS_MAX);
    }
}
