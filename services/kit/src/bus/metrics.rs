use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::Metrics;

/// Of a process's connection to the bus.
#[derive(Clone)]
pub(super) struct BusMetrics {
    pub(super) connected: Gauge,
    pub(super) published: Counter,
    pub(super) heard: Counter,
    pub(super) missed: Counter,
    pub(super) publishers: Gauge,
}

impl BusMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            connected: metrics.register("bus_connected", "Whether the bus is connected", Gauge::default()),
            published: metrics.register("bus_published", "Hints that went to the bus", Counter::default()),
            heard: metrics.register("bus_heard", "Hints that came by the bus", Counter::default()),
            missed: metrics.register(
                "bus_missed",
                "Times that hints were noticed to be missing, and the store was looked at",
                Counter::default(),
            ),
            publishers: metrics.register("bus_publishers", "Other instances that are heard", Gauge::default()),
        }
    }
}
