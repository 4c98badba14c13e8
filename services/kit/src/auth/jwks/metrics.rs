use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::Metrics;

/// `viberchat_auth_jwks_refreshes_total{result}` and `viberchat_auth_jwks_keys`.
pub(super) struct JwksMetrics {
    refreshes: Family<ResultLabel, Counter>,
    keys: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ResultLabel(&'static str);

impl EncodeLabelSet for ResultLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("result", self.0)].encode(encoder)
    }
}

impl JwksMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let help = "Readings of the key set of the host application, by result";
        let refreshes = Family::<ResultLabel, Counter>::default();
        // Both are there from the start, so that an alert sees the first failure.
        for result in ["ok", "failed"] {
            drop(refreshes.get_or_create(&ResultLabel(result)));
        }
        Self {
            refreshes: metrics.register("auth_jwks_refreshes", help, refreshes),
            keys: metrics.register("auth_jwks_keys", "Keys of the host application that are in use", Gauge::default()),
        }
    }

    pub(super) fn refreshed(&self, keys: usize) {
        self.refreshes.get_or_create(&ResultLabel("ok")).inc();
        self.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    pub(super) fn failed(&self) {
        self.refreshes.get_or_create(&ResultLabel("failed")).inc();
    }
}
