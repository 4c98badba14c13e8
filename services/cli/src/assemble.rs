//! Builds all services in one process. They call each other by the same clients as over a network, without a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::time::Instant;
use tonic::service::Routes;
use tower::Layer as _;
use viberchat_kit::auth::{AuthLayer, MethodTable, OPEN_METHODS, Scope, ServiceIdentity, TokenVerifier};
use viberchat_kit::bus::Bus;
use viberchat_kit::clock::{SharedClock, SystemClock};
use viberchat_kit::id::{SharedEntropy, SystemEntropy};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::{Handle, Lifecycle, ShutdownReport};
use viberchat_kit::rpc::Channel;
use viberchat_kit::telemetry::Metrics;

use crate::config::Config;

/// What each service of the process may do at the others.
const GATEWAY_SCOPES: &[Scope] = &[Scope::ActForUsers, Scope::Authorize, Scope::Relay];
const MESSAGE_SCOPES: &[Scope] = &[Scope::Authorize, Scope::Relay];
const PRESENCE_SCOPES: &[Scope] = &[Scope::Authorize];
const CONVERSATION_SCOPES: &[Scope] = &[Scope::Relay];

/// What the services get to end even after an edge that took all the time.
const CORE_DRAIN_MIN: Duration = Duration::from_secs(1);

/// All services, running.
pub(crate) struct Assembled {
    pub(crate) gateway: Arc<viberchat_gateway::Service>,
    services: Services,
    /// All services and the gateway's operations, for the gRPC door; `auth` belongs around them.
    pub(crate) routes: Routes,
    pub(crate) auth: AuthLayer,
}

/// What the gateway calls.
struct Services {
    conversation: viberchat_conversation::Service,
    message: viberchat_message::Service,
    presence: viberchat_presence::Service,
}

/// What the process gives to all services.
pub(crate) struct Shared {
    pub(crate) keys: Arc<Keys>,
    /// Of whoever calls the services: the gateway, the bot.
    pub(crate) edge: Handle,
    /// Of the services and of what stays up until the end.
    pub(crate) core: Handle,
    pub(crate) metrics: Metrics,
}

/// The tasks of the process. The edge is drained while the services behind it still work as ever: a send under way is
/// stored, and a removal is heard, until the last socket is gone.
#[derive(Default)]
pub(crate) struct Lifecycles {
    edge: Lifecycle,
    core: Lifecycle,
}

impl Lifecycles {
    pub(crate) fn share(&self, keys: Arc<Keys>) -> Shared {
        Shared { keys, edge: self.edge.handle(), core: self.core.handle(), metrics: Metrics::new() }
    }

    /// Ends the edge, then the services, which get what is left of `drain`, but a second at least.
    pub(crate) async fn shutdown(self, drain: Duration) -> [ShutdownReport; 2] {
        let begin = Instant::now();
        let edge = self.edge.shutdown(drain).await;
        let left = drain.saturating_sub(begin.elapsed()).max(CORE_DRAIN_MIN);
        [edge, self.core.shutdown(left).await]
    }
}

impl Assembled {
    /// The services behind authorization, as `name` with `scopes` calls them.
    pub(crate) fn channel(&self, name: &str, scopes: &[Scope]) -> Channel {
        channel(&self.auth, &self.routes, name, scopes)
    }

    /// Closes the stores, after all tasks have ended.
    pub(crate) async fn close(&self) {
        self.services.presence.close().await;
        self.services.message.close().await;
        self.services.conversation.close().await;
    }
}

