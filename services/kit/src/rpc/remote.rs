use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::Service;

use super::token::TokenSource;
use super::{ResponseFuture, Target, Transport};
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Each HTTP/2 connection has one lock; a second one carries almost twice the calls.
const CONNECTIONS: usize = 2;

/// A server elsewhere.
pub(super) struct Remote {
    connections: [tonic::transport::Channel; CONNECTIONS],
    next: AtomicUsize,
    token: TokenSource,
}

impl Remote {
    pub(super) fn new(target: &Target, token: TokenSource) -> std::result::Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(target.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let connections = std::array::from_fn(|_| endpoint.connect_lazy());
        Ok(Self { connections, next: AtomicUsize::new(0), token })
    }

    fn authorization(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", (self.token)()?)).map_err(Error::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Transport for Remote {
    fn call(&self, mut request: http::Request<Body>) -> ResponseFuture {
        match self.authorization() {
            Ok(value) => request.headers_mut().insert(AUTHORIZATION, value),
            Err(error) => return Box::pin(std::future::ready(Ok(Status::from(error).into_http()))),
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let mut connection = self.connections[turn].clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| connection.poll_ready(cx)).await?;
            Ok(connection.call(request).await?)
        })
    }
}
