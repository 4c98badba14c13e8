//! One GET of one document: no redirections, no cookies, no connection kept. The deadline is the caller's.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::source::{JWKS_BYTES_MAX, JwksError, JwksUrl};

/// The public certificate authorities, or only those of the file.
pub(super) fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, JwksError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|cause| JwksError::File { path: path.to_owned(), cause })?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
                added.ok_or_else(|| JwksError::NoCertificates(path.to_owned()))?;
            }
            if roots.is_empty() {
                return Err(JwksError::NoCertificates(path.to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

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
