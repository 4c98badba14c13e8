//! Takes connections and speaks HTTP/1.1 on them until they become sockets or end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::upgrade::Connection;
use crate::config::millis;
use crate::gateway::Gateway;

/// Bytes of a request's head, at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// After the process ran out of file descriptors, or the like.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts connections until the soft stop. Those that are open then end by themselves.
pub(crate) async fn serve(gateway: Arc<Gateway>, listener: TcpListener, router: Router) {
    let soft = gateway.lifecycle.soft();
    loop {
        // Cancel safe: a connection is accepted whole or not at all.
        let accepted = match soft.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(accepted) => accepted,
        };
        match accepted {
            Ok((stream, _)) => take(&gateway, stream, &router),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn take(gateway: &Arc<Gateway>, stream: TcpStream, router: &Router) {
    let Ok(permit) = gateway.connections.clone().try_acquire_owned() else {
        // Closed at once: a load balancer tries elsewhere, and nothing queues up here.
        gateway.metrics.connections_refused.inc();
        return;
    };
    // Frames are small, and wait for no answer.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = Connection(Arc::new(permit));
    let task = http(gateway.clone(), stream, router.clone(), connection);
    gateway.lifecycle.spawn("gateway.http", task);
}

async fn http(gateway: Arc<Gateway>, stream: TcpStream, router: Router, connection: Connection) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, connection) = (router.clone(), connection.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection);
            let response: Result<Response, Infallible> = router.oneshot(request).await;
            response
        }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(millis(gateway.config.header_timeout_ms))
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut http = pin!(http);
    let (soft, hard) = (gateway.lifecycle.soft(), gateway.lifecycle.hard());
    // Cancel safe: the connection is polled on after the soft stop, and dropped at the hard one.
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = soft.cancelled() => {
            http.as_mut().graceful_shutdown();
            hard.run_until_cancelled(http).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}
