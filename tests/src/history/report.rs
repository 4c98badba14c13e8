//! What came out of a check.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

/// How many anomalies are printed; the first ones usually say it all.
const PRINTED_MAX: usize = 20;

/// A promise of the contract, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Check {
    /// An ack means stored.
    C1,
    /// Never twice.
    C2,
    /// Unknown is said.
    C3,
    /// One order.
    C4,
    /// No gap.
    C5,
    /// Real time.
    C6,
    /// A live stream is contiguous.
    C7,
    /// Exactly one direct per pair.
    C8,
    /// Positions only move forward.
    C9,
    /// Resume is complete or says so.
    C10,
    /// Presence converges.
    C11,
    /// Only members see.
    C12,
    /// Bounded.
    C13,
    /// A dead part is not a lie.
    C14,
    /// Drain loses nothing.
    C15,
    /// Deletion erases.
    C16,
}

/// One place where a promise was broken.
#[derive(Clone, Debug, Serialize)]
pub struct Anomaly {
    /// The promise.
    pub check: Check,
    /// What was seen.
    pub what: String,
}

/// How often something happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Writes answered as repetitions.
    pub duplicates: u64,
    /// Appends that lost their condition to another instance.
    pub conditions_lost: u64,
    /// Sessions that resumed.
    pub resumed: u64,
    /// Conversations of a session that were filled from the log.
    pub filled: u64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where promises were broken, by promise.
    pub anomalies: Vec<Anomaly>,
    /// What happened during the run.
    pub counters: Counters,
}

impl Report {
    pub(super) fn new(mut anomalies: Vec<Anomaly>, counters: Counters) -> Self {
        anomalies.sort_by_key(|anomaly| anomaly.check);
        Self { anomalies, counters }
    }

    /// The promises that were broken.
    #[must_use]
    pub fn broken(&self) -> BTreeSet<Check> {
        self.anomalies.iter().map(|anomaly| anomaly.check).collect()
    }

    /// What the run lacks to count: each thing that must have happened, and did so less often than asked.
    #[must_use]
    pub fn lacking(&self, must_show: Counters) -> Vec<String> {
        let (had, asked) = (self.counters, must_show);
        [
            ("duplicates answered", had.duplicates, asked.duplicates),
            ("conditions lost", had.conditions_lost, asked.conditions_lost),
            ("sessions resumed", had.resumed, asked.resumed),
            ("gaps filled", had.filled, asked.filled),
        ]
        .into_iter()
        .filter(|(_, had, asked)| had < asked)
        .map(|(name, had, asked)| format!("{name}: {had}, at least {asked} wanted"))
        .collect()
    }

    /// Fails the test with what was found, or with what did not happen.
    ///
    /// # Panics
    /// If a promise was broken, or the run does not count.
    #[track_caller]
    pub fn assert_green(&self, must_show: Counters) {
        assert!(self.anomalies.is_empty(), "{self}");
        let lacking = self.lacking(must_show);
        assert!(lacking.is_empty(), "the run does not count: {}", lacking.join("; "));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} anomalies, broken: {:?}, {:?}", self.anomalies.len(), self.broken(), self.counters)?;
        for anomaly in self.anomalies.iter().take(PRINTED_MAX) {
            writeln!(formatter, "  {:?}: {}", anomaly.check, anomaly.what)?;
        }
        Ok(())
    }
}
