use std::sync::Arc;

use tonic::service::Routes;
use viberchat_kit::bus::{Bus, BusError};
use viberchat_kit::clock::{Clock, SharedClock};
use viberchat_kit::config::ConfigError;
use viberchat_kit::doctor::Finding;
use viberchat_kit::id::SharedEntropy;
use viberchat_kit::lifecycle::Handle;
use viberchat_kit::rpc::Channel;
use viberchat_kit::store::SchemaReport;
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::presence::v1::presence_service_server::PresenceServiceServer;

use crate::app::App;
use crate::attach::Attachments;
use crate::config::Config;
use crate::membership::Membership;
use crate::metrics::{ServiceMetrics, StoreMetrics};
use crate::others::{Listeners, Others};
use crate::presences::Presences;
use crate::reread;
use crate::rpc::PresenceRpc;
use crate::saver::{self, Saver};
use crate::store::backend::{self, Opened};
use crate::sweep;
use crate::typings::Typings;
use crate::visibility::Visibility;

/// What the service needs of the process and of others.
pub struct Deps {
    /// Time.
    pub clock: SharedClock,
    /// Where tasks are spawned.
    pub lifecycle: Handle,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// The bus between the instances of this service. `None`: this is the only one.
    pub bus: Option<Bus>,
    /// To the conversation service, with the scope `authorize`. May be unavailable for a while.
    pub conversation: Channel,
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
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The running service. Its tasks end with the lifecycle.
pub struct Service {
    app: Arc<App>,
    store: Opened,
}

/// Opens the store and starts the tasks. The schema of a SQLite file is brought up to date; that of PostgreSQL where it is
/// configured.
///
/// # Errors
/// [`BuildError`].
pub async fn build(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate()?;
    let opened = Opened::open(&config).await;
    let store = opened.map_err(|source| BuildError::Store { place: backend::place(&config), source })?;
    let Deps { clock, lifecycle, metrics, entropy, bus, conversation } = deps;
    let others = bus.as_ref().map(|bus| Arc::new(Others::new(bus, entropy.as_ref())));
    // Before anything is read: whatever changes later is heard of.
    let heard = match &bus {
        Some(bus) => Some(Listeners::open(bus).await?),
        None => None,
    };
    let measured = store.store(StoreMetrics::register(&metrics));
    let metrics = ServiceMetrics::register(&metrics);
    let presences = Arc::new(Presences::new(&config, Arc::clone(&measured), clock, metrics.clone()));
    let typings = Arc::new(Typings::new(config.typing_limits(), others.clone(), metrics.clone()));
    let rereads = Arc::default();
    let parts = saver::Parts {
        presences: Arc::clone(&presences),
        typings: Arc::clone(&typings),
        store: measured,
        others: others.clone(),
        rereads: Arc::clone(&rereads),
        metrics: metrics.clone(),
    };
    let app = Arc::new(App {
        saver: Saver::start(parts, &config, &lifecycle),
        visibility: Visibility::new(conversation.clone(), &config, metrics.clone()),
        membership: Membership::new(conversation, &config, metrics.clone()),
        attachments: Attachments::default(),
        config,
        others: others.clone(),
        rereads,
        presences,
        typings,
        lifecycle,
        metrics,
    });
    sweep::start(&app);
    if let (Some(others), Some(heard)) = (others, heard) {
        app.lifecycle.spawn("presence.reread", reread::run(Arc::clone(&app), others));
        heard.start(&app);
    }
    Ok(Service { app, store })
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

impl Service {
    /// The gRPC service. Callers are to be authorized in front of it, by [`crate::METHODS`].
    pub fn routes(&self) -> Routes {
        Routes::new(PresenceServiceServer::new(PresenceRpc::new(Arc::clone(&self.app))))
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
