//! The tasks of a process: named, tracked, and ended in order.
//!
//! Shutdown is soft first: tasks that watch [`Handle::soft`] finish what they have. What is left when the drain time is
//! over sees [`Handle::hard`] and drops everything. What even then does not end is named in the report.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// How long tasks get after the hard token; they have nothing left to do.
const HARD_WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Shared {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    next_task: AtomicU64,
    /// Written by each task at its begin and end, read by shutdown.
    running: Mutex<BTreeMap<u64, &'static str>>,
    panics: AtomicU64,
}

/// Owns the tasks of a process or of a test. Clones of its [`Handle`] spawn them.
#[derive(Default)]
pub struct Lifecycle {
    handle: Handle,
}

/// Spawns tasks and tells them when to end.
#[derive(Clone, Default)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Tasks that needed the hard token.
    pub cut_off: Vec<&'static str>,
    /// Tasks that had not ended when the report was made.
    pub left_running: Vec<&'static str>,
    /// Panics of tasks since the start.
    pub panics: u64,
}

impl ShutdownReport {
    /// Whether everything ended by itself.
    pub fn is_clean(&self) -> bool {
        self.cut_off.is_empty() && self.left_running.is_empty() && self.panics == 0
    }
}

impl Lifecycle {
    /// With no task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For those who spawn.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends all tasks: softly, after `drain` hard, and returns at the latest 2 s later.
    pub async fn shutdown(self, drain: Duration) -> ShutdownReport {
        let shared = &self.handle.shared;
        shared.tracker.close();
        shared.soft.cancel();
        let drained = tokio::time::timeout(drain, shared.tracker.wait()).await.is_ok();
        let cut_off = if drained { Vec::new() } else { self.handle.running() };
        shared.hard.cancel();
        let ended = tokio::time::timeout(HARD_WAIT_MAX, shared.tracker.wait()).await.is_ok();
        let left_running = if ended { Vec::new() } else { self.handle.running() };
        if !left_running.is_empty() {
            tracing::error!(tasks = ?left_running, "tasks did not end");
        }
        ShutdownReport { cut_off, left_running, panics: self.handle.panics() }
    }
}

impl Handle {
    /// Runs a task. A panic is logged and counted, and ends this task only.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guard = TaskGuard::enter(self.shared.clone(), name);
        let task = async move {
            let _guard = guard;
            task.await
        };
        self.shared.tracker.spawn(task.instrument(tracing::info_span!("task", name)))
    }

    /// Cancelled when the process is to finish what it has and take nothing new.
    pub fn soft(&self) -> CancellationToken {
        self.shared.soft.clone()
    }

    /// Cancelled when there is no time left.
    pub fn hard(&self) -> CancellationToken {
        self.shared.hard.clone()
    }

    /// Names of the tasks that run, oldest first.
    pub fn running(&self) -> Vec<&'static str> {
        self.shared.running.lock().values().copied().collect()
    }

    /// Panics of tasks since the start.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }
}

struct TaskGuard {
    shared: Arc<Shared>,
    task: u64,
    name: &'static str,
}

impl TaskGuard {
    fn enter(shared: Arc<Shared>, name: &'static str) -> Self {
        let task = shared.next_task.fetch_add(1, Ordering::Relaxed);
        shared.running.lock().insert(task, name);
        Self { shared, task, name }
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = self.name, "task panicked");
        }
        self.shared.running.lock().remove(&self.task);
    }
}

/// Returns at the first SIGTERM or SIGINT.
///
/// # Errors
/// When the process may not listen to signals.
pub async fn signals() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Cancel safe: a signal stays pending until it is received.
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests;
