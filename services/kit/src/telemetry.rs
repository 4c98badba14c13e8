//! Logs and metrics.
//!
//! Map: `logs` sets up tracing with a level that can change; `metrics` is the registry of a process; `rpc` counts the
//! calls of a server. Names of all metrics begin with `viberchat_`; each service keeps its own in one file.

mod logs;
mod metrics;
mod rpc;

pub use logs::{InvalidFilter, LogFormat, LogHandle, init_logs};
pub use metrics::{Metrics, latency_buckets};
pub use rpc::{RpcMetrics, RpcMetricsLayer, RpcMetricsService};
