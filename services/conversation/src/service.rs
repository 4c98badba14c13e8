use std::sync::Arc;
use std::time::Duration;

use tonic::service::Routes;
use viberchat_kit::bus::{Bus, BusError, Listener};
use viberchat_kit::clock::{Clock, SharedClock};
use viberchat_kit::config::ConfigError;
use viberchat_kit::doctor::Finding;
use viberchat_kit::id::SharedEntropy;
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Handle;
use viberchat_kit::page::PageSealer;
use viberchat_kit::rpc::Channel;
use viberchat_kit::store::SchemaReport;
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationServiceServer;
use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryServiceServer;

use crate::activity::ActivityWriter;
use crate::config::Config;
use crate::log::{EntryLog, MessageLog};
use crate::metrics::{ServiceMetrics, StoreMetrics};
use crate::others::{self, Others};
use crate::relay::{self, Relay};
use crate::rpc::{Api, State};
use crate::store::backend::{self, Opened};
use crate::store::instrumented::{Instrumented, Measure};
use crate::store::{ConversationStore, StoreError};
use crate::upkeep;
use crate::watch::{Hub, Wake, Watcher};

/// What the service needs of the process and of others.
pub struct Deps {
    /// Time.
    pub clock: SharedClock,
    /// Randomness, for new ids and page tokens.
    pub entropy: SharedEntropy,
    /// Keys of the deployment: `pages` and `fingerprint` are used here.
    pub keys: Arc<Keys>,
    /// Where tasks are spawned.
    pub lifecycle: Handle,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// To the message service, with the scope `relay`. May be unavailable for a while.
    pub message: Channel,
    /// The bus between the instances of this service. `None`: others are found in the store only.
    pub bus: Option<Bus>,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting is out of its range.
    #[error("the configuration is invalid")]
    Config(#[from] ConfigError),
    /// It cannot be reached, or its schema is not that of this release.
    #[error("the store {place} cannot be opened")]
    Store {
        /// The file, or the server and the schema.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bus cannot be used.
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
}

/// The running service. Its tasks end with the lifecycle.
pub struct Service {
    routes: Routes,
    store: Opened,
}

/// Opens the store and starts the tasks. The schema of a SQLite file is brought up to date; that of PostgreSQL where it is
/// configured.
///
/// # Errors
/// [`BuildError`].
pub async fn build(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate()?;
    let place = backend::place(&config);
    let failed = |source| BuildError::Store { place, source };
    let opened = match Opened::open(&config).await {
        Ok(opened) => opened,
        Err(error) => return Err(failed(error)),
    };
    let others = match &deps.bus {
        Some(bus) => Some((Others::new(bus, deps.entropy.as_ref()), others::listen(bus).await?)),
        None => None,
    };
    let served = match &opened {
        Opened::Sqlite(store) => serve(config, store.clone(), deps, others).await,
        Opened::Postgres(store) => serve(config, store.clone(), deps, others).await,
    };
    let routes = served.map_err(|error| failed(error.into()))?;
    Ok(Service { routes, store: opened })
}

/// What an operator should know of the configured store.
pub async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    backend::examine(config, clock).await
}

/// Brings the schema of the configured store up to date, or only says what it would do. Any number of processes may do it
/// at once.
///
/// # Errors
/// [`BuildError`].
pub async fn migrate_schema(config: &Config, dry_run: bool) -> Result<SchemaReport, BuildError> {
    config.validate()?;
    backend::migrate(config, dry_run)
        .await
        .map_err(|source| BuildError::Store { place: backend::place(config), source })
}

/// Starts the tasks on a store; what serves the calls.
async fn serve<S: ConversationStore + Clone>(
    config: Config,
    store: S,
    deps: Deps,
    others: Option<(Others, Listener)>,
) -> Result<Routes, StoreError> {
    let log = MessageLog::new(deps.message, Duration::from_millis(config.relay_timeout_ms));
    let parts = Parts {
        clock: deps.clock,
        entropy: deps.entropy,
        keys: deps.keys,
        lifecycle: deps.lifecycle,
        metrics: ServiceMetrics::register(&deps.metrics),
        log: Arc::new(log),
        others,
    };
    let measured = Instrumented::new(store, Measure(StoreMetrics::register(&deps.metrics)));
    let api = Api::new(Arc::new(assemble(config, measured, parts).await?));
    Ok(Routes::new(ConversationServiceServer::new(api.clone())).add_service(UserDirectoryServiceServer::new(api)))
}

/// What [`assemble`] needs besides a store.
pub(crate) struct Parts {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) keys: Arc<Keys>,
    pub(crate) lifecycle: Handle,
    pub(crate) metrics: ServiceMetrics,
    pub(crate) log: Arc<dyn EntryLog>,
    /// Those who are told, and what they say.
    pub(crate) others: Option<(Others, Listener)>,
}

/// Puts the parts together on any store and starts the tasks.
pub(crate) async fn assemble<S: ConversationStore + Clone>(
    config: Config,
    store: S,
    parts: Parts,
) -> Result<State<S>, StoreError> {
    let Parts { clock, entropy, keys, lifecycle, metrics, log, others } = parts;
    let (told, heard) = others.unzip();
    let wake = Wake::with(told);
    if let Some(heard) = heard {
        others::start(heard, wake.clone(), &lifecycle);
    }
    let hub = Hub::new(&config, metrics.clone());
    // From here on no change is missed; nobody is served before.
    Watcher::new(store.clone(), hub.clone(), wake.clone(), &config).await?.start(&lifecycle);
    let relay_parts = relay::Parts {
        store: store.clone(),
        log,
        clock: clock.clone(),
        lifecycle: lifecycle.clone(),
        metrics: metrics.clone(),
        wake: wake.clone(),
    };
    let relay = Relay::new(relay_parts, &config);
    relay.start();
    let activity = ActivityWriter::new(store.clone(), clock.clone(), wake.clone(), lifecycle.clone());
    upkeep::start(store.clone(), clock.clone(), metrics, &lifecycle, &config);
    let pages = PageSealer::new(&keys, entropy.clone());
    Ok(State { config, store, relay, activity, hub, wake, clock, entropy, keys, pages, lifecycle })
}

impl Service {
    /// Both gRPC services. Callers are to be authorized in front of them, by [`crate::METHODS`].
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        self.store.is_ready().await
    }

    /// After the tasks have ended: closes the store. A process that ends without it loses nothing.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
