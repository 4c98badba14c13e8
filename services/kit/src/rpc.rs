//! One client transport for services in this process and elsewhere.
//!
//! Map: [`Channel`] is what generated clients are built on; `in_process` calls a server without a socket, `remote` the
//! instances of a `target` over HTTP/2, by `affinity` and with a `token`; `late` lets services that call each other be built
//! one after the other; `each_instance` calls every one of them; `outbound` is what requests carry; `streamed` says where the context stands in each streamed request.
//!
//! Invariants: a call means the same in both shapes, deadlines included; a `Status` of another service is never passed
//! on as it came, but through [`Error::from_status`].

mod affinity;
mod each_instance;
mod in_process;
mod late;
mod outbound;
mod remote;
mod streamed;
mod target;
mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

pub use affinity::{affinity, affinity_score};
pub use each_instance::{EachInstance, Instance};
pub use late::LateBinding;
pub use outbound::{for_caller, on_behalf_of, with_deadline};
pub use remote::Instances;
pub use target::{InvalidTarget, Target};
pub use token::{InvalidTokenFile, ServiceToken, TokenFile, TokenSource};

use crate::auth::ServiceIdentity;
use crate::error::Error;
use crate::lifecycle::Handle;

/// For outbound calls whose caller gave no deadline.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);

type Response = http::Response<Body>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;
type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

/// What lies behind a channel.
trait Transport: Send + Sync {
    fn call(&self, request: http::Request<Body>) -> ResponseFuture;

    /// Where the instances are; inside, `None` until it is known. `None`: there is only one.
    fn addresses(&self) -> Option<watch::Receiver<Option<Vec<SocketAddr>>>> {
        None
    }

    /// A channel to one of them.
    fn only(&self, _address: SocketAddr) -> Option<Channel> {
        None
    }
}

/// The transport of generated clients: `MessageServiceClient::new(channel)`. Cheap to clone.
#[derive(Clone)]
pub struct Channel(Arc<dyn Transport>);

impl Channel {
    /// Calls `server` in this process, as `identity`: no socket, no task, no token. `server` is a tonic server or
    /// `Routes` behind [`crate::auth::AuthLayer`].
    pub fn in_process<S>(server: S, identity: ServiceIdentity) -> Self
    where
        S: Service<http::Request<Body>, Response = Response, Error = std::convert::Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self(Arc::new(in_process::InProcess::new(server, identity)))
    }

    /// Calls the service at `target` over HTTP/2 with a service token. Connects at once, and again whenever it has to;
    /// the connections are tasks of `tasks`, and end with its soft stop or with the last clone of the channel.
    pub fn connect(target: &Target, instances: Instances, token: TokenSource, tasks: &Handle) -> Self {
        Self(Arc::new(remote::Remote::start(target, instances, token, tasks)))
    }

    /// The instances behind the channel, each by itself: for what every one of them has to hear.
    pub fn each_instance(&self) -> EachInstance {
        EachInstance::of(self)
    }

    /// A channel whose server comes later; calls before that answer UNAVAILABLE, not attempted.
    pub fn late() -> (Self, LateBinding) {
        let (transport, binding) = late::late();
        (Self(transport), binding)
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = Response;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> ResponseFuture {
        self.0.call(request)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

/// The last step of a handler: an error becomes a status, and a defect leaves a trace.
pub fn into_status(error: Error) -> Status {
    if error.reason.code() == Code::Internal {
        tracing::debug!(reason = %error.reason, outcome = %error.outcome, "call failed");
    }
    Status::from(error)
}

#[cfg(test)]
mod tests;
