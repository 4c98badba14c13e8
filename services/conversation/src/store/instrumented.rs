//! Counts and measures the operations of a store.

use std::future::Future;

use prometheus_client::encoding::EncodeLabelSet;
use tokio::time::Instant;

use super::decorated::{Decorated, Failure, Hook};
use crate::metrics::StoreMetrics;

/// A store whose operations are measured.
pub(crate) type Instrumented<S> = Decorated<S, Measure>;

/// Measures each operation and counts the failures of the store.
#[derive(Clone)]
pub(crate) struct Measure(pub(crate) StoreMetrics);

/// Names an operation of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operation {
    operation: &'static str,
}

impl Hook for Measure {
    async fn around<T: Send, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let label = Operation { operation };
        let begin = Instant::now();
        let result = call.await;
        self.0.seconds.get_or_create(&label).observe(begin.elapsed().as_secs_f64());
        if result.as_ref().is_err_and(|error| error.of_store().is_some()) {
            self.0.failures.get_or_create(&label).inc();
        }
        result
    }
}
