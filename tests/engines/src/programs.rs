//! Finds the programs that some tests want: an address in the environment, else what is installed.
//!
//! `make engines` installs them. A test that lacks one prints one line that begins with `SKIPPED:`, and fails if
//! `VIBERCHAT_TEST_REQUIRE_ENGINES` is 1.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Set to 1, a missing one is a failure.
const REQUIRE: &str = "VIBERCHAT_TEST_REQUIRE_ENGINES";

/// A program that tests can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A browser: `VIBERCHAT_TEST_CHROMIUM`.
    Chromium,
    /// Runs the browser's script: `VIBERCHAT_TEST_NODE`.
    Node,
    /// Checks protobuf files: `VIBERCHAT_TEST_BUF`.
    Buf,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "Chromium",
            Self::Node => "Node.js",
            Self::Buf => "buf",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Chromium => "VIBERCHAT_TEST_CHROMIUM",
            Self::Node => "VIBERCHAT_TEST_NODE",
            Self::Buf => "VIBERCHAT_TEST_BUF",
        }
    }

    /// Under these names it is installed.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &["chromium", "chromium-browser", "google-chrome"],
            Self::Node => &["node"],
            Self::Buf => &["buf"],
        }
    }

    /// Where the program is; prints one line, what the test runs against or that it is skipped.
    ///
    /// # Panics
    /// If it is missing and engines are required.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let found = self.locate();
        match &found {
            Some(path) => say(&format!("{}: {}", self.name(), path.display())),
            None => skip(&format!("no {}", self.name())),
        }
        found
    }

    fn locate(self) -> Option<PathBuf> {
        if let Some(named) = env::var_os(self.variable()) {
            return Some(named.into());
        }
        let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser/node_modules/.bin");
        let folders = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
        let folders = folders.into_iter().chain([local]);
        let mut candidates = folders.flat_map(|folder| self.programs().iter().map(move |program| folder.join(program)));
        candidates.find(|candidate| candidate.is_file())
    }
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// If engines are required.
pub fn skip(why: &str) {
    assert!(env::var(REQUIRE).as_deref() != Ok("1"), "{why}, and {REQUIRE} is 1 (make engines)");
    say(&format!("SKIPPED: {why} (make engines)"));
}

/// Says it also where the output of tests that pass is not shown: a skipped test is never silent.
pub fn say(line: &str) {
    // Not by a macro: their output is captured.
    let _ = writeln!(std::io::stderr(), "{line}");
}
