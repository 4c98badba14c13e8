use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;

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
}

/// Operations of a store that fail, until told otherwise.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<HashMap<&'static str, Fault>>>);

impl Faults {
    pub(crate) fn set(&self, operation: &'static str, fault: Option<Fault>) {
        let mut faults = self.0.lock();
        match fault {
            Some(fault) => faults.insert(operation, fault),
            None => faults.remove(operation),
        };
    }
}

impl Hook for Faults {
    async fn around<T: Send, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let fault = self.0.lock().get(operation).copied();
        match fault {
            None => call.await,
            Some(Fault::Unavailable) => Err(StoreError::Unavailable("a test said so".into()).into()),
            Some(Fault::Corrupt) => Err(StoreError::Corrupt("a test said so".into()).into()),
            Some(Fault::OutcomeUnknown) => {
                call.await?;
                Err(StoreError::OutcomeUnknown("a test said so".into()).into())
            }
        }
    }
}
