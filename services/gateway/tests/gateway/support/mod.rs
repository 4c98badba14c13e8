//! A gateway on loopback over scripted services, and clients with real sockets.

pub(crate) mod client;
pub(crate) mod conversation;
pub(crate) mod message;
pub(crate) mod presence;
pub(crate) mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tower::Layer as _;
use viberchat_gateway::{Config, Deps, Operations};
use viberchat_kit::auth::{
    Access, AuthLayer, MethodRule, MethodTable, Scope, ServiceIdentity, TokenSigner, TokenVerifier, VerifierConfig,
};
use viberchat_kit::clock::{SharedClock, SystemClock};
use viberchat_kit::id::{SystemEntropy, UserId};
use viberchat_kit::keys::Secret;
use viberchat_kit::lifecycle::{Lifecycle, ShutdownReport};
use viberchat_kit::rpc::{Channel, Instances, ServiceToken};
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationServiceServer;
use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryServiceServer;
use viberchat_proto::message::v1::message_service_server::MessageServiceServer;
use viberchat_proto::presence::v1::presence_service_server::PresenceServiceServer;

use client::{Client, Encoding};
use world::World;

/// As the services' own tables have it, as far as the gateway calls.
const RULES: &[MethodRule] = &[
    MethodRule::streaming("/viberchat.message.v1.MessageService/SendMessages", Access::USERS),
    MethodRule::streaming("/viberchat.message.v1.MessageService/Subscribe", Access::users_or_service(Scope::Relay)),
    MethodRule::unary("/viberchat.message.v1.MessageService/SendMessage", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/EditMessage", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/ListMessages", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/ReadLog", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/BatchGetHeads", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/MarkRead", Access::USERS),
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/GetConversation", Access::USERS),
    MethodRule::streaming(
        "/viberchat.conversation.v1.ConversationService/WatchMemberships",
        Access::service(Scope::Authorize),
    ),
    MethodRule::unary("/viberchat.conversation.v1.UserDirectoryService/BatchGetUsers", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/GetMessage", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/AddReaction", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/RemoveReaction", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/PinMessage", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/UnpinMessage", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/ListPinnedMessages", Access::USERS),
    MethodRule::unary("/viberchat.message.v1.MessageService/MarkDelivered", Access::USERS),
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/DeleteConversation", Access::USERS),
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/BlockUser", Access::USERS),
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/UnblockUser", Access::USERS),
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/ListBlockedUsers", Access::USERS),
    MethodRule::unary(
        "/viberchat.conversation.v1.ConversationService/BatchAuthorizeMembers",
        Access::service(Scope::Authorize),
    ),
    MethodRule::streaming("/viberchat.presence.v1.PresenceService/Attach", Access::service(Scope::Relay)),
    MethodRule::streaming("/viberchat.presence.v1.PresenceService/Watch", Access::USERS),
    MethodRule::streaming("/viberchat.presence.v1.PresenceService/WatchTyping", Access::users_or_service(Scope::Relay)),
    MethodRule::unary("/viberchat.presence.v1.PresenceService/SetStatus", Access::USERS),
    MethodRule::unary("/viberchat.presence.v1.PresenceService/SetTyping", Access::USERS),
    MethodRule::unary("/viberchat.presence.v1.PresenceService/BatchGetPresence", Access::USERS),
];

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) world: World,
    pub(crate) address: SocketAddr,
    pub(crate) signer: TokenSigner,
    pub(crate) metrics: Metrics,
    pub(crate) operations: Operations,
    encoding: Encoding,
    lifecycle: Lifecycle,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Its clients use this encoding.
    pub(crate) async fn in_encoding(encoding: Encoding) -> Self {
        Self { encoding, ..Self::start().await }
    }

    /// The same, with settings of its own.
    pub(crate) async fn in_encoding_with(encoding: Encoding, change: impl FnOnce(&mut Config)) -> Self {
        Self { encoding, ..Self::with(change).await }
    }

    /// With settings of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(change, &[]).await
    }

    /// Presence is behind sockets, in instances of these worlds.
    pub(crate) async fn over(presences: &[&World]) -> Self {
        Self::build(|_| {}, presences).await
    }

    async fn build(change: impl FnOnce(&mut Config), presences: &[&World]) -> Self {
        let world = World::default();
        let clock: SharedClock = Arc::new(SystemClock);
        let secret = Secret::new("a secret of the tests, long enough to be one").expect("not empty");
        let verifier = VerifierConfig { service_secrets: vec![secret.clone()], ..VerifierConfig::default() };
        let verifier = Arc::new(TokenVerifier::new(verifier, clock.clone()).expect("a good configuration"));
        let lifecycle = Lifecycle::new();
        // Of what the gateway needs until its end.
        let wires = Lifecycle::new();
        let routes = tonic::service::Routes::new(MessageServiceServer::new(world.clone()))
            .add_service(ConversationServiceServer::new(world.clone()))
            .add_service(UserDirectoryServiceServer::new(world.clone()))
            .add_service(PresenceServiceServer::new(world.clone()));
        let auth = AuthLayer::new(verifier.clone(), Arc::new(MethodTable::new(&[RULES])));
        let scopes = [Scope::ActForUsers, Scope::Authorize, Scope::Relay, Scope::Directory];
        let channel = Channel::in_process(auth.layer(routes), ServiceIdentity::new("gateway", &scopes));
        let presence = if presences.is_empty() {
            channel.clone()
        } else {
            let places: Vec<_> = presences.iter().map(|world| listen(world, &auth, &wires)).collect();
            let target = places.join(",").parse().expect("addresses");
            let signer = TokenSigner::new(&secret, clock.clone());
            let token = ServiceToken::new(signer, "gateway", &scopes, Duration::from_secs(3600), clock.clone());
            Channel::connect(&target, Instances::Any, token.into_source(), &wires.handle())
        };
        let metrics = Metrics::new();
        // No sockets are kept waiting at the end of a test.
        let mut config = Config { drain_ms: 50, ..Config::default() };
        change(&mut config);
        let deps = Deps {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            lifecycle: lifecycle.handle(),
            metrics: metrics.clone(),
            verifier,
            conversation: channel.clone(),
            message: channel.clone(),
            presence,
            extra: Router::new(),
        };
        let service = viberchat_gateway::build(config, deps).await.expect("a good configuration");
        let operations = service.operations();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        lifecycle.handle().spawn("serve", async move { service.serve(listener).await });
        let encoding = Encoding::Json;
        Self { operations, encoding, world, address, signer: TokenSigner::new(&secret, clock), metrics, lifecycle }
    }

    pub(crate) fn token(&self, user: &str) -> String {
        self.token_for(user, Duration::from_secs(3600))
    }

    pub(crate) fn token_for(&self, user: &str, ttl: Duration) -> String {
        self.signer.sign_user(&UserId::parse(user).expect("a good id"), ttl).expect("it can be signed")
    }

    /// A client without a session.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address, self.encoding).await
    }

    /// A client without a session. `None`: 503, with a time to wait.
    pub(crate) async fn try_connect(&self) -> Option<Client> {
        Client::try_connect(self.address, self.encoding).await
    }

    /// A client whose session is ready.
    pub(crate) async fn ready(&self, user: &str) -> Client {
        let mut client = self.connect().await;
        client.hello(&self.token(user), false).await;
        client.until_ready().await;
        client
    }

    pub(crate) async fn stop(self) -> ShutdownReport {
        self.stop_within(Duration::from_secs(10)).await
    }

    pub(crate) async fn stop_within(self, drain: Duration) -> ShutdownReport {
        self.lifecycle.shutdown(drain).await
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_else(|| panic!("no metric {name}"))
    }
}

/// Serves the presence of a world on loopback. Returns where.
fn listen(world: &World, auth: &AuthLayer, wires: &Lifecycle) -> String {
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback has free ports");
    let address = incoming.local_addr().expect("it is bound");
    let server = tonic::transport::Server::builder()
        .layer(auth.clone())
        .add_service(PresenceServiceServer::new(world.clone()))
        .serve_with_incoming_shutdown(incoming, wires.handle().soft().cancelled_owned());
    wires.handle().spawn("presence", server);
    format!("http://{address}")
}

/// Polls until `what` holds.
pub(crate) async fn eventually(name: &str, mut what: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {name}");
}
