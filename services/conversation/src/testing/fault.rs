use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use viberchat_kit::id::{Entropy as _, SystemEntropy};

use crate::store::StoreError;
use crate::store::decorated::{Failure, Hook};

/// How an operation fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Without being done.
    Unavailable,
    /// After it was done.
    OutcomeUnknown,
    /// Without being done.
    Corrupt,
    /// It does not fail: a pause of up to this long before it is done, and another one before the answer.
    DelayedUpTo(Duration),
}

/// Operations of a store that fail, until told otherwise.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Set>>);

#[derive(Default)]
struct Set {
    by_operation: HashMap<&'static str, Fault>,
    /// Of those without one of their own.
    every: Option<Fault>,
}

impl Faults {
    pub(crate) fn set(&self, operation: &'static str, fault: Option<Fault>) {
        let mut faults = self.0.lock();
        match fault {
            Some(fault) => faults.by_operation.insert(operation, fault),
            None => faults.by_operation.remove(operation),
        };
    }

    pub(crate) fn set_every(&self, fault: Option<Fault>) {
        self.0.lock().every = fault;
    }

    fn of(&self, operation: &str) -> Option<Fault> {
        let faults = self.0.lock();
        faults.by_operation.get(operation).copied().or(faults.every)
    }
}

impl Hook for Faults {
    async fn around<T: Send, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match self.of(operation) {
            None => call.await,
            Some(Fault::Unavailable) => Err(StoreError::Unavailable("a test said so".into()).into()),
            Some(Fault::Corrupt) => Err(StoreError::Corrupt("a test said so".into()).into()),
            Some(Fault::OutcomeUnknown) => {
                call.await?;
                Err(StoreError::OutcomeUnknown("a test said so".into()).into())
            }
            Some(Fault::DelayedUpTo(longest)) => {
                tokio::time::sleep(longest.mul_f64(share())).await;
                let result = call.await;
                tokio::time::sleep(longest.mul_f64(share())).await;
                result
            }
        }
    }
}

/// Between 0 and 1, another one each time.
fn share() -> f64 {
    let mut byte = [0];
    SystemEntropy.fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
