//! Throws away what has expired: request rows, and changes that every watcher has read long ago.

use std::time::Duration;

use viberchat_kit::clock::SharedClock;
use viberchat_kit::lifecycle::Handle;

use crate::config::Config;
use crate::metrics::ServiceMetrics;
use crate::store::{ConversationStore, Pruned, StoreError};

/// Rows of each kind in one transaction: others want to write too.
const ROWS_MAX: usize = 1_000;
const INTERVAL: Duration = Duration::from_secs(30);
/// Between two transactions while there is more.
const BREATH: Duration = Duration::from_millis(100);

pub(crate) fn start<S: ConversationStore>(
    store: S,
    clock: SharedClock,
    metrics: ServiceMetrics,
    lifecycle: &Handle,
    config: &Config,
) {
    let soft = lifecycle.soft();
    let retention = Duration::from_millis(config.watch_retention_ms);
    lifecycle.spawn("conversation.upkeep", async move {
        let mut pause = INTERVAL;
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match prune(&store, &clock, retention, &metrics).await {
                Ok(true) => BREATH,
                Ok(false) => INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "expired rows could not be thrown away");
                    INTERVAL
                }
            };
        }
    });
}

/// Whether there may be more.
async fn prune<S: ConversationStore>(
    store: &S,
    clock: &SharedClock,
    retention: Duration,
    metrics: &ServiceMetrics,
) -> Result<bool, StoreError> {
    let now = clock.now();
    let Pruned { requests, changes } = store.prune(now, now.saturating_sub(retention), ROWS_MAX).await?;
    metrics.pruned_rows.inc_by(requests + changes);
    let full = u64::try_from(ROWS_MAX).unwrap_or(u64::MAX);
    Ok(requests >= full || changes >= full)
}
