//! The one task that writes: statuses as they are set, last-seen times every few seconds.
//!
//! Statuses are written before they show, in the order in which they came, as many as wait in one transaction; so memory
//! and store do not disagree about who is invisible. Whoever set one may go: it is written all the same. At the end of the
//! service the last-seen times of all who are there are written too; a crash leaves those of its last seconds behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::UserId;
use viberchat_kit::lifecycle::Handle;

use crate::config::Config;
use crate::domain::status::{Presence, Setting};
use crate::error::draining;
use crate::metrics::ServiceMetrics;
use crate::others::Others;
use crate::presences::{Admitted, Presences};
use crate::reread::Rereads;
use crate::store::{PresenceStore, StoreError, Write};
use crate::typings::Typings;

/// Rows of one transaction.
const ROWS_MAX: usize = 500;

/// Takes statuses to be written. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Saver {
    queue: mpsc::Sender<Set>,
}

struct Set {
    user: UserId,
    setting: Setting,
    /// Keeps the user until it is done.
    _admitted: Admitted,
    done: oneshot::Sender<Result<Presence>>,
}

/// What the task works with.
pub(crate) struct Parts {
    pub(crate) presences: Arc<Presences>,
    pub(crate) typings: Arc<Typings>,
    pub(crate) store: Arc<dyn PresenceStore>,
    pub(crate) others: Option<Arc<Others>>,
    pub(crate) rereads: Arc<Rereads>,
    pub(crate) metrics: ServiceMetrics,
}

struct Task {
    parts: Parts,
    timeout: Duration,
}

impl Saver {
    /// Starts the task.
    pub(crate) fn start(parts: Parts, config: &Config, lifecycle: &Handle) -> Self {
        let (queue, sets) = mpsc::channel(config.status_queue_max as usize);
        let task = Task { parts, timeout: config.call_timeout() };
        let interval = Duration::from_millis(config.last_seen_interval_ms);
        let soft = lifecycle.soft();
        lifecycle.spawn("presence.saver", async move { task.run(sets, interval, soft).await });
        Self { queue }
    }

    /// Stores a status, then shows it. Returns what the user, who was admitted, sees of themselves.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`, `OUTCOME_UNKNOWN`; `DRAINING` when the service stops; `RATE_LIMITED` when too many wait.
    pub(crate) async fn set(&self, user: UserId, setting: Setting, admitted: Admitted) -> Result<Presence> {
        let (done, answer) = oneshot::channel();
        self.queue.try_send(Set { user, setting, _admitted: admitted, done }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(Reason::RateLimited, "too many statuses wait to be written")
            }
            mpsc::error::TrySendError::Closed(_) => draining(),
        })?;
        answer.await.unwrap_or_else(|_| Err(draining()))
    }
}

impl Task {
    async fn run(self, mut sets: mpsc::Receiver<Set>, interval: Duration, soft: tokio_util::sync::CancellationToken) {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            // Cancel safe: what is received is in `batch` before anything else is waited for.
            tokio::select! {
                biased;
                () = soft.cancelled() => break,
                count = sets.recv_many(&mut batch, ROWS_MAX) => match count {
                    0 => break,
                    _ => self.set(std::mem::take(&mut batch)).await,
                },
                _ = ticks.tick() => self.flush().await,
            }
        }
        sets.close();
        while sets.recv_many(&mut batch, ROWS_MAX).await > 0 {
            self.set(std::mem::take(&mut batch)).await;
        }
        self.parts.presences.see_all();
        self.flush().await;
    }

    async fn set(&self, batch: Vec<Set>) {
        let writes: Vec<_> = batch.iter().map(|set| Write::Setting(set.user.clone(), set.setting)).collect();
        let written = self.write(&writes).await;
        let may_be_stored = matches!(written, Ok(()) | Err(StoreError::OutcomeUnknown(_)));
        let written = written.map_err(Error::from);
        for Set { user, setting, _admitted, done } in batch {
            let shown = written.clone().map(|()| self.show(&user, setting));
            if let Some(others) = self.parts.others.as_ref().filter(|_| may_be_stored) {
                others.tell_status(&user);
                // Another instance may have written in between, and be the last.
                self.parts.rereads.mark(user);
            }
            // Nobody may wait any more; the status is set all the same.
            let _ = done.send(shown);
        }
    }

    fn show(&self, user: &UserId, setting: Setting) -> Presence {
        let presence = self.parts.presences.set(user, setting);
        if self.parts.presences.is_invisible(user) {
            self.parts.typings.stop_everywhere(user);
        }
        presence
    }

    async fn flush(&self) {
        for rows in self.parts.presences.unsaved().chunks(ROWS_MAX) {
            let writes: Vec<_> = rows.iter().map(|(user, minute)| Write::LastSeen(user.clone(), *minute)).collect();
            match self.write(&writes).await {
                Ok(()) => self.parts.presences.saved(rows),
                Err(error) => {
                    tracing::warn!(%error, "last-seen times could not be written; they are tried again");
                    return;
                }
            }
        }
    }

    async fn write(&self, writes: &[Write]) -> std::result::Result<(), StoreError> {
        match timeout(self.timeout, self.parts.store.write(writes)).await {
            Ok(written) => written.inspect(|()| {
                self.parts.metrics.written_rows.inc_by(writes.len() as u64);
            }),
            // A commit may have been under way.
            Err(_) => Err(StoreError::OutcomeUnknown("the store took too long".into())),
        }
    }
}

#[cfg(test)]
mod tests;
