//! Runs an assembled process: binds the doors, says that it is ready, waits for a signal, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use serde::Serialize;
use tokio::net::TcpListener;
use viberchat_kit::lifecycle;
use viberchat_kit::telemetry::{self, LogHandle};

use crate::assemble::{self, Assembled, Lifecycles, Shared};
use crate::command::ListenArgs;
use crate::config::{Config, Listen};
use crate::listener::grpc::Health;
use crate::listener::{self, admin, grpc};
use crate::role::{Role, Service};

/// `viberchat serve <role>`.
pub(crate) async fn run(role: Role, file: Option<PathBuf>, listen: ListenArgs) -> anyhow::Result<()> {
    let config = Config::load(file.as_deref(), &listen)?;
    config.require_services(role)?;
    let keys = Arc::new(config.require_keys()?.clone());
    let log = telemetry::init_logs(config.log.format, &config.log.filter)?;
    let doors = Doors::bind(role, &config.listen).await?;
    if role != Role::Gateway {
        assemble::create_folder(&config.data_dir)?;
    }
    let lifecycles = Lifecycles::default();
    let shared = lifecycles.share(keys);
    let assembled = assemble::assemble(role, &config, &shared, Router::new()).await?;
    let running = Running::start(doors, assembled, &shared, log).await?;
    if listen.print_addresses {
        running.print_addresses()?;
    }
    running.until_signal(lifecycles, Duration::from_millis(config.drain_ms)).await
}

/// The listeners, bound before anything else starts, so that a taken port is the first thing heard of.
pub(crate) struct Doors {
    /// The gateway's.
    http: Option<TcpListener>,
    grpc: TcpListener,
    admin: TcpListener,
}

/// The addresses that were bound.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<String>,
    pub(crate) grpc: String,
    pub(crate) admin: String,
}

impl Doors {
    pub(crate) async fn bind(role: Role, listen: &Listen) -> anyhow::Result<Self> {
        let http = match role.runs(Service::Gateway) {
            true => Some(listener::bind("listen.http", &listen.http).await?),
            false => None,
        };
        Ok(Self {
            http,
            grpc: listener::bind("listen.grpc", &listen.grpc).await?,
            admin: listener::bind("listen.admin", &listen.admin).await?,
        })
    }

    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            http: self.http.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.to_string()),
            grpc: self.grpc.local_addr()?.to_string(),
            admin: self.admin.local_addr()?.to_string(),
        })
    }
}

/// A process that serves.
pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    assembled: Assembled,
    ready: Arc<AtomicBool>,
    health: Health,
}

impl Running {
    pub(crate) async fn start(
        doors: Doors,
        assembled: Assembled,
        shared: &Shared,
        log: LogHandle,
    ) -> anyhow::Result<Self> {
        let addresses = doors.addresses()?;
        let ready = Arc::new(AtomicBool::new(true));
        let (routes, health) = grpc::with_health_and_reflection(assembled.role, assembled.routes.clone()).await?;
        let tasks = &shared.core;

        let grpc = grpc::serve(doors.grpc, routes, assembled.auth.clone(), tasks.soft());
        let hard = tasks.hard();
        tasks.spawn("grpc", async move {
            tokio::select! {
                result = grpc => report("gRPC", result),
                () = hard.cancelled() => {}
            }
        });
        let admin = admin::Admin { metrics: shared.metrics.clone(), log, ready: ready.clone() };
        let admin = admin::serve(doors.admin, admin, tasks.soft());
        tasks.spawn("admin", async move { report("admin", admin.await) });
        if let (Some(gateway), Some(http)) = (assembled.gateway.clone(), doors.http) {
            shared.edge.spawn("gateway.serve", async move { gateway.serve(http).await });
        }
        let Addresses { http, grpc, admin } = &addresses;
        tracing::info!(role = ?assembled.role, http, grpc, admin, "serving");
        Ok(Self { addresses, assembled, ready, health })
    }

    /// One line of JSON on standard output, for scripts and tests.
    pub(crate) fn print_addresses(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(&self.addresses)?);
        Ok(())
    }

    pub(crate) fn assembled(&self) -> &Assembled {
        &self.assembled
    }

    /// Waits for SIGTERM or SIGINT and drains. The order: not ready any more, so that nobody new is sent here; sockets are
    /// told to go and what they have in flight is finished; then calls, relays and stores end.
    pub(crate) async fn until_signal(self, lifecycles: Lifecycles, drain: Duration) -> anyhow::Result<()> {
        let signal = lifecycle::signals().await?;
        tracing::info!(signal, "draining");
        self.ready.store(false, Ordering::Release);
        self.health.set_serving(false).await;
        let [edge, core, wires] = lifecycles.shutdown(drain).await;
        self.assembled.close().await;
        tracing::info!(?edge, ?core, ?wires, "stopped");
        Ok(())
    }
}

fn report(door: &str, result: anyhow::Result<()>) {
    if let Err(error) = result {
        tracing::error!(door, error = format!("{error:#}"), "door failed");
    }
}
