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

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The names under which health is asked for; the empty one is the process.
const HEALTH_NAMES: &[&str] = &[
    "",
    "viberchat.conversation.v1.ConversationService",
    "viberchat.conversation.v1.UserDirectoryService",
    "viberchat.message.v1.MessageService",
    "viberchat.presence.v1.PresenceService",
    "viberchat.gateway.v1.GatewayAdminService",
];

/// Health and reflection beside `routes`, and the handle that says how healthy the process is.
pub(crate) async fn with_health_and_reflection(routes: Routes) -> anyhow::Result<(Routes, HealthReporter)> {
    let (reporter, health) = tonic_health::server::health_reporter();
    set_serving(&reporter, true).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = routes
        .add_service(health)
        .add_service(reflection().build_v1().context("reflection")?)
        // Tools that are a few years old ask for this one.
        .add_service(reflection().build_v1alpha().context("reflection")?);
    Ok((routes, reporter))
}

/// Says to everybody who watches whether the process takes calls.
pub(crate) async fn set_serving(reporter: &HealthReporter, serving: bool) {
    let status = if serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
    for name in HEALTH_NAMES {
        reporter.set_service_status(*name, status).await;
    }
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
