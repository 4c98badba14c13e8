use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::registry::{Metric, Registry};

const PREFIX: &str = "viberchat";

/// The metrics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix(PREFIX))))
    }
}

impl Metrics {
    /// With no metric yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `viberchat_<name>` and gives the metric back. `help` ends without a full stop.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.0.lock().register(name, help, metric.clone());
        metric
    }

    /// All metrics in the text format of OpenMetrics.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.lock())
            .expect("writing to a String does not fail");
        text
    }
}

/// Buckets of latencies in seconds, from 50 µs to 13 s in steps of two.
pub fn latency_buckets() -> impl Iterator<Item = f64> {
    prometheus_client::metrics::histogram::exponential_buckets(0.000_05, 2.0, 19)
}
