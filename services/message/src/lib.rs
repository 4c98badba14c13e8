//! The message service: the ordered log of each conversation, the state of its messages, and read positions.
//!
//! Map
//! - [`METHODS`] whom each RPC takes; `rpc` the RPCs, one per file; `convert` protobuf ⇄ domain; `error` what callers are
//!   told.
//! - `domain` what a log is and what may be appended to it, without I/O.
//! - `lane` the only way into the log: one append in flight per conversation, decided at the head.
//! - `store` the log on disk: the trait with its guarantees, SQLite or Cassandra behind it.
//! - `authorize` who is a member, asked of the conversation service; `activity` tells it of new messages.
//! - `subscribe` following live; `bus` hints inside the process and between instances; `audit` what other processes wrote.
//! - `app` what handlers share; `config`, `metrics`.
//!
//! Invariants
//! - An ack is given after the store has the entry durably.
//! - The log of a conversation is 1 … head, without a gap, and an entry's place, actor and kind never change.
//! - Whether an entry may be appended is decided on the state at the head that the append is conditional on.
//! - The bus may lose, repeat and reorder; nobody trusts it.
//! - No text leaves the service once its deletion was acknowledged.
//!
//! What kit refuses for us: callers without the identity or scope that [`METHODS`] names (`viberchat_kit::auth`).

#![forbid(unsafe_code)]

mod activity;
mod app;
mod audit;
mod authorize;
mod bus;
mod config;
mod convert;
mod domain;
mod error;
mod lane;
mod metrics;
mod rpc;
mod store;
mod subscribe;

use std::sync::Arc;
use std::time::Duration;

use tonic::service::Routes;
use viberchat_kit::bus::BusError;
use viberchat_kit::clock::{Clock, SharedClock};
use viberchat_kit::config::ConfigError;
use viberchat_kit::doctor::{Finding, causes};
use viberchat_kit::id::SharedEntropy;
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle;
use viberchat_kit::page::PageSealer;
use viberchat_kit::rpc::Channel;
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::message::v1::message_service_server::MessageServiceServer;

pub use self::config::{CassandraConfig, Config, StoreEngine};
pub use self::rpc::METHODS;

use self::activity::Activity;
use self::app::{App, AppMetrics};
use self::authorize::Authorizer;
use self::bus::{Bus, Others};
use self::lane::{LaneLimits, Lanes, Tools};
use self::metrics::{AuthorizeMetrics, LaneMetrics, StoreMetrics, SubscribeMetrics};
use self::rpc::MessageRpc;
use self::store::Store;
use self::store::cassandra::CassandraStore;
use self::store::sqlite::{SqliteOptions, SqliteStore};

/// What the service gets from outside.
pub struct Deps {
    /// The time of day.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// The keys of the deployment.
    pub keys: Arc<Keys>,
    /// For tasks.
    pub lifecycle: lifecycle::Handle,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// The conversation service: `AuthorizeMember`, `RecordActivity`.
    pub conversation: Channel,
    /// The bus between the instances of this service. `None`: they hear of each other by the store.
    pub bus: Option<viberchat_kit::bus::Bus>,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be opened.
    #[error("the message store cannot be opened: {0}")]
    Store(String),
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A running service. Clones are the same one.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
}

