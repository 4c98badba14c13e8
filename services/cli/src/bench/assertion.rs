//! The rule of `make bench-assert`: whether a figure is near enough to what is wanted, whatever machine it was taken on.
//!
//! r is result ÷ floor of this run, t is target ÷ floor of the reference machine. A rate fails below 0.6 t, a latency or a
//! size above t ÷ 0.6. Between that and t, somebody has to explain it, with a profile. A target without a floor in the
//! table is compared in its own unit, in the same way.

use std::fmt::Write as _;

use super::report::{Better, Report, Row, Workload};
use super::sample::Faults;

/// How far from the wanted ratio is still no failure.
const TOLERANCE: f64 = 0.6;

/// What the rule says of a figure that has a target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Assertion {
    Holds,
    /// How it stands, and how it should.
    NeedsExplanation(Compared),
    Fails(Compared),
    /// There is no figure, because entries were lost or nothing could be read.
    NoFigure,
}

/// r and t, or result and target.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Compared {
    is: f64,
    wanted: f64,
    is_ratio: bool,
}

/// What the rule says of the whole report.
pub(crate) struct Asserted {
    /// For people: a line for each figure that does not simply hold.
    pub(crate) text: String,
    pub(crate) failed: usize,
}

/// Applies the rule to each figure with a target.
pub(crate) fn assert(report: &Report) -> Asserted {
    let (mut text, mut held, mut failed, mut explain) = (String::new(), 0, 0, 0);
    for Workload { id, rows, faults, .. } in &report.workloads {
        for row in rows {
            let Some(assertion) = of(row, faults) else { continue };
            let (word, count) = match assertion {
                Assertion::Holds => ("holds", &mut held),
                Assertion::NeedsExplanation(_) => ("needs an explanation with a profile", &mut explain),
                Assertion::Fails(_) | Assertion::NoFigure => ("FAILS", &mut failed),
            };
            *count += 1;
            let _ = match assertion {
                Assertion::Holds => Ok(()),
                Assertion::NoFigure => writeln!(text, "  {word}: {id}, {}: there is no figure", row.figure),
                Assertion::NeedsExplanation(compared) | Assertion::Fails(compared) => {
                    writeln!(text, "  {word}: {id}, {}: {compared}", row.figure)
                }
            };
        }
    }
    for failure in &report.failures {
        failed += 1;
        let _ = writeln!(text, "  FAILS: {failure}");
    }
    let text = format!("bench-assert: {held} hold, {explain} need an explanation, {failed} fail\n{text}");
    Asserted { text, failed }
}

fn of(row: &Row, faults: &Faults) -> Option<Assertion> {
    let target = row.target?;
    let Some(result) = row.result.median().filter(|_| !faults.forbid_figure()) else {
        return Some(Assertion::NoFigure);
    };
    let compared = match row.ratio().zip(target.floor_ratio) {
        Some((is, wanted)) => Compared { is, wanted, is_ratio: true },
        None => Compared { is: result, wanted: target.value, is_ratio: false },
    };
    let quality = match target.better {
        Better::Higher => compared.is / compared.wanted,
        Better::Lower => compared.wanted / compared.is,
    };
    Some(match quality {
        _ if compared.is.total_cmp(&0.0).is_le() && target.better == Better::Lower => Assertion::Holds,
        quality if quality >= 1.0 => Assertion::Holds,
        quality if quality >= TOLERANCE => Assertion::NeedsExplanation(compared),
        _ => Assertion::Fails(compared),
    })
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { is, wanted, is_ratio } = self;
        let of = if *is_ratio { " times the floor" } else { "" };
        write!(f, "{is:.3}{of}, wanted {wanted:.3}{of}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Series;
    use super::*;

    fn row(better: Better, result: f64, floor: Option<f64>, ratio: Option<f64>) -> Row {
        let row = Row::new("figure", "ms").result(Series::from_iter([result])).target(better, 10.0, ratio);
        match floor {
            Some(floor) => row.floor("floor", Series::from_iter([floor])),
            None => row,
        }
    }

    fn words(row: &Row) -> &'static str {
        match of(row, &Faults::default()) {
            None => "none",
            Some(Assertion::Holds) => "holds",
            Some(Assertion::NeedsExplanation(_)) => "explain",
            Some(Assertion::Fails(_)) => "fails",
            Some(Assertion::NoFigure) => "no figure",
        }
    }

    #[test]
    fn a_rate_fails_below_three_fifths_of_the_wanted_ratio() {
        let rate = |result| words(&row(Better::Higher, result, Some(100.0), Some(0.5)));
        assert_eq!([rate(50.0), rate(49.0), rate(30.1), rate(29.0)], ["holds", "explain", "explain", "fails"]);
    }

    #[test]
    fn a_latency_fails_above_the_wanted_ratio_over_three_fifths() {
        let latency = |result| words(&row(Better::Lower, result, Some(10.0), Some(1.2)));
        assert_eq!(
            [latency(12.0), latency(12.1), latency(19.9), latency(20.1)],
            ["holds", "explain", "explain", "fails"]
        );
    }

    #[test]
    fn the_ratio_counts_and_not_the_target_when_the_table_has_a_floor() {
        assert_eq!(words(&row(Better::Higher, 11.0, Some(100.0), Some(0.5))), "fails");
        assert_eq!(words(&row(Better::Higher, 5.0, Some(10.0), Some(0.5))), "holds");
    }

    #[test]
    fn without_a_floor_the_target_itself_counts() {
        assert_eq!(words(&row(Better::Higher, 10.0, Some(100.0), None)), "holds");
        assert_eq!(words(&row(Better::Higher, 6.1, None, Some(0.5))), "explain");
        assert_eq!(words(&row(Better::Lower, 17.0, None, None)), "fails");
        assert_eq!(words(&row(Better::Lower, 0.0, None, None)), "holds");
        assert_eq!(words(&Row::new("figure", "ms").result(Series::from_iter([1.0]))), "none");
    }

    #[test]
    fn lost_entries_leave_no_figure() {
        let good = row(Better::Lower, 1.0, None, None);
        let faults = Faults { lost: 1, ..Faults::default() };
        assert_eq!(of(&good, &faults), Some(Assertion::NoFigure));
        assert_eq!(words(&Row::new("figure", "ms").target(Better::Lower, 1.0, None)), "no figure");
    }
}
