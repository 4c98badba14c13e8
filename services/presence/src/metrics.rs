//! The metrics of this service: all names are here.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use viberchat_kit::telemetry::{Metrics, latency_buckets};

/// Counted where it happens; cheap to clone.
#[derive(Clone)]
pub(crate) struct ServiceMetrics {
    /// Sessions of all gateways, gateways, and users in memory; set by the sweep.
    pub(crate) sessions: Gauge,
    pub(crate) gateways: Gauge,
    pub(crate) users: Gauge,
    /// Sessions that were too many.
    pub(crate) shed_sessions: Counter,
    /// Gateways whose stream ended without a word.
    pub(crate) lost_gateways: Counter,
    /// Last-seen times and statuses that were written.
    pub(crate) written_rows: Counter,
    /// Rows that were read again because another instance may have written them.
    pub(crate) reread_rows: Counter,
    /// Open streams of presences, and pairs of users on them.
    pub(crate) watch_streams: Gauge,
    pub(crate) watch_pairs: Gauge,
    /// Users who type; set by the sweep.
    pub(crate) typists: Gauge,
    /// Words about typing for which there was no room.
    pub(crate) shed_typing: Counter,
    /// Open streams of typing.
    pub(crate) typing_streams: Gauge,
    /// Questions to the conversation service, and those without an answer.
    pub(crate) questions: Counter,
    pub(crate) unanswered_questions: Counter,
}

impl ServiceMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let gauge = |name, help| metrics.register(name, help, Gauge::default());
        let counter = |name, help| metrics.register(name, help, Counter::default());
        Self {
            sessions: gauge("presence_sessions", "Sessions of all gateways"),
            gateways: gauge("presence_gateways", "Gateways that are attached or were a moment ago"),
            users: gauge("presence_users", "Users in memory"),
            shed_sessions: counter("presence_shed_sessions", "Sessions not counted because there were too many"),
            lost_gateways: counter("presence_lost_gateways", "Gateways whose stream ended without a word"),
            written_rows: counter("presence_written_rows", "Last-seen times and statuses written"),
            reread_rows: counter("presence_reread_rows", "Rows read again that another instance may have written"),
            watch_streams: gauge("presence_watch_streams", "Open streams of presences"),
            watch_pairs: gauge("presence_watch_pairs", "Pairs of users on streams of presences"),
            typists: gauge("presence_typists", "Users who type"),
            shed_typing: counter("presence_shed_typing", "Words about typing for which there was no room"),
            typing_streams: gauge("presence_typing_streams", "Open streams of typing"),
            questions: counter("presence_questions", "Questions to the conversation service"),
            unanswered_questions: counter(
                "presence_unanswered_questions",
                "Questions to the conversation service without an answer",
            ),
        }
    }
}

/// Names an operation of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operation {
    pub(crate) operation: &'static str,
}

/// Operations of the store, by name.
#[derive(Clone)]
pub(crate) struct StoreMetrics {
    pub(crate) seconds: Family<Operation, Histogram, fn() -> Histogram>,
    pub(crate) failures: Family<Operation, Counter>,
}

impl StoreMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            seconds: metrics.register(
                "presence_store_seconds",
                "Seconds that operations of the store took",
                Family::new_with_constructor(|| Histogram::new(latency_buckets())),
            ),
            failures: metrics.register(
                "presence_store_failures",
                "Operations that the store failed at",
                Family::default(),
            ),
        }
    }
}
