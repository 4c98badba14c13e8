//! One GET of one document: no redirections, no cookies, no connection kept. The deadline is the caller's.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::source::{JWKS_BYTES_MAX, JwksError, JwksUrl};

/// The document, at most [`JWKS_BYTES_MAX`].
pub(super) async fn get(url: &JwksUrl, tls: Arc<ClientConfig>) -> Result<Bytes, JwksError> {
    let stream = TcpStream::connect((url.host(), url.port())).await.map_err(JwksError::Unreachable)?;
    if url.is_https() {
        let name = ServerName::try_from(url.host().to_owned())
            .map_err(|_| JwksError::Unreachable(io::Error::other("its name is none that a certificate can have")))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(JwksError::Unreachable)?;
        return exchange(stream, url).await;
    }
    // `localhost` is a name like any other to whoever answers for names.
    if !stream.peer_addr().map_err(JwksError::Unreachable)?.ip().is_loopback() {
        return Err(JwksError::NotLoopback);
    }
    exchange(stream, url).await
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, url: &JwksUrl) -> Result<Bytes, JwksError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let document = pin!(ask(sender, url));
    // The connection moves only while it is polled, and ends with this call.
    match select(document, pin!(connection)).await {
        Either::Left((document, _)) => document,
        Either::Right((_, document)) => document.await,
    }
}

async fn ask(mut sender: SendRequest<Empty<Bytes>>, url: &JwksUrl) -> Result<Bytes, JwksError> {
    let request = Request::get(url.path_and_query())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json")
        .body(Empty::new())
        .expect("the parts of a parsed URL make a request");
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(JwksError::Status(response.status()));
    }
    match Limited::new(response.into_body(), JWKS_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(JwksError::TooLarge),
        Err(error) => Err(JwksError::Unreachable(io::Error::other(error))),
    }
}
