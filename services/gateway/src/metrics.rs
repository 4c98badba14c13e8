//! The gateway's metrics: all names stand here.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use viberchat_kit::telemetry::Metrics;

use crate::close::Close;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabel {
    code: u16,
}

/// Counters and gauges of this gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GatewayMetrics {
    /// Open sockets.
    pub(crate) sockets: Gauge,
    /// Frames from clients.
    pub(crate) frames_in: Counter,
    /// Frames to clients.
    pub(crate) frames_out: Counter,
    /// Connections that were refused because there were too many.
    pub(crate) connections_refused: Counter,
    /// Sockets that were refused because too many waited for their handshake.
    pub(crate) handshakes_refused: Counter,
    /// Sockets whose hello waits for its turn.
    pub(crate) handshakes_waiting: Gauge,
    /// Typing that slow readers did not get.
    pub(crate) typing_shed: Counter,
    /// Users with sessions here.
    pub(crate) users: Gauge,
    /// Conversations followed here.
    pub(crate) topics: Gauge,
    closes: Family<CloseLabel, Counter>,
}

impl GatewayMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            sockets: metrics.register("gateway_sockets", "Open sockets", Gauge::default()),
            frames_in: metrics.register("gateway_frames_in", "Frames from clients", Counter::default()),
            frames_out: metrics.register("gateway_frames_out", "Frames to clients", Counter::default()),
            connections_refused: metrics.register(
                "gateway_connections_refused",
                "Connections refused because there were too many",
                Counter::default(),
            ),
            handshakes_refused: metrics.register(
                "gateway_handshakes_refused",
                "Sockets refused because too many waited for their handshake",
                Counter::default(),
            ),
            handshakes_waiting: metrics.register(
                "gateway_handshakes_waiting",
                "Sockets whose hello waits for its turn",
                Gauge::default(),
            ),
            typing_shed: metrics.register(
                "gateway_typing_shed",
                "Typing notices that slow readers did not get",
                Counter::default(),
            ),
            users: metrics.register("gateway_users", "Users with sessions on this gateway", Gauge::default()),
            topics: metrics.register("gateway_topics", "Conversations followed by this gateway", Gauge::default()),
            closes: metrics.register(
                "gateway_closes",
                "Sockets closed by the gateway, by close code",
                Family::default(),
            ),
        }
    }

    /// The gateway closes a socket.
    pub(crate) fn closed(&self, close: Close) {
        self.closes.get_or_create(&CloseLabel { code: close.code() }).inc();
    }
}
