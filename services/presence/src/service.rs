use std::path::PathBuf;
use std::sync::Arc;

use tonic::service::Routes;
use viberchat_kit::clock::SharedClock;
use viberchat_kit::config::ConfigError;
use viberchat_kit::lifecycle::Handle;
use viberchat_kit::rpc::Channel;
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::presence::v1::presence_service_server::PresenceServiceServer;

use crate::app::App;
use crate::attach::Attachments;
use crate::config::Config;
use crate::membership::Membership;
use crate::metrics::{ServiceMetrics, StoreMetrics};
use crate::presences::Presences;
use crate::rpc::PresenceRpc;
use crate::saver::{self, Saver};
use crate::store::PresenceStore;
use crate::store::instrumented::Instrumented;
use crate::store::sqlite::{Options, SqliteStore};
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
    /// To the conversation service, with the scope `authorize`. May be unavailable for a while.
    pub conversation: Channel,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting is out of its range.
    #[error("the configuration is invalid")]
    Config(#[from] ConfigError),
    /// The file cannot be opened, or is of a later release.
    #[error("the store {} cannot be opened", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The running service. Its tasks end with the lifecycle.
pub struct Service {
    app: Arc<App>,
    store: SqliteStore,
}

/// Opens the store, brings its schema up to date and starts the tasks.
///
/// # Errors
/// [`BuildError`].
pub async fn build(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate()?;
    let options = Options { data_file: config.data_file.clone(), reader_connections: config.reader_connections };
    let store = match SqliteStore::open(&options).await {
        Ok(store) => store,
        Err(error) => return Err(BuildError::Store { path: options.data_file, source: error.into() }),
    };
    let Deps { clock, lifecycle, metrics, conversation } = deps;
    let measured: Arc<dyn PresenceStore> = Arc::new(Instrumented::new(store.clone(), StoreMetrics::register(&metrics)));
    let metrics = ServiceMetrics::register(&metrics);
    let presences = Arc::new(Presences::new(&config, Arc::clone(&measured), clock, metrics.clone()));
    let typings = Arc::new(Typings::new(config.typing_limits(), metrics.clone()));
    let parts = saver::Parts {
        presences: Arc::clone(&presences),
        typings: Arc::clone(&typings),
        store: measured,
        metrics: metrics.clone(),
    };
    let app = Arc::new(App {
        saver: Saver::start(parts, &config, &lifecycle),
        visibility: Visibility::new(conversation.clone(), &config, metrics.clone()),
        membership: Membership::new(conversation, &config, metrics.clone()),
        attachments: Attachments::default(),
        config,
        presences,
        typings,
        lifecycle,
        metrics,
    });
    sweep::start(&app);
    Ok(Service { app, store })
}

impl Service {
    /// The gRPC service. Callers are to be authorized in front of it, by [`crate::METHODS`].
    pub fn routes(&self) -> Routes {
        Routes::new(PresenceServiceServer::new(PresenceRpc::new(Arc::clone(&self.app))))
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        self.store.ping().await.is_ok()
    }

    /// After the tasks have ended: writes SQLite's log file back and closes. A process that ends without it loses
    /// nothing.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
