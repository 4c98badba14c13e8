//! Deployments on engines, and those that keep a core busy, take turns: several at once have too little of a small machine for
//! what is promised in time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

static TAKEN: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// The turn of one deployment, until its last clone is dropped.
#[derive(Clone)]
pub(super) struct Turn {
    _given: Arc<Given>,
}

struct Given;

impl Turn {
    /// Waits until no other deployment of this process has it.
    pub(super) fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREE.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner);
        *taken = true;
        Self { _given: Arc::new(Given) }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}
