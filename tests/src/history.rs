//! The history checker: reads what all clients saw and says where the delivery contract was broken.
//!
//! Payloads are unique and `seq` is dense, so nothing is searched: sort by seq, compare every observer's seq → entry, sweep
//! the intervals. It is pure: the same history gives the same report, and each check has a history that turns it red.
//!
//! Map: `record` is what is written down, `recorder` writes it down while clients run, `convert` reads it from the wire
//! types, `scan` from the store's files; `truth` joins it; `checks` has one file per subject, `report` what came out.

mod checks;
mod convert;
#[cfg(test)]
mod example;
mod record;
mod recorder;
mod report;
mod scan;
mod text;
mod truth;

pub use self::{
    convert::{entry_of, head_of, message_of, position_of, presence_of},
    record::{
        Action, Answer, Block, Body, Call, Closed, ConversationView, Delivery, DirectCall, Door, Entry, Found,
        HeadView, History, Mark, MarkAnswer, MessageView, Nanos, Outage, PositionView, PresenceView, Push, Pushed,
        ReactionView, Read, RedactedKind, Reply, Scan, Session, SessionId, Status, StatusSet, Stop, Verdict,
    },
    recorder::{CallId, Recorder},
    report::{Anomaly, Check, Counters, Report},
    scan::scan_store,
    text::{text_with, texts_in},
};

/// Checks the history against every promise that it has observations of.
#[must_use]
pub fn check(history: &History) -> Report {
    let truth = truth::Truth::of(history);
    let mut anomalies = Vec::new();
    checks::run(history, &truth, &mut anomalies);
    let mut counters = history.counters;
    counters.filled += checks::filled(history);
    Report::new(anomalies, counters)
}
