use std::convert::Infallible;

use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::{Response, ResponseFuture, Transport};
use crate::auth::{Caller, ServiceIdentity};
use crate::error::{Error, Reason};

/// A server of this process. Its clone for each call takes the place of the connection's.
pub(super) struct InProcess<S> {
    server: S,
    caller: Caller,
}

impl<S> InProcess<S> {
    pub(super) fn new(server: S, identity: ServiceIdentity) -> Self {
        Self { server, caller: Caller::Service { identity, on_behalf_of: None } }
    }
}

impl<S> Transport for InProcess<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn call(&self, mut request: http::Request<Body>) -> ResponseFuture {
        let timeout = match crate::auth::grpc_timeout(request.headers()) {
            Ok(timeout) => timeout,
            Err(error) => return Box::pin(std::future::ready(Ok(Status::from(error).into_http()))),
        };
        request.extensions_mut().insert(self.caller.clone());
        let mut server = self.server.clone();
        let call = async move {
            match std::future::poll_fn(|cx| server.poll_ready(cx)).await {
                Ok(()) => server.call(request).await,
                Err(never) => match never {},
            }
        };
        match timeout {
            None => Box::pin(async move { call.await.map_err(|never: Infallible| match never {}) }),
            // Over a network the transport ends the call; here nobody else would.
            Some(timeout) => Box::pin(async move {
                match tokio::time::timeout(timeout, call).await {
                    Ok(Ok(response)) => Ok(response),
                    Ok(Err(never)) => match never {},
                    Err(_) => Ok(Status::from(late()).into_http()),
                }
            }),
        }
    }
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the call did not end in time")
}
