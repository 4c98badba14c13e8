//! The table at the end, and the same as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::machine::{Machine, Pinning};
use super::sample::{Faults, Series};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    pub(crate) machine: Machine,
    pub(crate) pinning: Pinning,
    /// Of the log's engine, if it is measured: `commitlog_sync`.
    pub(crate) commitlog_sync: Option<String>,
    pub(crate) runs: u32,
    pub(crate) quick: bool,
    pub(crate) workloads: Vec<Workload>,
    /// Why there are no figures of some.
    pub(crate) failures: Vec<String>,
}

/// One workload.
#[derive(Debug, Serialize)]
pub(crate) struct Workload {
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) faults: Faults,
    /// What belongs beside the figures: CPU, kernel memory, what was capped.
    pub(crate) notes: Vec<String>,
}

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) result: Series,
    pub(crate) floor: Option<Floor>,
    pub(crate) target: Option<Target>,
}

/// The least that the same work costs, measured in the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Floor {
    pub(crate) what: &'static str,
    pub(crate) value: Series,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) value: f64,
    pub(crate) better: Better,
    /// The target ÷ the floor of the reference machine: what counts on another machine, or on a slower day.
    pub(crate) floor_ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// How a figure stands to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Entries were lost or out of order.
    NoFigure,
    /// There is no target.
    Measured,
    /// As wanted.
    Met,
    /// Not as wanted in absolute terms, but as near to this run's floor as the target is to the reference machine's.
    MetByFloor,
    /// Within 0.6 of that: an explanation with a profile is needed.
    Near,
    /// Beyond that.
    Missed,
}

/// How far from the target's ratio a figure may be before it is missed.
const TOLERANCE: f64 = 0.6;

impl Row {
    pub(crate) fn new(figure: &'static str, unit: &'static str) -> Self {
        Self { figure, unit, result: Series::default(), floor: None, target: None }
    }

    pub(crate) fn result(mut self, result: Series) -> Self {
        self.result = result;
        self
    }

    pub(crate) fn floor(mut self, what: &'static str, value: Series) -> Self {
        self.floor = Some(Floor { what, value });
        self
    }

    pub(crate) fn target(mut self, better: Better, value: f64, floor_ratio: Option<f64>) -> Self {
        self.target = Some(Target { value, better, floor_ratio });
        self
    }

    /// Result ÷ floor of this run.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let floor = self.floor.as_ref()?.value.median().filter(|floor| *floor > 0.0)?;
        Some(self.result.median()? / floor)
    }

    pub(crate) fn verdict(&self, faults: &Faults) -> Verdict {
        let Some(result) = self.result.median().filter(|_| !faults.forbid_figure()) else { return Verdict::NoFigure };
        let Some(target) = self.target else { return Verdict::Measured };
        if target.excess(result, target.value) <= 1.0 {
            return Verdict::Met;
        }
        match self.ratio().zip(target.floor_ratio).map(|(ratio, wanted)| target.excess(ratio, wanted)) {
            Some(by_floor) if by_floor <= 1.0 => Verdict::MetByFloor,
            Some(by_floor) if by_floor <= 1.0 / TOLERANCE => Verdict::Near,
            _ => Verdict::Missed,
        }
    }
}

impl Target {
    /// How many times worse than wanted; at most 1 is good.
    fn excess(self, value: f64, wanted: f64) -> f64 {
        if self.better == Better::Lower { value / wanted } else { wanted / value }
    }
}

impl Report {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let Machine { processor, kernel, file_system, load_average, .. } = &self.machine;
        let _ = writeln!(out, "\nviberchat {} on {processor}, {kernel}, {file_system}", self.version);
        let _ = writeln!(out, "{}; load average before: {load_average}", self.pinning.note);
        if let Some(sync) = &self.commitlog_sync {
            let _ = writeln!(out, "each service in a process of its own; Cassandra has commitlog_sync: {sync}");
        }
        let _ = writeln!(out, "{} runs: median (least to greatest)", self.runs);
        if self.machine.is_memory() {
            let _ = writeln!(
                out,
                "The data is in memory: a synced write costs nothing here, and durable figures say nothing."
            );
        }
        for workload in &self.workloads {
            workload.print(&mut out);
        }
        for failure in &self.failures {
            let _ = writeln!(out, "\nNO FIGURES of {failure}");
        }
        out
    }

    /// For programs: the report, with the verdict of each row.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        for (workload, json) in self.workloads.iter().zip(value["workloads"].as_array_mut().into_iter().flatten()) {
            for (row, json) in workload.rows.iter().zip(json["rows"].as_array_mut().into_iter().flatten()) {
                json["median"] = row.result.median().into();
                json["floor_ratio"] = row.ratio().into();
                json["verdict"] = serde_json::to_value(row.verdict(&workload.faults))?;
            }
        }
        serde_json::to_string_pretty(&value)
    }
}

