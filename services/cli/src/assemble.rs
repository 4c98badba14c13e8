//! Builds all services in one process. They call each other by the same clients as over a network, without a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::time::Instant;
use tonic::service::Routes;
use tower::Layer as _;
use viberchat_kit::auth::{AuthLayer, MethodTable, OPEN_METHODS, Scope, ServiceIdentity};
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
const CONVERSATION_SCOPES: &[Scope] = &[Scope::Relay];

/// What the services get to end even after an edge that took all the time.
const CORE_DRAIN_MIN: Duration = Duration::from_secs(1);

/// All services, running.
pub(crate) struct Assembled {
    pub(crate) gateway: Arc<viberchat_gateway::Service>,
    conversation: viberchat_conversation::Service,
    message: viberchat_message::Service,
    /// Conversation and message, for the gRPC door; `auth` belongs around them.
    pub(crate) routes: Routes,
    pub(crate) auth: AuthLayer,
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
        self.message.close().await;
        self.conversation.close().await;
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
    let methods = [viberchat_conversation::METHODS, viberchat_message::METHODS, OPEN_METHODS];
    let auth = AuthLayer::new(verifier.clone(), Arc::new(MethodTable::new(&methods)));

    // The two call each other: the conversation service gets the message service once that is there.
    let (message_channel, message_binding) = Channel::late();
    let mut conversation_config = config.conversation.clone();
    conversation_config.data_file = config.data_dir.join(&conversation_config.data_file);
    let conversation = viberchat_conversation::build(
        conversation_config,
        viberchat_conversation::Deps {
            clock: clock.clone(),
            entropy: entropy.clone(),
            keys: shared.keys.clone(),
            lifecycle: shared.core.clone(),
            metrics: shared.metrics.clone(),
            message: message_channel,
        },
    )
    .await
    .context("conversation service")?;

    let mut message_config = config.message.clone();
    message_config.data_file = config.data_dir.join(&message_config.data_file);
    let message = viberchat_message::build(
        message_config,
        viberchat_message::Deps {
            clock: clock.clone(),
            entropy: entropy.clone(),
            keys: shared.keys.clone(),
            lifecycle: shared.core.clone(),
            metrics: shared.metrics.clone(),
            conversation: channel(&auth, &conversation.routes(), "message", MESSAGE_SCOPES),
        },
    )
    .await
    .context("message service")?;
    message_binding.bind(channel(&auth, &message.routes(), "conversation", CONVERSATION_SCOPES));

    let gateway = viberchat_gateway::build(
        config.gateway.clone(),
        viberchat_gateway::Deps {
            clock,
            entropy,
            lifecycle: shared.edge.clone(),
            metrics: shared.metrics.clone(),
            verifier,
            conversation: channel(&auth, &conversation.routes(), "gateway", GATEWAY_SCOPES),
            message: channel(&auth, &message.routes(), "gateway", GATEWAY_SCOPES),
            extra,
        },
    )
    .await
    .context("gateway")?;
    let routes = merge(conversation.routes(), message.routes()).prepare();
    Ok(Assembled { gateway: Arc::new(gateway), conversation, message, routes, auth })
}

fn channel(auth: &AuthLayer, routes: &Routes, name: &str, scopes: &[Scope]) -> Channel {
    Channel::in_process(auth.layer(routes.clone().prepare()), ServiceIdentity::new(name, scopes))
}

fn merge(conversation: Routes, message: Routes) -> Routes {
    Routes::from(conversation.into_axum_router().merge(message.into_axum_router().reset_fallback()))
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
