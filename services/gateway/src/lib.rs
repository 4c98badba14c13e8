//! The gateway: sockets, sessions and fan-out. It keeps nothing durable.
//!
//! Map: `transport` takes connections and drives sockets; `session` is the client protocol as a pure state machine;
//! `fanout` knows who follows what and brings each entry to the sockets; `upstream` are the services; `http` serves JSON
//! calls and the web client; `frames` encodes and decodes; `wheel` keeps the times of all sessions; `rate` limits sends;
//! `admission` sockets on their way to a session; `drain` stops in order; `operations` is what operators may ask and
//! `admin` how they ask it over gRPC; `config` has every setting.
//!
//! Invariants:
//! - Entries of a conversation reach a session in the order of their seq, each once, without a gap (`session`).
//! - Whatever waits is bounded: frames by bytes in each outbox, requests by not reading, everything else by its limit in
//!   `config`.
//! - Nothing is decided here about who may do what: every call is made on behalf of the session's user, and the services
//!   decide. What the gateway itself refuses: tokens (`gateway`), origins (`http::origin`), rates (`rate`), frames
//!   (`session`).

#![forbid(unsafe_code)]

mod admin;
mod admission;
mod close;
mod config;
mod drain;
mod fanout;
mod frames;
mod gateway;
mod http;
mod metrics;
mod operations;
mod rate;
mod session;
mod transport;
mod upstream;
mod wheel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use viberchat_kit::auth::TokenVerifier;
use viberchat_kit::clock::SharedClock;
use viberchat_kit::id::SharedEntropy;
use viberchat_kit::lifecycle;
use viberchat_kit::rpc::{Channel, EachInstance};
use viberchat_kit::telemetry::Metrics;

pub use admin::{METHODS, admin_routes};
pub use config::{Config, InvalidConfig};
pub use operations::Operations;

use admission::Admission;
use config::millis;
use fanout::Registry;
use gateway::Gateway;
use metrics::GatewayMetrics;
use rate::SendRate;
use upstream::Upstream;
use upstream::attach::Attached;
use upstream::sends::Sends;
use wheel::Wheel;

/// How often what nobody needs any more is looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// How often presences that are not known are asked for again, and quiet directs are let go.
const SOFT_SWEEP: Duration = Duration::from_secs(60);

/// What the gateway needs from its process.
pub struct Deps {
    /// Compared with tokens.
    pub clock: SharedClock,
    /// Session ids, and times that are spread.
    pub entropy: SharedEntropy,
    /// Runs the tasks.
    pub lifecycle: lifecycle::Handle,
    /// Where the metrics go.
    pub metrics: Metrics,
    /// Verifies tokens of users and services.
    pub verifier: Arc<TokenVerifier>,
    /// The conversation service; needs the scopes `act_for_users` and `authorize`.
    pub conversation: Channel,
    /// The message service; needs the scopes `act_for_users` and `relay`.
    pub message: Channel,
    /// The presence service; needs the scopes `act_for_users` and `relay`.
    pub presence: Channel,
    /// Routes of the process that are served beside the gateway's own.
    pub extra: Router,
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error("gateway.{0}")]
    Config(#[from] InvalidConfig),
}

/// A running gateway.
pub struct Service {
    gateway: Arc<Gateway>,
    router: Router,
    is_serving: AtomicBool,
}

/// Starts the streams to the services and the tasks of the gateway. Sockets come with [`Service::serve`].
///
/// # Errors
/// [`BuildError`].
#[expect(clippy::unused_async, reason = "all services are built the same way")]
pub async fn build(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate()?;
    let timeout = millis(config.call_timeout_ms);
    let (messages, presences) = (deps.message.each_instance(), deps.presence.each_instance());
    let gateway = Arc::new(Gateway {
        registry: Arc::new(Registry::default()),
        upstream: Upstream::new(deps.conversation, deps.message, deps.presence, timeout),
        sends: Arc::new(Sends::new(timeout)),
        rate: SendRate::new(config.sends_per_second_max, config.sends_burst_max),
        wheel: Wheel::new(Instant::now()),
        verifier: deps.verifier,
        clock: deps.clock,
        entropy: deps.entropy,
        lifecycle: deps.lifecycle,
        metrics: GatewayMetrics::new(&deps.metrics),
        reports: Arc::default(),
        admission: Admission::new(&config),
        draining: CancellationToken::new(),
        connections: Arc::new(Semaphore::new(config.connections_max as usize)),
        config: Arc::new(config),
    });
    start(&gateway, messages, presences);
    let router = http::router(gateway.clone(), deps.extra);
    Ok(Service { gateway, router, is_serving: AtomicBool::new(false) })
}