/// Opens the store, brings its schema up to date and starts the background tasks.
///
/// # Errors
/// When the configuration is wrong or the store cannot be opened.
pub async fn build(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate()?;
    let store = open_store(&config, &deps).await?;
    let Deps { clock, entropy, keys, lifecycle, metrics, conversation, bus } = deps;
    let authorizer = Arc::new(Authorizer::new(
        conversation.clone(),
        Duration::from_millis(config.authorization_grace_ms),
        config.authorizations_max,
        lifecycle.clone(),
        AuthorizeMetrics::new(&metrics),
    ));
    let interval = Duration::from_millis(config.activity_interval_ms);
    let activity = Arc::new(Activity::new(conversation, interval, lifecycle.clone()));
    let others = bus.as_ref().map(|bus| Others::new(bus, entropy.as_ref()));
    let heard = match &bus {
        Some(bus) => Some(Others::listen(bus).await?),
        None => None,
    };
    let bus = Arc::new(Bus::new(others));
    let tools = Tools {
        store: Arc::clone(&store),
        authorizer: Arc::clone(&authorizer),
        bus: Arc::clone(&bus),
        activity: Arc::clone(&activity),
        clock,
        entropy: Arc::clone(&entropy),
        lifecycle: lifecycle.clone(),
        metrics: LaneMetrics::new(&metrics),
    };
    let app = Arc::new(App {
        lanes: Lanes::new(tools, lane_limits(&config)),
        pages: PageSealer::new(&keys, entropy),
        fingerprint_key: keys.fingerprint.clone(),
        metrics: AppMetrics { subscribe: SubscribeMetrics::new(&metrics) },
        config,
        store,
        authorizer,
        bus,
        activity: Arc::clone(&activity),
        lifecycle: lifecycle.clone(),
    });
    lifecycle.spawn("message-activity-tick", activity.run());
    lifecycle.spawn("message-audit", audit::run(Arc::clone(&app)));
    if let Some(heard) = heard {
        lifecycle.spawn("message-bus", bus::hear_others(Arc::clone(&app), heard));
    }
    Ok(Service { app })
}

fn lane_limits(config: &Config) -> LaneLimits {
    LaneLimits {
        lanes_max: config.lanes_max,
        pending_max: config.lane_pending_max,
        pending_bytes_max: config.pending_bytes_max,
        ids_max: config.lane_ids_max,
    }
}

async fn open_store(config: &Config, deps: &Deps) -> Result<Arc<dyn Store>, BuildError> {
    let metrics = StoreMetrics::new(&deps.metrics);
    match config.store {
        StoreEngine::Sqlite => {
            let path = config.data_file.clone();
            let options = SqliteOptions { readers: config.readers, queue: config.write_queue_max };
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, options, metrics)).await;
            match opened {
                Ok(Ok(store)) => Ok(Arc::new(store)),
                Ok(Err(error)) => Err(BuildError::Store(causes(&error))),
                Err(died) => Err(BuildError::Store(died.to_string())),
            }
        }
        StoreEngine::Cassandra => {
            let opened = CassandraStore::open(&config.cassandra, deps.clock.clone(), metrics).await;
            opened.map(|store| Arc::new(store) as Arc<dyn Store>).map_err(|error| BuildError::Store(causes(&error)))
        }
    }
}

/// Brings the schema of the configured store up to date; a SQLite file is, whenever it is opened. Returns the statements
/// that were run, or would be. Safe to run twice and from two places at once.
///
/// # Errors
/// When the configuration is wrong or the engine does not take a statement.
pub async fn migrate(config: &Config, dry_run: bool) -> Result<Vec<String>, BuildError> {
    config.validate()?;
    match config.store {
        StoreEngine::Sqlite => Ok(Vec::new()),
        StoreEngine::Cassandra => {
            let migrated = store::cassandra::migrate(&config.cassandra, dry_run).await;
            migrated.map_err(|error| BuildError::Store(causes(&error)))
        }
    }
}

/// What an operator should know of the configured store.
pub async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    match config.store {
        StoreEngine::Sqlite => {
            vec![Finding::good("log", format!("SQLite file {}, made at the start", config.data_file.display()))]
        }
        StoreEngine::Cassandra => store::cassandra::examine(&config.cassandra, clock).await,
    }
}

impl Service {
    /// The gRPC routes, bare: who serves them puts `viberchat_kit::auth::AuthLayer` around.
    pub fn routes(&self) -> Routes {
        Routes::new(MessageServiceServer::new(MessageRpc::new(Arc::clone(&self.app))))
    }

    /// Whether calls can be answered: the store answers.
    pub async fn is_ready(&self) -> bool {
        self.app.store.ping().await.is_ok()
    }

    /// After the tasks have ended: erased texts leave the files. A process that ends without it loses nothing.
    pub async fn close(&self) {
        if let Err(error) = self.app.store.close().await {
            tracing::warn!(%error, "the store was closed already");
        }
    }
}
