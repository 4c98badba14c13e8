//! The promises of the store, on a SQLite file: bare, with its operations measured, and delayed.

use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::store::conformance::{Delayed, Engine, Measured, for_each_promise, stamp};

struct SqliteFile {
    options: Options,
    store: SqliteStore,
    _folder: TempDir,
}

impl Engine for SqliteFile {
    type Store = SqliteStore;

    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { data_file: folder.path().join("conversation.sqlite"), reader_connections: 2 };
        let store = SqliteStore::open(&options).await.expect("the store opens");
        Some(Self { options, store, _folder: folder })
    }

    fn store(&self) -> &SqliteStore {
        &self.store
    }

    async fn second(&self) -> SqliteStore {
        SqliteStore::open(&self.options).await.expect("the store opens")
    }
}

mod bare {
    use super::*;

    for_each_promise!(stamp!(SqliteFile));
}

mod instrumented {
    use super::*;

    for_each_promise!(stamp!(Measured<SqliteFile>));
}

mod delayed {
    use super::*;

    for_each_promise!(stamp!(Delayed<SqliteFile>));
}
