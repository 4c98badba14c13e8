//! Bad calls of JSON over HTTP.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};
use viberchat_kit::auth::Scope;
use viberchat_tests::cluster::{Server, UserClaims};

use super::calls::Scene;

pub(crate) const START_DIRECT: &str = "/viberchat.conversation.v1.ConversationService/GetOrCreateDirectConversation";
pub(crate) const LIST: &str = "/viberchat.conversation.v1.ConversationService/ListConversations";
pub(crate) const SEND: &str = "/viberchat.message.v1.MessageService/SendMessage";
const READ_LOG: &str = "/viberchat.message.v1.MessageService/ReadLog";
const AUTHORIZE: &str = "/viberchat.conversation.v1.ConversationService/AuthorizeMember";
const APPEND: &str = "/viberchat.message.v1.MessageService/AppendSystemEntry";

struct Bad {
    path: &'static str,
    token: Option<String>,
    body: Vec<u8>,
    status: StatusCode,
}

/// Sends bad calls on one connection; each gets its status.
pub(crate) async fn over_http(server: &Server, scene: &Scene, count: usize) -> Result<()> {
    let calls = bad_calls(server, scene);
    let mut connection = Connection::open(&server.addresses().http).await?;
    for index in 0..count {
        let call = &calls[index % calls.len()];
        let (status, body) = connection.post(call.path, call.token.as_deref(), call.body.clone()).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == call.status, "{} got {status}, not {}: {text}", call.path, call.status);
    }
    Ok(())
}

fn bad_calls(server: &Server, scene: &Scene) -> Vec<Bad> {
    let tokens = server.tokens();
    let good = || Some(scene.token.clone());
    let claims = |ttl_seconds, token_type| UserClaims { user: "mallory".into(), ttl_seconds, token_type };
    let read_foreign = || json!({"conversationId": scene.foreign}).to_string().into_bytes();
    let bad = |path, token, body, status| Bad { path, token, body, status };
    vec![
        bad(READ_LOG, None, read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, Some("not.a.token".into()), read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, Some(tokens.unsigned("alice")), read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, Some(tokens.user_with(&claims(-600, Some("access")))), read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, Some(tokens.user_with(&claims(600, Some("refresh")))), read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, Some(tokens.forged_service("gateway")), read_foreign(), StatusCode::UNAUTHORIZED),
        bad(READ_LOG, good(), read_foreign(), StatusCode::NOT_FOUND),
        bad(READ_LOG, good(), b"{".to_vec(), StatusCode::BAD_REQUEST),
        bad(READ_LOG, good(), b"[1, 2]".to_vec(), StatusCode::BAD_REQUEST),
        bad(READ_LOG, good(), vec![0xff, 0xfe], StatusCode::BAD_REQUEST),
        bad(SEND, good(), br#"{"text": 7}"#.to_vec(), StatusCode::BAD_REQUEST),
        bad(LIST, good(), br#"{"pageToken": "forged"}"#.to_vec(), StatusCode::BAD_REQUEST),
        // What the table gives to services only is not on this door, whoever asks.
        bad(AUTHORIZE, good(), b"{}".to_vec(), StatusCode::NOT_FOUND),
        bad(APPEND, Some(tokens.service("relay", &[Scope::Relay])), b"{}".to_vec(), StatusCode::NOT_FOUND),
        bad("/viberchat.message.v1.MessageService/NoSuchMethod", good(), b"{}".to_vec(), StatusCode::NOT_FOUND),
    ]
}

/// A call that has to succeed.
pub(crate) async fn good_call(server: &Server, token: &str, path: &str, body: &Value) -> Result<Value> {
    let mut connection = Connection::open(&server.addresses().http).await?;
    let (status, answer) = connection.post(path, Some(token), body.to_string().into_bytes()).await?;
    ensure!(status == StatusCode::OK, "{path}: {status} {}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(&answer).context("an answer in JSON")
}

struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok(Self { address: address.to_owned(), sender, _driver: driver })
    }

    async fn post(&mut self, path: &str, token: Option<&str>, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        if self.sender.is_closed() {
            *self = Self::open(&self.address.clone()).await?;
        }
        let mut request =
            Request::post(path).header(header::HOST, &self.address).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