impl Workload {
    fn print(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}: {}", self.id, self.what);
        let head = ["", "result", "floor", "÷", "target", "verdict"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(|row| self.cells(row))).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for line in &lines {
            let cells: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
        }
        let _ = writeln!(out, "  {}", self.faults);
        for note in &self.notes {
            let _ = writeln!(out, "  {note}");
        }
    }

    fn cells(&self, row: &Row) -> [String; 6] {
        let absent = String::new;
        let verdict = row.verdict(&self.faults);
        let result = if verdict == Verdict::NoFigure { "none".to_owned() } else { spread(&row.result, row.unit) };
        [
            row.figure.to_owned(),
            result,
            row.floor.as_ref().map_or_else(absent, |floor| format!("{} {}", spread(&floor.value, ""), floor.what)),
            row.ratio().filter(|_| verdict != Verdict::NoFigure).map_or_else(absent, number),
            row.target.map_or_else(absent, |target| {
                let sign = if target.better == Better::Lower { '≤' } else { '≥' };
                format!("{sign} {}", number(target.value))
            }),
            verdict.words().to_owned(),
        ]
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::NoFigure => "NO FIGURE",
            Self::Measured => "measured",
            Self::Met => "met",
            Self::MetByFloor => "met, as ratio to the floor",
            Self::Near => "near: wants a profile",
            Self::Missed => "MISSED",
        }
    }
}

fn spread(series: &Series, unit: &str) -> String {
    let Some(median) = series.median() else { return "none".to_owned() };
    let range =
        series.range().map_or_else(String::new, |(low, high)| format!(" ({} to {})", number(low), number(high)));
    let space = if unit.is_empty() { "" } else { " " };
    format!("{}{space}{unit}{range}", number(median))
}

/// Three digits that matter, thousands apart.
fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        size if size < 1_000.0 => format!("{value:.0}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && digit != '-' && (digits.len() - index).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(result: f64, floor: f64) -> Row {
        // The reference: 0.35 over a floor of 0.22.
        Row::new("p50", "ms").result(Series::from_iter([result])).floor("synced", Series::from_iter([floor])).target(
            Better::Lower,
            0.35,
            Some(0.35 / 0.22),
        )
    }

    fn rate(result: f64, floor: f64) -> Row {
        Row::new("rate", "/s").result(Series::from_iter([result])).floor("synced", Series::from_iter([floor])).target(
            Better::Higher,
            20_000.0,
            Some(20_000.0 / 25_500.0),
        )
    }

    #[test]
    fn a_latency_is_judged_by_the_target_then_by_the_floor_of_its_run() {
        let none = Faults::default();
        assert_eq!(latency(0.35, 0.3).verdict(&none), Verdict::Met);
        assert_eq!(latency(0.60, 0.4).verdict(&none), Verdict::MetByFloor);
        assert_eq!(latency(0.60, 0.3).verdict(&none), Verdict::Near);
        assert_eq!(latency(0.60, 0.2).verdict(&none), Verdict::Missed);
    }

    #[test]
    fn a_rate_is_judged_the_other_way_round() {
        let none = Faults::default();
        assert_eq!(rate(20_000.0, 90_000.0).verdict(&none), Verdict::Met);
        assert_eq!(rate(10_000.0, 12_000.0).verdict(&none), Verdict::MetByFloor);
        assert_eq!(rate(10_000.0, 20_000.0).verdict(&none), Verdict::Near);
        assert_eq!(rate(10_000.0, 40_000.0).verdict(&none), Verdict::Missed);
    }

    #[test]
    fn a_run_that_lost_an_entry_has_no_figure_in_the_table() {
        let workload = Workload {
            id: "W3",
            what: "one conversation".into(),
            rows: vec![rate(20_000.0, 90_000.0)],
            faults: Faults { lost: 1, ..Faults::default() },
            notes: Vec::new(),
        };
        let mut table = String::new();
        workload.print(&mut table);
        assert!(table.contains("NO FIGURE") && table.contains("1 lost"), "{table}");
        assert!(!table.contains("20,000/s") && !table.contains("20,000 /s"), "{table}");
    }

    #[test]
    fn numbers_keep_three_digits_and_group_thousands() {
        assert_eq!(
            ["0.35", "12.3", "830", "24,905", "1,000,000"].map(str::to_owned),
            [number(0.351), number(12.34), number(829.9), number(24_905.2), number(1e6)]
        );
    }
}
