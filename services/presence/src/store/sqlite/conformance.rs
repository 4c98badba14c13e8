//! The promises of the store, on a SQLite file: bare, and with its operations measured.

use tempfile::TempDir;
use viberchat_kit::telemetry::Metrics;

use super::{Options, SqliteStore};
use crate::metrics::StoreMetrics;
use crate::store::conformance::{Engine, for_each_promise, stamp};
use crate::store::instrumented::Instrumented;

struct SqliteFile {
    options: Options,
    store: SqliteStore,
    _folder: TempDir,
}

impl Engine for SqliteFile {
    type Store = SqliteStore;

    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { data_file: folder.path().join("presence.sqlite"), reader_connections: 2 };
        let store = SqliteStore::open(&options).await.expect("the store opens");
        Self { options, store, _folder: folder }
    }

    fn store(&self) -> &SqliteStore {
        &self.store
    }

    async fn second(&self) -> SqliteStore {
        SqliteStore::open(&self.options).await.expect("the store opens")
    }
}

struct Measured {
    engine: SqliteFile,
    store: Instrumented<SqliteStore>,
}

fn measured(store: SqliteStore) -> Instrumented<SqliteStore> {
    Instrumented::new(store, StoreMetrics::register(&Metrics::new()))
}

impl Engine for Measured {
    type Store = Instrumented<SqliteStore>;

    async fn start() -> Self {
        let engine = SqliteFile::start().await;
        Self { store: measured(engine.store.clone()), engine }
    }

    fn store(&self) -> &Self::Store {
        &self.store
    }

    async fn second(&self) -> Self::Store {
        measured(self.engine.second().await)
    }
}

mod bare {
    use super::*;

    for_each_promise!(stamp!(SqliteFile));
}

mod instrumented {
    use super::*;

    for_each_promise!(stamp!(Measured));
}
