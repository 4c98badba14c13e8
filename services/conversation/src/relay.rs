//! Brings system entries from the outbox into the log, and their seqs back.
//!
//! A call that made an entry starts a run for its conversation at once; a sweep starts runs for what is left: after a
//! start, after failures, from processes that ended. Each run appends in version order until the outbox of its
//! conversation is empty; this process has one run a conversation. Another process may have one too: the log takes a
//! version once and answers a repetition with the same seq, and [`ConversationStore::write_back`] repeats without harm.
//!
//! Invariants: an outbox row goes only after the log has its entry; nothing depends on the order of ids, only on
//! versions within a conversation; runs outlive the calls that start them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use viberchat_kit::clock::SharedClock;
use viberchat_kit::error::Error;
use viberchat_kit::id::ConversationId;
use viberchat_kit::lifecycle::Handle;

use crate::config::Config;
use crate::log::EntryLog;
use crate::metrics::ServiceMetrics;
use crate::store::{ConversationStore, EntryRef};
use crate::watch::Wake;

/// Entries read from the outbox at a time.
const ENTRIES_MAX: usize = 64;
/// Conversations read by the sweep at a time.
const SWEEP_PAGE: usize = 256;
/// Conversations that the sweep relays side by side.
const SWEEP_CONCURRENCY: usize = 8;
/// Attempts of a run that a call started, before it leaves the rest to the sweep.
const CALL_ATTEMPTS: u32 = 5;
const CALL_BACKOFF: Duration = Duration::from_millis(50);

/// Cheap to clone.
pub(crate) struct Relay<S>(Arc<Inner<S>>);

impl<S> Clone for Relay<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S> {
    store: S,
    log: Arc<dyn EntryLog>,
    clock: SharedClock,
    lifecycle: Handle,
    metrics: ServiceMetrics,
    wake: Wake,
    interval: Duration,
    backoff_max: Duration,
    /// Wakes the sweep.
    soon: Notify,
    /// One for each conversation that is being relayed. Written by those who start runs and by the runs.
    runs: Mutex<HashMap<ConversationId, Run>>,
}

#[derive(Default)]
struct Run {
    /// Something was committed since the run last looked.
    again: bool,
    /// Calls that wait for the seq of a version.
    waiters: Vec<(u64, oneshot::Sender<u64>)>,
}

/// What the relay works with.
pub(crate) struct Parts<S> {
    pub(crate) store: S,
    pub(crate) log: Arc<dyn EntryLog>,
    pub(crate) clock: SharedClock,
    pub(crate) lifecycle: Handle,
    pub(crate) metrics: ServiceMetrics,
    pub(crate) wake: Wake,
}

impl<S: ConversationStore + Clone> Relay<S> {
    pub(crate) fn new(parts: Parts<S>, config: &Config) -> Self {
        let Parts { store, log, clock, lifecycle, metrics, wake } = parts;
        Self(Arc::new(Inner {
            store,
            log,
            clock,
            lifecycle,
            metrics,
            wake,
            interval: Duration::from_millis(config.relay_interval_ms),
            backoff_max: Duration::from_millis(config.relay_backoff_max_ms),
            soon: Notify::new(),
            runs: Mutex::default(),
        }))
    }

    /// Starts the sweep.
    pub(crate) fn start(&self) {
        let relay = self.clone();
        self.0.lifecycle.spawn("conversation.relay_sweep", async move { relay.sweep_forever().await });
    }

