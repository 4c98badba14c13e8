//! The checks, by subject. Each takes the history and what was joined from it, and adds the anomalies that it finds.

mod blocks;
mod bounds;
mod deletion;
mod directs;
mod marks;
mod members;
mod order;
mod outages;
mod positions;
mod presence;
mod resume;
mod stored;
mod stream;
mod visibility;

use super::{
    record::History,
    report::{Anomaly, Check},
    truth::Truth,
};

/// A second on the run's clock: what the contract gives to what is not immediate.
const SECOND: u64 = 1_000_000_000;

/// How many conversations sessions were brought up to date from the log when they resumed.
pub(super) fn filled(history: &History) -> u64 {
    history.sessions.iter().map(resume::filled).sum()
}

/// Runs all.
pub(super) fn run(history: &History, truth: &Truth<'_>, anomalies: &mut Vec<Anomaly>) {
    let mut found = Found(anomalies);
    stored::check(history, truth, &mut found);
    order::check(history, truth, &mut found);
    stream::check(history, truth, &mut found);
    directs::check(history, &mut found);
    positions::check(history, truth, &mut found);
    resume::check(history, truth, &mut found);
    members::check(history, truth, &mut found);
    bounds::check(history, &mut found);
    deletion::check(history, truth, &mut found);
    visibility::check(history, truth, &mut found);
    marks::check(history, truth, &mut found);
    blocks::check(history, truth, &mut found);
    presence::check(history, truth, &mut found);
    outages::check(history, &mut found);
}

/// Where anomalies go.
struct Found<'a>(&'a mut Vec<Anomaly>);

impl Found<'_> {
    fn add(&mut self, check: Check, what: impl Into<String>) {
        self.0.push(Anomaly { check, what: what.into() });
    }
}

#[cfg(test)]
mod tests;
