//! `GET /v1/connect`: from an HTTP request to a socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use viberchat_kit::error::{Error, Reason};

use super::driver::Driver;
use super::socket::Socket;
use crate::drain;
use crate::frames::Encoding;
use crate::gateway::Gateway;
use crate::http::{origin, respond};

const WEBSOCKET_VERSION: &str = "13";

/// The permit of a connection, for whatever outlives its HTTP part.
#[derive(Clone)]
pub(super) struct Connection(pub(super) Arc<OwnedSemaphorePermit>);

/// Answers a request for a socket.
pub(crate) async fn connect(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let (accept, encoding) = match check(&gateway, &request) {
        Ok(checked) => checked,
        Err((status, error)) => return respond::error(status, &error),
    };
    let place = match gateway.admission.place() {
        Ok(place) => place,
        Err(error) => {
            gateway.metrics.handshakes_refused.inc();
            return respond::error(StatusCode::SERVICE_UNAVAILABLE, &error);
        }
    };
    let extensions = request.extensions_mut();
    let (Some(on_upgrade), Some(Connection(connection))) =
        (extensions.remove::<OnUpgrade>(), extensions.remove::<Connection>())
    else {
        let error = Error::internal("a request for a socket came on a connection that cannot be upgraded");
        return respond::error(StatusCode::INTERNAL_SERVER_ERROR, &error);
    };
    let lifecycle = gateway.lifecycle.clone();
    lifecycle.spawn("gateway.upgrade", run(gateway, on_upgrade, encoding, place, connection));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(encoding.subprotocol()));
    response
}

/// Returns the value of `Sec-WebSocket-Accept` (RFC 6455, 4.2), and the first subprotocol of the client's that is known.
fn check(gateway: &Gateway, request: &Request) -> Result<(HeaderValue, Encoding), (StatusCode, Error)> {
    let headers = request.headers();
    let bad = |problem: &str| (StatusCode::BAD_REQUEST, Error::new(Reason::InvalidArgument, problem));
    if !origin::is_allowed(headers, &gateway.config.allowed_origins) {
        let error = Error::new(Reason::PermissionDenied, "pages of this origin may not connect");
        return Err((StatusCode::FORBIDDEN, error));
    }
    if drain::is_draining(gateway) {
        return Err((StatusCode::SERVICE_UNAVAILABLE, Error::new(Reason::Draining, "the gateway is shutting down")));
    }
    let is_upgrade = request.method() == Method::GET
        && names(headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
        && names(headers, &UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"));
    if !is_upgrade {
        return Err(bad("this address is for WebSockets"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != WEBSOCKET_VERSION) {
        return Err(bad("the WebSocket version is not 13"));
    }
    let encoding = names(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(Encoding::named);
    let encoding = encoding.ok_or_else(|| bad("the subprotocols are viberchat.v1.json and viberchat.v1.proto"))?;
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or_else(|| bad("Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let accept = accept_of(key.as_bytes());
    Ok((HeaderValue::from_str(&accept).expect("base64 is a valid header"), encoding))
}

/// The comma-separated names of all headers of that name.
fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn accept_of(key: &[u8]) -> String {
    use base64::Engine as _;
    use sha1_smol::Sha1;

    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64::engine::general_purpose::STANDARD.encode(hash.digest().bytes())
}

async fn run(
    gateway: Arc<Gateway>,
    on_upgrade: OnUpgrade,
    encoding: Encoding,
    place: OwnedSemaphorePermit,
    connection: Arc<OwnedSemaphorePermit>,
) {
    let (lifecycle, hard) = (gateway.lifecycle.clone(), gateway.lifecycle.hard());
    // Cancel safe: whatever is dropped here is dropped with the connection.
    let Some(Ok(upgraded)) = hard.run_until_cancelled(on_upgrade).await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("a connection is not the TCP stream that was accepted");
        return;
    };
    let frame_bytes_max = gateway.config.frame_bytes_max as usize;
    // Copied: the few bytes that may be there would keep the whole buffer of the HTTP connection.
    let early = Bytes::copy_from_slice(&parts.read_buf);
    drop(parts.read_buf);
    let socket = Socket::new(parts.io.into_inner(), early, frame_bytes_max);
    // A task of its own: it stays, and this one's memory goes.
    lifecycle.spawn("gateway.session", Driver::new(gateway, socket, encoding, place, connection));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_key(b"dGhlIHNhbXBsZSBub25jZQ="));
        assert!(!is_key(b"dGhlIHNhbXBsZSBub25jZ!=="));
        assert!(!is_key(b""));
    }
}
