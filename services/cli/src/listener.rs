//! The doors that belong to no service: `grpc` carries all services of the process with health and reflection, `admin` has
//! metrics, probes and the log level.

pub(crate) mod admin;
pub(crate) mod grpc;

use anyhow::Context as _;
use tokio::net::TcpListener;

/// Binds, and says which setting named the address when that fails.
pub(crate) async fn bind(setting: &str, address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{setting} = {address}: cannot listen there"))
}
