//! What the service wants of a store, whatever the engine: a status and a last-seen time for each user.
//!
//! Promises of every engine, checked by `conformance`:
//! - **Durable**: what returned `Ok` outlives a crash of the process and of the machine.
//! - **A write is one transaction**: all of it is there or nothing.
//! - **The parts are apart**: a status leaves the last-seen time as it is, and the other way round.
//! - **A last-seen time never goes back**: of two writers, in whatever order, the later minute stays.
//! - **Writers do not harm each other**: two that write the same rows at once wait, and both succeed.
//! - **Reads see every committed write**, of this process and of others.
//!
//! Futures may be dropped at any await: a transaction that has not been committed is rolled back then.

pub(crate) mod backend;
#[cfg(test)]
mod conformance;
mod failure;
pub(crate) mod instrumented;
pub(crate) mod postgres;
mod rows;
pub(crate) mod sqlite;

use std::collections::HashMap;

use futures::future::BoxFuture;
use viberchat_kit::id::UserId;

pub(crate) use crate::domain::registry::Row;
use crate::domain::status::{Minute, Setting};

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was stored; it may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The commit was under way; the write is stored or not.
    #[error("the outcome of a commit is unknown")]
    OutcomeUnknown(#[source] BoxError),
    /// What is stored cannot be what we stored.
    #[error("the store holds what it should not: {0}")]
    Corrupt(String),
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// One part of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// The user has set a status.
    Setting(UserId, Setting),
    /// Others last saw the user then, or later.
    LastSeen(UserId, Minute),
}

/// Where statuses and last-seen times are kept.
pub(crate) trait PresenceStore: Send + Sync + 'static {
    /// What is known of these users. Who was never written of is missing.
    fn load<'a>(&'a self, users: &'a [UserId]) -> Answer<'a, HashMap<UserId, Row>>;

    /// Writes all parts, in their order, in one transaction.
    fn write<'a>(&'a self, writes: &'a [Write]) -> Answer<'a, ()>;

    /// Whether the store answers.
    fn ping(&self) -> Answer<'_, ()>;
}
