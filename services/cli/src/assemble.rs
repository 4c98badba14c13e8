//! Builds what a process runs. Services call each other by the same clients in one process, without a socket, and over a
//! network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::time::Instant;
use tonic::service::Routes;
use tower::Layer as _;
use viberchat_kit::auth::{
    AuthLayer, MethodRule, MethodTable, OPEN_METHODS, Scope, ServiceIdentity, TokenSigner, TokenVerifier,
};
use viberchat_kit::bus::Bus;
use viberchat_kit::clock::{SharedClock, SystemClock};
use viberchat_kit::id::{SharedEntropy, SystemEntropy};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::{Handle, Lifecycle, ShutdownReport};
use viberchat_kit::rpc::{Channel, Instances, ServiceToken, TokenFile, TokenSource};
use viberchat_kit::telemetry::Metrics;

use crate::config::Config;
use crate::role::{Role, Service};

/// What the services get to end even after an edge that took all the time.
const CORE_DRAIN_MIN: Duration = Duration::from_secs(1);

/// What connections without a call get to close.
const WIRES_DRAIN: Duration = Duration::from_millis(500);

/// How long a token is good that a process signs for itself. The longest streams last as long.
const TOKEN_TTL: Duration = Duration::from_secs(3_600);

/// What the process runs, running.
pub(crate) struct Assembled {
    pub(crate) role: Role,
    /// The only service with a door of its own.
    pub(crate) gateway: Option<Arc<viberchat_gateway::Service>>,
    services: Services,
    /// All services of the process and the gateway's operations, for the gRPC door; `auth` belongs around them.
    pub(crate) routes: Routes,
    pub(crate) auth: AuthLayer,
}

/// The services of this process that are called by others.
#[derive(Default)]
struct Services {
    conversation: Option<viberchat_conversation::Service>,
    message: Option<viberchat_message::Service>,
    presence: Option<viberchat_presence::Service>,
}

/// What the process gives to all services.
pub(crate) struct Shared {
    pub(crate) keys: Arc<Keys>,
    /// Of whoever calls the services: the gateway, the bot.
    pub(crate) edge: Handle,
    /// Of the services and of what stays up until the end.
    pub(crate) core: Handle,
    /// Of the connections to services elsewhere, which both need until the end.
    wires: Handle,
    pub(crate) metrics: Metrics,
}

/// The tasks of the process. The edge is drained while the services behind it still work as ever: a send under way is
/// stored, and a removal is heard, until the last socket is gone.
#[derive(Default)]
pub(crate) struct Lifecycles {
    edge: Lifecycle,
    core: Lifecycle,
    wires: Lifecycle,
}

impl Lifecycles {
    pub(crate) fn share(&self, keys: Arc<Keys>) -> Shared {
        let (edge, core, wires) = (self.edge.handle(), self.core.handle(), self.wires.handle());
        Shared { keys, edge, core, wires, metrics: Metrics::new() }
    }

    /// Ends the edge, then the services, which get what is left of `drain`, but a second at least; then the connections,
    /// which nobody uses any more.
    pub(crate) async fn shutdown(self, drain: Duration) -> [ShutdownReport; 3] {
        let begin = Instant::now();
        let edge = self.edge.shutdown(drain).await;
        let left = drain.saturating_sub(begin.elapsed()).max(CORE_DRAIN_MIN);
        let core = self.core.shutdown(left).await;
        [edge, core, self.wires.shutdown(WIRES_DRAIN).await]
    }
}

impl Assembled {
    /// The services of this process behind authorization, as `name` with `scopes` calls them.
    pub(crate) fn channel(&self, name: &str, scopes: &[Scope]) -> Channel {
        in_process(&self.auth, self.routes.clone(), name, scopes)
    }

    /// Closes the stores, after all tasks have ended.
    pub(crate) async fn close(&self) {
        let Services { conversation, message, presence } = &self.services;
        if let Some(presence) = presence {
            presence.close().await;
        }
        if let Some(message) = message {
            message.close().await;
        }
        if let Some(conversation) = conversation {
            conversation.close().await;
        }
    }
}

/// Opens the stores in the data folder and starts the services of `role`. `extra` is served at the public door as well.
pub(crate) async fn assemble(role: Role, config: &Config, shared: &Shared, extra: Router) -> anyhow::Result<Assembled> {
    let config = &config.with_files_in_place();
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let jwks = config.auth.jwks(&shared.metrics).await?;
    if let Some(jwks) = &jwks {
        shared.core.spawn("auth.jwks", jwks.clone().run(shared.core.soft()));
    }
    let verifier = Arc::new(config.verifier(&shared.keys, jwks, clock.clone())?);
    let methods: Vec<&[MethodRule]> = role.services().map(Service::methods).chain([OPEN_METHODS]).collect();
    let auth = AuthLayer::new(verifier.clone(), Arc::new(MethodTable::new(&methods)));
    let bus = match config.bus.is_set() && role.services().any(Service::is_told_of_others) {
        true => Some(Bus::connect(&config.bus, shared.core.clone(), &shared.metrics).await.context("bus")?),
        false => None,
    };
    let parts = Parts { config, shared, clock, entropy, verifier, auth: &auth, bus };

    let mut services = Services::default();
    // The two call each other: the conversation service gets the message service once that is there.
    let (message, message_binding) = Channel::late();
    if role.runs(Service::Conversation) {
        services.conversation = Some(parts.conversation(message).await.context("conversation service")?);
    }
    if role.runs(Service::Message) {
        services.message = Some(parts.message(&services).await.context("message service")?);
    }
    if role.runs(Service::Conversation) {
        message_binding.bind(parts.channel(Service::Conversation, &services, Service::Message)?);
    }
    if role.runs(Service::Presence) {
        services.presence = Some(parts.presence(&services).await.context("presence service")?);
    }
    let gateway = match role.runs(Service::Gateway) {
        true => Some(Arc::new(parts.gateway(&services, extra).await.context("gateway")?)),
        false => None,
    };

    let admin = gateway
        .as_ref()
        .map(|gateway| viberchat_gateway::admin_routes(gateway.operations(), &shared.keys, parts.entropy.clone()));
    let routes = merge(Service::ALL.into_iter().filter_map(|service| services.routes(service)).chain(admin)).prepare();
    Ok(Assembled { role, gateway, services, routes, auth })
}

