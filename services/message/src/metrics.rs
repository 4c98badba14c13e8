//! Every metric of this service.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use viberchat_kit::telemetry::{Metrics, latency_buckets};

/// Of the store.
#[derive(Clone)]
pub(crate) struct StoreMetrics {
    commit_seconds: Histogram,
    commit_writes: Histogram,
    /// Pages that were read from the store.
    pub(crate) pages_read: Counter,
    /// Pages that were the same as when they were last read.
    pub(crate) pages_known: Counter,
}

impl StoreMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let latency = || Histogram::new(latency_buckets());
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 9));
        Self {
            commit_seconds: metrics.register(
                "message_store_commit_seconds",
                "Time from the begin of a transaction until it is durable",
                latency(),
            ),
            commit_writes: metrics.register(
                "message_store_commit_writes",
                "Appends and positions that one transaction committed",
                sizes(),
            ),
            pages_read: metrics.register(
                "message_pages_read",
                "Pages of messages or entries read from the store",
                Counter::default(),
            ),
            pages_known: metrics.register(
                "message_pages_known",
                "Pages of messages or entries answered from memory, after a look at the head",
                Counter::default(),
            ),
        }
    }

    /// A transaction ended well.
    pub(crate) fn commit(&self, writes: usize, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_writes.observe(writes as f64);
    }
}

/// Of the lanes.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    /// Entries of each append.
    pub(crate) append_entries: Histogram,
    /// Appends whose condition failed.
    pub(crate) conditions_lost: Counter,
    /// Appends of which nobody knew whether they were stored.
    pub(crate) outcomes_unknown: Counter,
    /// Writes that were stored already.
    pub(crate) duplicates: Counter,
    /// Reads of ids that memory could not answer.
    pub(crate) id_look_ups: Counter,
    /// System entries that came with the version of another one.
    pub(crate) versions_reused: Counter,
    /// Lanes in memory.
    pub(crate) lanes: Gauge,
}

impl LaneMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let entries = Histogram::new(exponential_buckets(1.0, 2.0, 7));
        Self {
            append_entries: metrics.register("message_append_entries", "Entries of one append", entries),
            conditions_lost: metrics.register(
                "message_conditions_lost",
                "Appends that were decided again because another instance had appended",
                Counter::default(),
            ),
            outcomes_unknown: metrics.register(
                "message_outcomes_unknown",
                "Appends whose outcome had to be found out",
                Counter::default(),
            ),
            duplicates: metrics.register(
                "message_duplicates",
                "Writes that were answered with their first result",
                Counter::default(),
            ),
            id_look_ups: metrics.register(
                "message_id_look_ups",
                "Request ids that had to be looked up in the store",
                Counter::default(),
            ),
            versions_reused: metrics.register(
                "message_versions_reused",
                "Changes of conversations that were not stored: the log has another one of the version",
                Counter::default(),
            ),
            lanes: metrics.register("message_lanes", "Conversations whose head is kept in memory", Gauge::default()),
        }
    }
}

/// Of the questions to the conversation service.
#[derive(Clone)]
pub(crate) struct AuthorizeMetrics {
    /// Questions asked.
    pub(crate) questions: Counter,
    /// Answers that were served although old, because the service did not answer.
    pub(crate) graces: Counter,
}

impl AuthorizeMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            questions: metrics.register(
                "message_membership_questions",
                "Questions to the conversation service who may do what",
                Counter::default(),
            ),
            graces: metrics.register(
                "message_membership_graces",
                "Old answers that were used because the conversation service did not answer",
                Counter::default(),
            ),
        }
    }
}

/// Of the subscriptions.
#[derive(Clone)]
pub(crate) struct SubscribeMetrics {
    /// Streams.
    pub(crate) streams: Gauge,
    /// Conversations that had to be filled in from the log.
    pub(crate) fills: Counter,
}

impl SubscribeMetrics {
    /// Registers them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            streams: metrics.register("message_subscriptions", "Subscribe streams that are open", Gauge::default()),
            fills: metrics.register(
                "message_subscription_fills",
                "Reads of the log for subscribers who missed entries",
                Counter::default(),
            ),
        }
    }
}
