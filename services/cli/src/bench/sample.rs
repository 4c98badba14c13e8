//! Latencies of one run, and figures over several runs.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies of one run, from the intended time of each send: a server that stalls cannot hide its queue.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        // 1 µs to 10 minutes in nanoseconds; three digits.
        let histogram = Histogram::new_with_bounds(1_000, 600_000_000_000, 3);
        Self(histogram.expect("the bounds are constants in order"))
    }

    /// What is beyond the bounds counts as the bound.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// Milliseconds at a percentile.
    pub(crate) fn percentile_ms(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1e6
    }
}

/// One figure over all runs.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// `None` without a run.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            n if n % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    /// Least and greatest, when there were several runs.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        (self.0.len() > 1).then(|| {
            let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
            (low, self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        })
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What went wrong beside a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Entries that were acknowledged, or sent, and never came.
    pub(crate) lost: u64,
    /// Entries that came twice or not as the next one.
    pub(crate) disordered: u64,
    /// Refusals and errors by their reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Faults {
    pub(crate) fn refuse(&mut self, reason: &str) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.disordered += other.disordered;
        for (reason, count) in &other.refused {
            *self.refused.entry(reason.clone()).or_default() += count;
        }
    }

    /// A run that lost an entry, or got one out of its place, has no figure.
    pub(crate) fn forbid_figure(&self) -> bool {
        self.lost > 0 || self.disordered > 0
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::default() {
            return f.write_str("0 lost, 0 refused");
        }
        write!(f, "{} lost", self.lost)?;
        if self.disordered > 0 {
            write!(f, ", {} out of order", self.disordered)?;
        }
        for (reason, count) in &self.refused {
            write!(f, ", {count} {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_runs_lies_between_the_middle_ones() {
        assert_eq!(Series::from_iter([4.0, 1.0, 3.0, 2.0]).median(), Some(2.5));
        assert_eq!(Series::from_iter([9.0, 1.0, 5.0]).median(), Some(5.0));
        assert_eq!(Series::default().median(), None);
    }

    #[test]
    fn one_run_has_no_range() {
        assert_eq!(Series::from_iter([1.0]).range(), None);
        assert_eq!(Series::from_iter([3.0, 1.0, 2.0]).range(), Some((1.0, 3.0)));
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut latencies = Latencies::new();
        for micros in 1..=1_000 {
            latencies.record(Duration::from_micros(micros));
        }
        assert!((latencies.percentile_ms(50.0) - 0.5).abs() < 0.002, "{}", latencies.percentile_ms(50.0));
        assert!((latencies.percentile_ms(99.0) - 0.99).abs() < 0.002);
        latencies.record(Duration::from_secs(10_000));
        assert_eq!(latencies.count(), 1_001);
    }

    #[test]
    fn a_lost_or_disordered_entry_forbids_the_figure_and_a_refusal_does_not() {
        let mut faults = Faults::default();
        faults.refuse("RATE_LIMITED");
        assert!(!faults.forbid_figure());
        faults.add(&Faults { lost: 1, ..Faults::default() });
        assert!(faults.forbid_figure());
        assert_eq!(faults.to_string(), "1 lost, 1 RATE_LIMITED");
    }
}
