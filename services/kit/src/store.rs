//! What the stores of several services need of an engine. Each service has its own tables; nothing here knows them.

mod failure;
pub mod postgres;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use failure::is_corruption;

/// Where a service keeps what has to last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A file: one machine, nothing to install.
    #[default]
    Sqlite,
    /// A server that any number of instances share.
    Postgres,
}

/// A change of the schema. Never changed once released; a new one is added at the end. Expand, then contract: the
/// release before has to work with it.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The name of its file.
    pub name: &'static str,
    /// Statements, with names without a schema.
    pub sql: &'static str,
}

/// What a change of a schema found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaReport {
    /// Where the schema is, for people.
    pub place: String,
    /// The version that was found; 0: nothing was there.
    pub found: u64,
    /// The version that this release makes.
    pub known: u64,
    /// Names of the changes from the one to the other: made, or only named in a dry run.
    pub changes: Vec<&'static str>,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl fmt::Display for SchemaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, known, changes, dry_run } = self;
        if changes.is_empty() {
            return write!(f, "{place}: up to date, version {found}");
        }
        let verb = if *dry_run { "would apply" } else { "applied" };
        write!(f, "{place}: from version {found} to {known}, {verb} {}", changes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_done_and_what_would_be() {
        let report = SchemaReport { place: "x".into(), found: 1, known: 3, changes: vec!["a", "b"], dry_run: true };
        assert_eq!(report.to_string(), "x: from version 1 to 3, would apply a, b");
        let done = SchemaReport { dry_run: false, ..report.clone() };
        assert_eq!(done.to_string(), "x: from version 1 to 3, applied a, b");
        let nothing = SchemaReport { changes: Vec::new(), found: 3, ..report };
        assert_eq!(nothing.to_string(), "x: up to date, version 3");
    }
}
