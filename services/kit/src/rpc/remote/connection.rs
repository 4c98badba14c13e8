//! One HTTP/2 connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;

use super::table::Open;
use crate::lifecycle::Handle;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

const AGENT: &str = concat!("viberchat/", env!("CARGO_PKG_VERSION"));

/// Takes calls until it is closed. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    sender: http2::SendRequest<Body>,
    authority: Authority,
}

/// A call that got no answer.
pub(super) enum Failed {
    /// The request has not left this process: here it is.
    Unsent(Box<Request<Body>>),
    /// The other side says that it did not begin with it.
    Refused,
    /// It may have been answered.
    Lost(hyper::Error),
}

impl Open for Connection {
    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// Connects within 2 s. The future that comes with the connection carries it, and ends with it.
pub(super) async fn connect(
    address: SocketAddr,
    tasks: &Handle,
) -> io::Result<(Connection, impl Future<Output = hyper::Result<()>> + Send + 'static)> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut builder = http2::Builder::new(Tasks(tasks.clone()));
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)
    };
    let (sender, carrying) = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let authority = Authority::try_from(address.to_string()).expect("an address with a port is an authority");
    Ok((Connection { sender, authority }, carrying))
}

impl Connection {
    /// Sends the request and waits for the head of the answer.
    pub(super) async fn call(mut self, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        self.address(&mut request);
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Failed::Unsent(Box::new(request)),
                None if is_refused(error.error()) => Failed::Refused,
                None => Failed::Lost(error.into_error()),
            }),
        }
    }

    fn address(&self, request: &mut Request<Body>) {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(uri).expect("the path of a method, a scheme and an authority are a URI");
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    }
}

/// RFC 9113, 8.7: a stream that is refused was not processed.
fn is_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Runs what a connection needs among the tasks of the process.
#[derive(Clone)]
struct Tasks(Handle);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn("rpc.stream", task);
    }
}