    /// Relays an entry that was just committed, in a task of its own. The receiver gets the seq; it is closed without
    /// one when the entry is left to the sweep, or was relayed by somebody else.
    pub(crate) fn relay(&self, entry: &EntryRef) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        let conversation = entry.conversation;
        {
            let mut runs = self.0.runs.lock();
            if let Some(run) = runs.get_mut(&conversation) {
                run.again = true;
                run.waiters.retain(|(_, waiter)| !waiter.is_closed());
                run.waiters.push((entry.version, sender));
                return receiver;
            }
            runs.insert(conversation, Run { again: false, waiters: vec![(entry.version, sender)] });
        }
        let relay = self.clone();
        self.0.lifecycle.spawn("conversation.relay", async move { relay.run(conversation, CALL_ATTEMPTS).await });
        receiver
    }

    /// Says that there may be entries that no call waits for: the sweep looks at once. Never waits.
    pub(crate) fn sweep_soon(&self) {
        self.0.soon.notify_one();
    }

    async fn sweep_forever(self) {
        let soft = self.0.lifecycle.soft();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = self.0.soon.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = if self.sweep().await {
                self.0.interval
            } else {
                (pause * 2).clamp(self.0.interval, self.0.backoff_max)
            };
        }
    }

    /// Relays all that is left, once around. `false`: something failed.
    async fn sweep(&self) -> bool {
        let mut after = None;
        let (mut backlog, mut complete) = (0, true);
        loop {
            let page = match self.0.store.outbox_conversations(after, SWEEP_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be read");
                    return false;
                }
            };
            let Some(last) = page.last() else { break };
            after = Some(*last);
            backlog += page.len();
            let results = futures::stream::iter(page).map(|id| self.sweep_one(id)).buffer_unordered(SWEEP_CONCURRENCY);
            // All of them, whichever fails: who is refused for good must not end the page for the rest.
            complete &= results.fold(true, async |all, done| all & done).await;
        }
        self.0.metrics.relay_backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
        complete
    }

    async fn sweep_one(&self, conversation: ConversationId) -> bool {
        {
            let mut runs = self.0.runs.lock();
            if runs.contains_key(&conversation) {
                return true;
            }
            runs.insert(conversation, Run::default());
        }
        self.run(conversation, 1).await
    }

    /// Runs until the outbox of the conversation is empty, or `attempts` have failed. The caller has put the run into
    /// the table; it is gone when this returns or is dropped.
    async fn run(&self, conversation: ConversationId, attempts: u32) -> bool {
        let mut guard = RunGuard { relay: self, conversation, armed: true };
        let hard = self.0.lifecycle.hard();
        let mut failures = 0;
        loop {
            let delivered = tokio::select! {
                delivered = self.deliver(conversation) => delivered,
                // Dropping a delivery loses nothing: the outbox row is still there.
                () = hard.cancelled() => return false,
            };
            match delivered {
                Ok(()) if self.finish_unless_again(conversation) => {
                    guard.armed = false;
                    return true;
                }
                Ok(()) => failures = 0,
                Err(error) => {
                    self.0.metrics.relay_failures.inc();
                    tracing::warn!(%conversation, %error, "a system entry could not be relayed");
                    failures += 1;
                    if failures >= attempts {
                        return false;
                    }
                    tokio::time::sleep(CALL_BACKOFF * 2_u32.pow(failures - 1)).await;
                }
            }
        }
    }

    fn finish_unless_again(&self, conversation: ConversationId) -> bool {
        let mut runs = self.0.runs.lock();
        match runs.get_mut(&conversation) {
            Some(run) if run.again => {
                run.again = false;
                false
            }
            _ => {
                runs.remove(&conversation);
                true
            }
        }
    }

    async fn deliver(&self, conversation: ConversationId) -> Result<(), Error> {
        loop {
            let entries = self.0.store.outbox(conversation, ENTRIES_MAX).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let seq = self.0.log.append(conversation, &entry).await?;
                self.0.store.write_back(conversation, entry.version, seq, self.0.clock.now()).await?;
                self.0.metrics.relayed.inc();
                self.0.wake.wake();
                self.answer(conversation, entry.version, seq);
            }
        }
    }

    fn answer(&self, conversation: ConversationId, version: u64, seq: u64) {
        let mut runs = self.0.runs.lock();
        let Some(run) = runs.get_mut(&conversation) else { return };
        for (_, waiter) in run.waiters.extract_if(.., |(waited_for, _)| *waited_for == version) {
            // The call may have given up.
            let _ = waiter.send(seq);
        }
    }
}

/// Takes a run out of the table that ends without having finished. After a finish the place may be another run's.
struct RunGuard<'a, S> {
    relay: &'a Relay<S>,
    conversation: ConversationId,
    armed: bool,
}

impl<S> Drop for RunGuard<'_, S> {
    fn drop(&mut self) {
        if self.armed {
            self.relay.0.runs.lock().remove(&self.conversation);
        }
    }
}

#[cfg(test)]
mod tests;
