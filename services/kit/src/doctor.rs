//! What `viberchat doctor` finds: each part looks at its own engine, and says what to do.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// How long a part may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Clocks that differ by more make times of messages that people wonder about. Nothing else depends on them.
const SKEW_MAX_MS: u64 = 1_000;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and may surprise somebody.
    Doubtful,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub about: String,
    /// What was found.
    pub found: String,
    /// What to do; nothing if all is well.
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub fn good(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, about: about.into(), found: found.into(), advice: String::new() }
    }

    /// It works, and may surprise somebody.
    pub fn doubtful(about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Doubtful, about: about.into(), found: found.into(), advice: advice.into() }
    }

    /// It does not work.
    pub fn bad(about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, about: about.into(), found: found.into(), advice: advice.into() }
    }

    /// [`Finding::good`] if it holds, else as `otherwise` says.
    pub fn when(holds: bool, about: &str, found: impl Into<String>, otherwise: Verdict, advice: &str) -> Self {
        let (verdict, advice) = if holds { (Verdict::Good, String::new()) } else { (otherwise, advice.to_owned()) };
        Self { verdict, about: about.to_owned(), found: found.into(), advice }
    }

    /// A schema, and whether a service starts on it.
    pub fn schema(is_ready: bool, found: impl Into<String>) -> Self {
        let advice = "run `viberchat migrate schema`: without, the service does not start";
        Self::when(is_ready, "schema", found, Verdict::Bad, advice)
    }

    /// How far the clock of a server is from ours, as read between two looks at ours.
    pub fn clock(about: &str, before: Timestamp, theirs: Timestamp, after: Timestamp) -> Self {
        let (before, theirs, after) = (before.millis(), theirs.millis(), after.millis());
        let skew = before.saturating_sub(theirs).max(theirs.saturating_sub(after)).max(0).unsigned_abs();
        let advice = "synchronize the clocks (NTP): nothing is lost without, but times of messages jump";
        Self::when(skew <= SKEW_MAX_MS, about, format!("the clocks differ by {skew} ms"), Verdict::Doubtful, advice)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Doubtful => "WARN",
            Verdict::Bad => "FAIL",
        };
        write!(f, "{verdict}  {}: {}", self.about, self.found)?;
        if !self.advice.is_empty() {
            write!(f, "\n      {}", self.advice)?;
        }
        Ok(())
    }
}

/// An error with its causes, for people.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_the_question_cannot_explain() {
        let at = Timestamp::from_millis;
        let verdict = |theirs| Finding::clock("x", at(10_000), at(theirs), at(12_000)).verdict;
        for fine in [9_000, 10_000, 11_000, 12_000, 13_000] {
            assert_eq!(verdict(fine), Verdict::Good, "{fine}");
        }
        for wrong in [8_999, 13_001, 3_600_000] {
            assert_eq!(verdict(wrong), Verdict::Doubtful, "{wrong}");
        }
    }

    #[test]
    fn what_is_to_be_done_stands_below() {
        assert_eq!(Finding::good("disk", "100 GB").to_string(), "ok    disk: 100 GB");
        assert_eq!(Finding::bad("disk", "full", "buy one").to_string(), "FAIL  disk: full\n      buy one");
    }
}
