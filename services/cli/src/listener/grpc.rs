//! The internal gRPC door.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use viberchat_kit::auth::AuthLayer;
use viberchat_proto::FILE_DESCRIPTOR_SET;

use crate::role::Role;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

const HEALTH: &str = "grpc.health.v1.Health";
/// The name under which health is asked for by those who know no service.
const THE_PROCESS: &str = "";

/// Says to everybody who watches whether the process takes calls.
pub(crate) struct Health {
    reporter: HealthReporter,
    role: Role,
}

/// Health and reflection beside the `routes` of a role, and the handle that says how healthy the process is.
pub(crate) async fn with_health_and_reflection(role: Role, routes: Routes) -> anyhow::Result<(Routes, Health)> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let health = Health { reporter, role };
    health.set_serving(true).await;
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(HEALTH);
        // Reflection is told of what is served here, not of what the whole protocol has.
        names(role).fold(builder, |builder, name| builder.with_service_name(name))
    };
    let routes = routes
        .add_service(service)
        .add_service(reflection().build_v1().context("reflection")?)
        // Tools that are a few years old ask for this one.
        .add_service(reflection().build_v1alpha().context("reflection")?);
    Ok((routes, health))
}

impl Health {
    pub(crate) async fn set_serving(&self, serving: bool) {
        let status =
            if serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        for name in names(self.role).chain([THE_PROCESS]) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

fn names(role: Role) -> impl Iterator<Item = &'static str> {
    role.services().flat_map(|service| service.grpc_names()).copied()
}

/// Serves until `stop`; then takes no new call and finishes the others. The caller sets the limit by dropping this.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Routes,
    auth: AuthLayer,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .tcp_nodelay(true)
        .layer(auth)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop.cancelled_owned())
        .await
        .context("gRPC")
}
