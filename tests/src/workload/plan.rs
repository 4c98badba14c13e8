//! How many users do what.

use std::{env, str::FromStr};

use viberchat_kit::id::{Entropy as _, SystemEntropy};

/// A workload.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// From which all that is random comes.
    pub seed: u64,
    /// How many users.
    pub users: usize,
    /// How many groups. Everybody is in the first one, half in each other.
    pub groups: usize,
    /// What each user does before it stops.
    pub steps: usize,
    /// Users hold sessions, which they lose and resume. Without, they call only, and any server may answer.
    pub sessions: bool,
    /// Admins remove and add members.
    pub churn: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: seed(), users: 8, groups: 3, steps: 150, sessions: true, churn: true }
    }
}

/// The seed in `VIBERCHAT_TEST_SEED`, or a new one. Printed, so that a failure can be run again.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    let seed = size_from_environment("VIBERCHAT_TEST_SEED", u64::from_le_bytes(bytes));
    println!("VIBERCHAT_TEST_SEED={seed}");
    seed
}

/// A size of a test that can be set from outside.
///
/// # Panics
/// If what is set is none.
#[must_use]
pub fn size_from_environment<T: FromStr>(variable: &str, default: T) -> T {
    match env::var(variable) {
        Ok(text) => text.parse().ok().unwrap_or_else(|| panic!("{variable} is {text}")),
        Err(_) => default,
    }
}