/// Opens the stores in the data folder and starts every service. `extra` is served at the public door as well.
pub(crate) async fn all(config: &Config, shared: &Shared, extra: Router) -> anyhow::Result<Assembled> {
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let jwks = config.auth.jwks(&shared.metrics).await?;
    if let Some(jwks) = &jwks {
        shared.core.spawn("auth.jwks", jwks.clone().run(shared.core.soft()));
    }
    let verifier = Arc::new(config.verifier(&shared.keys, jwks, clock.clone())?);
    let methods = [
        viberchat_conversation::METHODS,
        viberchat_message::METHODS,
        viberchat_presence::METHODS,
        viberchat_gateway::METHODS,
        OPEN_METHODS,
    ];
    let auth = AuthLayer::new(verifier.clone(), Arc::new(MethodTable::new(&methods)));

    let parts = Parts { config, shared, clock, entropy, verifier, auth: &auth };

    // The two call each other: the conversation service gets the message service once that is there.
    let (message_channel, message_binding) = Channel::late();
    let conversation = parts.conversation(message_channel).await.context("conversation service")?;
    let message = parts.message(&conversation).await.context("message service")?;
    message_binding.bind(channel(&auth, &message.routes(), "conversation", CONVERSATION_SCOPES));
    let presence = parts.presence(&conversation).await.context("presence service")?;
    let services = Services { conversation, message, presence };
    let gateway = parts.gateway(&services, extra).await.context("gateway")?;

    let admin = viberchat_gateway::admin_routes(gateway.operations(), &shared.keys, parts.entropy.clone());
    let all = [services.conversation.routes(), services.message.routes(), services.presence.routes(), admin];
    let routes = merge(all).prepare();
    Ok(Assembled { gateway: Arc::new(gateway), services, routes, auth })
}

/// What all services are built of.
struct Parts<'a> {
    config: &'a Config,
    shared: &'a Shared,
    clock: SharedClock,
    entropy: SharedEntropy,
    verifier: Arc<TokenVerifier>,
    auth: &'a AuthLayer,
}

impl Parts<'_> {
    async fn conversation(&self, message: Channel) -> anyhow::Result<viberchat_conversation::Service> {
        let mut config = self.config.conversation.clone();
        config.data_file = self.config.data_dir.join(&config.data_file);
        let deps = viberchat_conversation::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys: self.shared.keys.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            message,
        };
        Ok(viberchat_conversation::build(config, deps).await?)
    }

    async fn message(
        &self,
        conversation: &viberchat_conversation::Service,
    ) -> anyhow::Result<viberchat_message::Service> {
        let mut config = self.config.message.clone();
        config.data_file = self.config.data_dir.join(&config.data_file);
        let bus = match self.config.bus.is_set() {
            true => Some(Bus::connect(&self.config.bus, self.shared.core.clone(), &self.shared.metrics).await?),
            false => None,
        };
        let deps = viberchat_message::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys: self.shared.keys.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            conversation: channel(self.auth, &conversation.routes(), "message", MESSAGE_SCOPES),
            bus,
        };
        Ok(viberchat_message::build(config, deps).await?)
    }

    async fn presence(
        &self,
        conversation: &viberchat_conversation::Service,
    ) -> anyhow::Result<viberchat_presence::Service> {
        let mut config = self.config.presence.clone();
        config.data_file = self.config.data_dir.join(&config.data_file);
        let deps = viberchat_presence::Deps {
            clock: self.clock.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            conversation: channel(self.auth, &conversation.routes(), "presence", PRESENCE_SCOPES),
        };
        Ok(viberchat_presence::build(config, deps).await?)
    }

    async fn gateway(&self, services: &Services, extra: Router) -> anyhow::Result<viberchat_gateway::Service> {
        let to = |routes: Routes| channel(self.auth, &routes, "gateway", GATEWAY_SCOPES);
        let deps = viberchat_gateway::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            lifecycle: self.shared.edge.clone(),
            metrics: self.shared.metrics.clone(),
            verifier: self.verifier.clone(),
            conversation: to(services.conversation.routes()),
            message: to(services.message.routes()),
            presence: to(services.presence.routes()),
            extra,
        };
        Ok(viberchat_gateway::build(self.config.gateway.clone(), deps).await?)
    }
}

fn channel(auth: &AuthLayer, routes: &Routes, name: &str, scopes: &[Scope]) -> Channel {
    Channel::in_process(auth.layer(routes.clone().prepare()), ServiceIdentity::new(name, scopes))
}

fn merge(all: impl IntoIterator<Item = Routes>) -> Routes {
    // The first one's fallback, a gRPC status, serves for all.
    let routers = all.into_iter().map(Routes::into_axum_router);
    Routes::from(routers.reduce(|merged, router| merged.merge(router.reset_fallback())).unwrap_or_default())
}

/// Only the owner reads what lies there: messages, and the keys of `viberchat dev`.
pub(crate) fn create_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("data_dir = {}: cannot be created", folder.display()))
}
