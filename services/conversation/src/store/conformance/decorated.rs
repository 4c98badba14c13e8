//! Engines with something around their stores.

use std::time::Duration;

use viberchat_kit::telemetry::Metrics;

use super::Engine;
use crate::metrics::StoreMetrics;
use crate::store::decorated::{Decorated, Hook};
use crate::store::instrumented::Measure;
use crate::testing::{Fault, Faults};

/// With its operations measured.
pub(crate) struct Measured<E: Engine>(Around<E, Measure>);

/// With every operation delayed, before and after it is done.
pub(crate) struct Delayed<E: Engine>(Around<E, Faults>);

struct Around<E: Engine, H> {
    engine: E,
    hook: H,
    store: Decorated<E::Store, H>,
}

impl<E: Engine, H: Hook> Around<E, H> {
    async fn start(hook: H) -> Option<Self> {
        let engine = E::start().await?;
        Some(Self { store: Decorated::new(engine.store().clone(), hook.clone()), engine, hook })
    }

    async fn second(&self) -> Decorated<E::Store, H> {
        Decorated::new(self.engine.second().await, self.hook.clone())
    }
}

impl<E: Engine> Engine for Measured<E> {
    type Store = Decorated<E::Store, Measure>;

    async fn start() -> Option<Self> {
        Around::start(Measure(StoreMetrics::register(&Metrics::new()))).await.map(Self)
    }

    fn store(&self) -> &Self::Store {
        &self.0.store
    }

    async fn second(&self) -> Self::Store {
        self.0.second().await
    }
}

impl<E: Engine> Engine for Delayed<E> {
    type Store = Decorated<E::Store, Faults>;

    async fn start() -> Option<Self> {
        let faults = Faults::default();
        faults.set_every(Some(Fault::DelayedUpTo(Duration::from_millis(2))));
        Around::start(faults).await.map(Self)
    }

    fn store(&self) -> &Self::Store {
        &self.0.store
    }

    async fn second(&self) -> Self::Store {
        self.0.second().await
    }
}
