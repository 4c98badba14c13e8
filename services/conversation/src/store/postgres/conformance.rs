//! The promises of the store, on PostgreSQL: bare and delayed. Each test has a schema.

use viberchat_kit::store::postgres::Settings;

use super::PostgresStore;
use crate::store::conformance::{Delayed, Engine, for_each_promise, stamp};
use crate::testing::postgres_settings;

struct Schema {
    settings: Settings,
    store: PostgresStore,
}

impl Engine for Schema {
    type Store = PostgresStore;

    async fn start() -> Option<Self> {
        let settings = postgres_settings()?;
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

mod delayed {
    use super::*;

    for_each_promise!(stamp!(Delayed<Schema>));
}
