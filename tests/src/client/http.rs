//! JSON over HTTP, one request at a time on one connection.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Mutex, task::JoinSet};
use viberchat_proto::types::v1 as wire;

use super::{CALL_LIMIT, Method, Refusal};

/// The HTTP door of a user.
pub(crate) struct HttpDoor {
    address: String,
    token: String,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl HttpDoor {
    pub(crate) fn new(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned(), connection: Mutex::default() }
    }

    /// Calls a method. The answer comes with its bytes.
    pub(crate) async fn call<M: Method>(&self, request: &M::Request) -> Result<(M::Response, Bytes), Refusal> {
        let body = serde_json::to_vec(request).map_err(Refusal::unreachable)?;
        let request = Request::post(format!("/{}", M::PATH))
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(body)))
            .map_err(Refusal::unreachable)?;
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take().filter(|connection| !connection.sender.is_closed()) {
            Some(connection) => connection,
            None => connect(&self.address).await.map_err(Refusal::unreachable)?,
        };
        let answered = tokio::time::timeout(CALL_LIMIT, exchange(&mut connection, request)).await;
        let (status, bytes) = answered.map_err(|_| Refusal::lost("no answer in time"))?.map_err(Refusal::lost)?;
        *slot = Some(connection);
        drop(slot);
        if status != StatusCode::OK {
            let error = serde_json::from_slice::<wire::Error>(&bytes);
            return Err(match error {
                Ok(error) if !error.reason.is_empty() => error.into(),
                _ => Refusal::lost(format!("{status} {}", String::from_utf8_lossy(&bytes))),
            });
        }
        let response = serde_json::from_slice(&bytes).map_err(Refusal::lost)?;
        Ok((response, bytes))
    }
}

/// Sends any request and returns the status and the body.
///
/// # Errors
/// If the server does not answer.
pub async fn send(address: &str, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
    let mut connection = connect(address).await?;
    tokio::time::timeout(CALL_LIMIT, exchange(&mut connection, request)).await.context("no answer in time")?
}

/// Gets a page.
///
/// # Errors
/// If the server does not answer.
pub async fn get(address: &str, path: &str) -> Result<(StatusCode, Bytes)> {
    send(address, Request::get(path).header(header::HOST, address).body(Full::default())?).await
}

async fn exchange(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
    connection.sender.ready().await?;
    let response = connection.sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

async fn connect(address: &str) -> Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    // Its error is seen by the request that was under way.
    driver.spawn(async move { drop(connection.await) });
    Ok(Connection { sender, _driver: driver })
}
