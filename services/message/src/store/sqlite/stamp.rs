//! The store's conformance suite on SQLite.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tempfile::TempDir;
use viberchat_kit::telemetry::Metrics;

use super::{SqliteOptions, SqliteStore};
use crate::metrics::StoreMetrics;
use crate::store::Store;
use crate::store::conformance::{Backend, stamp};
use crate::store::faulty::FaultyBackend;

/// A file in a folder of its own.
pub(crate) struct SqliteFile(TempDir);

impl SqliteFile {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("message.sqlite")
    }

    pub(crate) fn store(&self) -> SqliteStore {
        let options = SqliteOptions { readers: 2, queue: 64 };
        SqliteStore::open(&self.path(), options, StoreMetrics::new(&Metrics::new())).unwrap()
    }
}

impl Backend for SqliteFile {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(self.store()) as Arc<dyn Store> }.boxed()
    }
}

mod bare {
    use super::*;
    stamp!(backend: async { Some(SqliteFile::new()) });
}

mod through_faults {
    use super::*;
    stamp!(backend: async { Some(FaultyBackend(SqliteFile::new())) });
}
