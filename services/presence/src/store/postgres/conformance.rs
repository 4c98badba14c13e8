//! The promises of the store, on PostgreSQL: bare, and with its operations measured. Each test has a schema of its own.

use viberchat_kit::store::postgres::Settings;

use super::PostgresStore;
use super::tests::settings;
use crate::store::conformance::{Engine, Measured, for_each_promise, stamp};

struct Schema {
    settings: Settings,
    store: PostgresStore,
}

impl Engine for Schema {
    type Store = PostgresStore;

    async fn start() -> Option<Self> {
        let settings = settings()?;
        let store = PostgresStore::open(&settings).await.expect("the store opens");
        Some(Self { settings, store })
    }

    fn store(&self) -> &PostgresStore {
        &self.store
    }

    async fn second(&self) -> PostgresStore {
        PostgresStore::open(&self.settings).await.expect("the store opens")
    }
}

mod bare {
    use super::*;

    for_each_promise!(stamp!(Schema));
}

mod instrumented {
    use super::*;

    for_each_promise!(stamp!(Measured<Schema>));
}