fn start(gateway: &Arc<Gateway>, messages: EachInstance, presences: EachInstance) {
    let end = CancellationToken::new();
    let (registry, upstream, lifecycle) = (&gateway.registry, &gateway.upstream, &gateway.lifecycle);
    let grace = millis(gateway.config.membership_grace_ms);
    lifecycle.spawn("gateway.sends", upstream::sends::run(gateway.sends.clone(), messages, end.clone()));
    lifecycle.spawn("gateway.subscribe", upstream::subscribe::run(registry.clone(), upstream.clone(), end.clone()));
    lifecycle.spawn(
        "gateway.memberships",
        upstream::memberships::run(registry.clone(), upstream.clone(), grace, end.clone()),
    );
    lifecycle.spawn("gateway.views", upstream::views::run(registry.clone(), upstream.clone(), end.clone()));
    lifecycle.spawn("gateway.watches", upstream::watches::run(registry.clone(), upstream.clone(), end.clone()));
    let metrics = gateway.metrics.clone();
    lifecycle.spawn("gateway.typing", upstream::typing::run(registry.clone(), upstream.clone(), metrics, end.clone()));
    let entropy = gateway.entropy.clone();
    let attached = Attached {
        registry: registry.clone(),
        reports: gateway.reports.clone(),
        timeout: upstream.timeout,
        new_id: Box::new(move || gateway::random_id(entropy.as_ref())),
    };
    lifecycle.spawn("gateway.attach", upstream::attach::run(attached, presences, end.clone()));
    lifecycle.spawn("gateway.times", times(gateway.clone(), end.clone()));
    lifecycle.spawn("gateway.drain", drain::run(gateway.clone(), end));
}

/// Turns the wheel, and sweeps.
async fn times(gateway: Arc<Gateway>, end: CancellationToken) {
    let mut steps = interval(wheel::STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut swept_at = Instant::now();
    let mut soft_swept_at = Instant::now();
    while end.run_until_cancelled(steps.tick()).await.is_some() {
        let now = Instant::now();
        gateway.wheel.turn(now);
        gateway.registry.ask_for_parted();
        if now.saturating_duration_since(swept_at) >= SWEEP {
            swept_at = now;
            if now.saturating_duration_since(soft_swept_at) >= SOFT_SWEEP {
                soft_swept_at = now;
                gateway.registry.end_quiet_directs(now);
                gateway.registry.ask_for_unknown_presences();
            }
            gateway.sends.expire(now);
            gateway.registry.watches.expire(now);
            gateway.rate.sweep(now);
            gateway.registry.sweep(now, millis(gateway.config.linger_ms));
            let (users, topics) = gateway.registry.sizes();
            gateway.metrics.users.set(i64::try_from(users).unwrap_or(i64::MAX));
            gateway.metrics.topics.set(i64::try_from(topics).unwrap_or(i64::MAX));
        }
    }
}

impl Service {
    /// Serves the public door on `listener`, until the soft stop.
    pub async fn serve(&self, listener: TcpListener) {
        self.is_serving.store(true, Ordering::Release);
        transport::accept::serve(self.gateway.clone(), listener, self.router.clone()).await;
        self.is_serving.store(false, Ordering::Release);
    }

    /// What operators may ask of it.
    pub fn operations(&self) -> Operations {
        Operations::new(self.gateway.clone())
    }

    /// Whether new connections are welcome.
    pub fn is_ready(&self) -> bool {
        self.is_serving.load(Ordering::Acquire) && !drain::is_draining(&self.gateway)
    }
}