impl Services {
    /// `None`: it is not called, or not here.
    fn routes(&self, service: Service) -> Option<Routes> {
        match service {
            Service::Conversation => self.conversation.as_ref().map(viberchat_conversation::Service::routes),
            Service::Message => self.message.as_ref().map(viberchat_message::Service::routes),
            Service::Presence => self.presence.as_ref().map(viberchat_presence::Service::routes),
            Service::Gateway => None,
        }
    }
}

/// What all services are built of.
struct Parts<'a> {
    config: &'a Config,
    shared: &'a Shared,
    clock: SharedClock,
    entropy: SharedEntropy,
    verifier: Arc<TokenVerifier>,
    auth: &'a AuthLayer,
    /// Between the instances of services, where there are several.
    bus: Option<Bus>,
}

impl Parts<'_> {
    /// `callee` as `caller` calls it: in this process if it runs here, else where the configuration says.
    fn channel(&self, caller: Service, services: &Services, callee: Service) -> anyhow::Result<Channel> {
        if let Some(routes) = services.routes(callee) {
            return Ok(in_process(self.auth, routes.prepare(), caller.name(), caller.scopes()));
        }
        let target = self.config.services.target(callee).with_context(|| format!("services.{}", callee.name()))?;
        let instances = match callee {
            // Instances tell each other on the bus what their streams have to hear.
            Service::Message | Service::Presence if !self.config.bus.is_set() => Instances::One,
            Service::Message | Service::Presence | Service::Conversation | Service::Gateway => Instances::Any,
        };
        Ok(Channel::connect(target, instances, self.token(caller)?, &self.shared.wires))
    }

    /// What `caller` shows to services elsewhere.
    fn token(&self, caller: Service) -> anyhow::Result<TokenSource> {
        if let Some(file) = &self.config.services.token_file {
            return Ok(TokenFile::open(file).context("services.token_file")?.into_source());
        }
        let signer = TokenSigner::new(&self.shared.keys.tokens, self.clock.clone());
        let token = ServiceToken::new(signer, caller.name(), caller.scopes(), TOKEN_TTL, self.clock.clone());
        Ok(token.into_source())
    }

    async fn conversation(&self, message: Channel) -> anyhow::Result<viberchat_conversation::Service> {
        let config = self.config.conversation.clone();
        let deps = viberchat_conversation::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys: self.shared.keys.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            message,
            bus: self.bus.clone(),
        };
        Ok(viberchat_conversation::build(config, deps).await?)
    }

    async fn message(&self, services: &Services) -> anyhow::Result<viberchat_message::Service> {
        let config = self.config.message.clone();
        let deps = viberchat_message::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys: self.shared.keys.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            conversation: self.channel(Service::Message, services, Service::Conversation)?,
            bus: self.bus.clone(),
        };
        Ok(viberchat_message::build(config, deps).await?)
    }

    async fn presence(&self, services: &Services) -> anyhow::Result<viberchat_presence::Service> {
        let config = self.config.presence.clone();
        let deps = viberchat_presence::Deps {
            clock: self.clock.clone(),
            lifecycle: self.shared.core.clone(),
            metrics: self.shared.metrics.clone(),
            entropy: self.entropy.clone(),
            bus: self.bus.clone(),
            conversation: self.channel(Service::Presence, services, Service::Conversation)?,
        };
        Ok(viberchat_presence::build(config, deps).await?)
    }

    async fn gateway(&self, services: &Services, extra: Router) -> anyhow::Result<viberchat_gateway::Service> {
        let to = |callee| self.channel(Service::Gateway, services, callee);
        let deps = viberchat_gateway::Deps {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            lifecycle: self.shared.edge.clone(),
            metrics: self.shared.metrics.clone(),
            verifier: self.verifier.clone(),
            conversation: to(Service::Conversation)?,
            message: to(Service::Message)?,
            presence: to(Service::Presence)?,
            extra,
        };
        Ok(viberchat_gateway::build(self.config.gateway.clone(), deps).await?)
    }
}

fn in_process(auth: &AuthLayer, routes: Routes, name: &str, scopes: &[Scope]) -> Channel {
    Channel::in_process(auth.layer(routes), ServiceIdentity::new(name, scopes))
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
