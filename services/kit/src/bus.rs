//! Hints between the instances of a service.
//!
//! The bus may lose, repeat and reorder: it carries hints, and whoever listens reads the store to know. What makes loss
//! noticed: every publisher numbers what it says in each of 256 shards, and repeats its last numbers once a second. A
//! listener that misses a number, or hears nothing more of a publisher, is told which shards to look after in the store.
//!
//! Map: [`Bus`] the connection to NATS; [`Publisher`] speaks on a topic and never waits; [`Listener`] hears the others;
//! `numbers` what a listener knows of publishers, pure; `envelope` the bytes; `arrivals` what comes from the server.
//!
//! Invariants: a process works without the bus, with more latency; what is published is dropped rather than waited for,
//! and its number is spent, so that listeners notice; a publisher does not hear itself.

mod arrivals;
mod config;
mod envelope;
mod listener;
mod metrics;
mod numbers;
mod publisher;

use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;

pub use self::config::Config;
pub use self::listener::{Heard, Listener};
use self::metrics::BusMetrics;
pub use self::numbers::ShardSet;
pub use self::publisher::Publisher;

use crate::doctor::{Finding, PATIENCE, Verdict, causes};
use crate::hash::fnv1a;
use crate::id::Entropy;
use crate::lifecycle;
use crate::telemetry::Metrics;

/// Keys are spread over so many shards. A constant of the format.
pub const SHARDS: usize = 256;

/// Between two repetitions of a publisher's last numbers.
const BEACON_INTERVAL: Duration = Duration::from_secs(1);
/// A publisher that has said nothing for so long is gone, or cannot be heard.
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// Hints that wait for the connection; more are dropped.
const QUEUE_MAX: usize = 1_024;
/// Hints that wait for a listener; more are dropped by the client.
const UNREAD_MAX: usize = 4_096;
/// The first release that the tests have seen.
const VERSION_MIN: (u32, u32) = (2, 10);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// One life of a publisher.
type PublisherId = [u8; 16];

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The file with credentials cannot be used.
    #[error("bus.credentials_file: {0}")]
    Credentials(#[source] std::io::Error),
    /// The client refused the configuration.
    #[error("bus.url: {0}")]
    Connect(#[source] async_nats::ConnectError),
    /// It could not listen.
    #[error("the bus cannot be listened to: {0}")]
    Listen(#[source] async_nats::SubscribeError),
}

/// The connection of a process. Clones are the same one.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    /// `<namespace>.v1.`
    prefix: Arc<str>,
    lifecycle: lifecycle::Handle,
    metrics: BusMetrics,
}

impl Bus {
    /// Connects in the background, now and whenever the connection is lost.
    ///
    /// # Errors
    /// [`BusError`], if it never can.
    pub async fn connect(config: &Config, lifecycle: lifecycle::Handle, metrics: &Metrics) -> Result<Self, BusError> {
        let metrics = BusMetrics::new(metrics);
        let addresses: Vec<&str> = config.url.split(',').collect();
        let client = options(config, &metrics).await?.connect(addresses).await.map_err(BusError::Connect)?;
        Ok(Self { client, prefix: format!("{}.v1.", config.namespace).into(), lifecycle, metrics })
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Speaks on a topic, as a publisher of its own.
    pub fn publisher(&self, topic: &'static str, entropy: &dyn Entropy) -> Publisher {
        let mut id = PublisherId::default();
        entropy.fill(&mut id);
        publisher::spawn(self.clone(), topic, id)
    }

    /// Hears what all others say on a topic from now on.
    ///
    /// # Errors
    /// [`BusError::Listen`].
    pub async fn listen(&self, topic: &str) -> Result<Listener, BusError> {
        let subscriber = self.client.subscribe(self.subject(topic, ">")).await.map_err(BusError::Listen)?;
        Ok(Listener::new(subscriber, self.metrics.clone()))
    }

    fn subject(&self, topic: &str, end: impl std::fmt::Display) -> String {
        format!("{}{topic}.{end}", self.prefix)
    }
}

/// What `viberchat doctor` says of the bus.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let about = format!("bus {}", config.url);
    let advice =
        "look at bus.url, its tls, user and files, at the network, and whether NATS runs; messages go on without";
    let addresses: Vec<&str> = config.url.split(',').collect();
    let connecting = async {
        let options = identified(ConnectOptions::new().name("viberchat doctor"), config).await?;
        options.connect(addresses).await.map_err(BusError::Connect)
    };
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(client)) => {
            let version = client.server_info().version;
            let is_recent = version_of(&version) >= VERSION_MIN;
            let advice = "take NATS 2.10 or later";
            vec![Finding::when(is_recent, &about, format!("version {version}"), Verdict::Doubtful, advice)]
        }
        Ok(Err(error)) => vec![Finding::doubtful(about, causes(&error), advice)],
        Err(_) => vec![Finding::doubtful(about, "does not answer", advice)],
    }
}

/// The first two numbers.
fn version_of(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

async fn options(config: &Config, metrics: &BusMetrics) -> Result<ConnectOptions, BusError> {
    let connected = metrics.connected.clone();
    let options = ConnectOptions::new()
        .name("viberchat")
        .no_echo()
        .retry_on_initial_connect()
        .subscription_capacity(UNREAD_MAX)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50u64.saturating_mul(1 << attempts.min(10))).min(RECONNECT_DELAY_MAX)
        })
        .event_callback(move |event| {
            let connected = connected.clone();
            async move {
                match event {
                    async_nats::Event::Connected => drop(connected.set(1)),
                    async_nats::Event::Disconnected => drop(connected.set(0)),
                    async_nats::Event::SlowConsumer(_) => tracing::debug!("the bus dropped hints"),
                    event => tracing::info!(%event, "bus"),
                }
            }
        });
    identified(options, config).await
}

/// Who we are, and whom we trust.
async fn identified(mut options: ConnectOptions, config: &Config) -> Result<ConnectOptions, BusError> {
    if let Some(file) = &config.credentials_file {
        options = options.credentials_file(file).await.map_err(BusError::Credentials)?;
    }
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        options = options.user_and_password(user.clone(), password.expose().to_owned());
    }
    if let Some(file) = &config.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options.require_tls(config.tls))
}

/// The shard of a key, the same on every instance and in every release.
pub fn shard_of(key: &[u8]) -> u8 {
    let hash = fnv1a(key);
    (hash ^ (hash >> 32)) as u8
}

#[cfg(test)]
mod tests;
