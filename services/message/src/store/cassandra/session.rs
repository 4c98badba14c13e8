use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileBuilder, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use viberchat_kit::tls;

use super::OpenError;
use super::routing::RingOrder;
use crate::config::CassandraConfig;

/// Connects, with what holds for reads and for projections: LOCAL_QUORUM, a second try at another replica when the first one
/// is slow, all of it idempotent.
pub(super) async fn connect(config: &CassandraConfig) -> Result<Session, OpenError> {
    let timeout = Duration::from_millis(config.request_timeout_ms);
    let mut profile = profile(timeout);
    if config.speculative_delay_ms > 0 {
        profile = profile.speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: Duration::from_millis(config.speculative_delay_ms),
        })));
    }
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
        .default_execution_profile_handle(profile.build().into_handle())
        .tcp_nodelay(true);
    if !config.data_center.is_empty() {
        builder = builder.prefer_datacenter(config.data_center.clone());
    }
    if !config.username.is_empty() {
        builder = builder.user(&config.username, config.password.expose());
    }
    if config.tls {
        // The driver asks each node for a certificate of its IP address.
        builder = builder.tls_context(Some(tls::client_config(config.ca_file.as_deref(), config.identity())?));
    }
    builder.build().await.map_err(|error| OpenError::Engine(error.to_string()))
}

/// How appends are sent: to one coordinator, once. Whoever did not hear an answer decides what to do, not the driver.
pub(super) fn appending(config: &CassandraConfig) -> ExecutionProfileHandle {
    let otherwise = DefaultPolicy::builder().build();
    let data_center = Some(config.data_center.clone()).filter(|name| !name.is_empty());
    profile(Duration::from_millis(config.append_timeout_ms))
        .load_balancing_policy(Arc::new(RingOrder { data_center, otherwise }))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
        .build()
        .into_handle()
}

fn profile(timeout: Duration) -> ExecutionProfileBuilder {
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(timeout))
}
