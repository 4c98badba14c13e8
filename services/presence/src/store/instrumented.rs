//! Counts and measures the operations of a store.

use std::collections::HashMap;
use std::future::Future;

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::id::UserId;

use super::{Answer, PresenceStore, Row, StoreError, Write};
use crate::metrics::{Operation, StoreMetrics};

/// A store whose operations are measured.
#[derive(Clone)]
pub(crate) struct Instrumented<S> {
    store: S,
    metrics: StoreMetrics,
}

impl<S> Instrumented<S> {
    pub(crate) fn new(store: S, metrics: StoreMetrics) -> Self {
        Self { store, metrics }
    }

    async fn measure<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let label = Operation { operation };
        let begin = Instant::now();
        let result = call.await;
        self.metrics.seconds.get_or_create(&label).observe(begin.elapsed().as_secs_f64());
        if result.is_err() {
            self.metrics.failures.get_or_create(&label).inc();
        }
        result
    }
}

impl<S: PresenceStore> PresenceStore for Instrumented<S> {
    fn load<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, HashMap<UserId, Row>> {
        self.measure("load", self.store.load(users)).boxed()
    }

    fn write<'a>(&'a self, writes: &'a [Write]) -> Answer<'a, ()> {
        self.measure("write", self.store.write(writes)).boxed()
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.measure("ping", self.store.ping()).boxed()
    }
}
