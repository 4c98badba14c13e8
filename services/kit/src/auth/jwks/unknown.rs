use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

/// How long a key that the source does not have is refused without asking it again.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// Longer names are no keys of ours.
const KID_BYTES_MAX: usize = 256;
const ASKED_MAX: usize = 256;
const REFUSED_MAX: usize = 1_024;

/// Names of keys that are in no set that we know.
#[derive(Default)]
pub(super) struct Unknown {
    /// For the next reading.
    asked: HashSet<Box<str>>,
    /// For the reading that is under way.
    looked_for: HashSet<Box<str>>,
    /// Looked for and not found, with the end of that knowledge.
    refused: HashMap<Box<str>, Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A reading is to be asked for.
    Ask,
    /// A reading that was asked for, or is under way, will tell.
    LookingFor,
    /// It is not there, or too many others are being looked for.
    Refused,
}

impl Unknown {
    /// What is to be said about a token signed with this key.
    pub(super) fn ask(&mut self, kid: &str, now: Instant) -> Verdict {
        if kid.len() > KID_BYTES_MAX || self.refused.get(kid).is_some_and(|until| *until > now) {
            return Verdict::Refused;
        }
        if self.asked.contains(kid) || self.looked_for.contains(kid) {
            return Verdict::LookingFor;
        }
        if self.asked.len() >= ASKED_MAX {
            return Verdict::Refused;
        }
        self.asked.insert(kid.into());
        Verdict::Ask
    }

    /// A reading begins. Who is asked for from now on may have come too late for it.
    pub(super) fn begin(&mut self) {
        self.looked_for = std::mem::take(&mut self.asked);
    }

    /// A set was read: what it lacks is refused for a while.
    pub(super) fn settle(&mut self, now: Instant, has: impl Fn(&str) -> bool) {
        self.refused.retain(|_, until| *until > now);
        for kid in self.looked_for.drain().filter(|kid| !has(kid)) {
            // Beyond the limit it is forgotten, and looked for again if it comes again.
            if self.refused.len() < REFUSED_MAX {
                self.refused.insert(kid, now + REFUSED_FOR);
            }
        }
    }

    /// Nothing could be read: who asked may ask again.
    pub(super) fn give_up(&mut self) {
        self.looked_for.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_refused_for_a_while() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        assert_eq!(unknown.ask("a", now), Verdict::Ask);
        assert_eq!(unknown.ask("b", now), Verdict::Ask);
        assert_eq!(unknown.ask("a", now), Verdict::LookingFor);
        unknown.begin();
        assert_eq!(unknown.ask("a", now), Verdict::LookingFor);
        unknown.settle(now, |kid| kid == "b");
        assert_eq!(unknown.ask("a", now), Verdict::Refused);
        assert_eq!(unknown.ask("b", now), Verdict::Ask, "a key that was there and went");
        assert_eq!(unknown.ask("a", now + REFUSED_FOR), Verdict::Ask);
    }

    #[test]
    fn who_is_asked_for_during_a_reading_waits_for_the_next() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        unknown.begin();
        assert_eq!(unknown.ask("a", now), Verdict::Ask);
        unknown.settle(now, |_| false);
        assert_eq!(unknown.ask("a", now), Verdict::LookingFor);
    }

    #[test]
    fn a_source_that_fails_says_nothing_about_a_key() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        unknown.ask("a", now);
        unknown.begin();
        unknown.give_up();
        assert_eq!(unknown.ask("a", now), Verdict::Ask);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        for round in 0..20 {
            let asked = (0..1_000).filter(|n| unknown.ask(&format!("{round}-{n}"), now) == Verdict::Ask).count();
            assert_eq!(asked, ASKED_MAX);
            unknown.begin();
            unknown.settle(now, |_| false);
            assert!(unknown.refused.len() <= REFUSED_MAX && unknown.looked_for.is_empty());
        }
        assert_eq!(unknown.ask(&"x".repeat(KID_BYTES_MAX + 1), now), Verdict::Refused);
        assert!(unknown.asked.is_empty());
    }
}
