//! The metrics of this service: all names are here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use viberchat_kit::telemetry::{Metrics, latency_buckets};

use crate::store::instrumented::Operation;

/// Counted where it happens; cheap to clone.
#[derive(Clone)]
pub(crate) struct ServiceMetrics {
    /// Entries that the log has taken.
    pub(crate) relayed: Counter,
    /// Attempts that failed; each is made again.
    pub(crate) relay_failures: Counter,
    /// Conversations with entries that the log does not have, at the last sweep.
    pub(crate) relay_backlog: Gauge,
    /// Open streams of memberships.
    pub(crate) watch_streams: Gauge,
    /// Users on them.
    pub(crate) watched_users: Gauge,
    /// Streams that were ended because they did not keep up.
    pub(crate) slow_streams: Counter,
    /// Request rows and changes thrown away.
    pub(crate) pruned_rows: Counter,
}

impl ServiceMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            relayed: metrics.register(
                "conversation_relayed_entries",
                "System entries that the log has taken",
                Counter::default(),
            ),
            relay_failures: metrics.register(
                "conversation_relay_failures",
                "Attempts to append a system entry that failed",
                Counter::default(),
            ),
            relay_backlog: metrics.register(
                "conversation_relay_backlog",
                "Conversations with system entries that the log does not have, at the last sweep",
                Gauge::default(),
            ),
            watch_streams: metrics.register(
                "conversation_watch_streams",
                "Open streams of memberships",
                Gauge::default(),
            ),
            watched_users: metrics.register(
                "conversation_watched_users",
                "Users followed by streams of memberships",
                Gauge::default(),
            ),
            slow_streams: metrics.register(
                "conversation_watch_slow_streams",
                "Streams of memberships ended because they did not keep up",
                Counter::default(),
            ),
            pruned_rows: metrics.register(
                "conversation_pruned_rows",
                "Expired request rows and changes thrown away",
                Counter::default(),
            ),
        }
    }
}

/// Operations of the store, by name.
#[derive(Clone)]
pub(crate) struct StoreMetrics {
    pub(crate) seconds: Family<Operation, Histogram, fn() -> Histogram>,
    /// Refusals by a rule are none.
    pub(crate) failures: Family<Operation, Counter>,
}

impl StoreMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            seconds: metrics.register(
                "conversation_store_seconds",
                "Seconds that operations of the store took",
                Family::new_with_constructor(|| Histogram::new(latency_buckets())),
            ),
            failures: metrics.register(
                "conversation_store_failures",
                "Operations that the store failed at",
                Family::default(),
            ),
        }
    }
}
