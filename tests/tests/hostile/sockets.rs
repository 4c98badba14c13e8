//! Broken sockets: frames that cannot be read, bad tokens, no hello, half and oversized frames.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _, future::try_join_all};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};
use viberchat_kit::auth::Scope;
use viberchat_tests::cluster::{Server, UserClaims};

use super::calls::Scene;

const WAIT: Duration = Duration::from_secs(20);
/// So many unreadable frames in a minute close a socket.
const UNREADABLE_MAX: usize = 10;
const OVERSIZED_BYTES: usize = 1024 * 1024;
/// Sockets that say nothing; they wait for the 10 s to pass at the same time.
const SILENT: usize = 20;

const CLOSE_TOO_LARGE: u16 = 1009;
const CLOSE_TOKEN_EXPIRED: u16 = 4010;
const CLOSE_BAD_TOKEN: u16 = 4501;
const CLOSE_PROTOCOL_ERROR: u16 = 4504;

const UNREADABLE: &[&str] = &[
    "{",
    "not json",
    "[1,2,3]",
    "null",
    "7",
    r#"{"id":"x","heartbeat":{}}"#,
    r#"{"heartbeat":{}}"#,
    r#"{"id":5,"dance":{}}"#,
    r#"{"id":6}"#,
    r#"{"id":-1,"heartbeat":{}}"#,
    r#"{"id":7,"send":"text"}"#,
    r#"{"id":8,"send":{"text":7}}"#,
];

/// A socket without any help.
pub(crate) struct RawSocket {
    stream: WebSocketStream<TcpStream>,
}

impl RawSocket {
    async fn open(server: &Server) -> Result<Self> {
        let address = &server.addresses().http;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (stream, _) = ClientBuilder::new()
            .uri(&format!("ws://{address}/v1/connect"))?
            .add_header(http::header::SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static("viberchat.v1.json"))?
            .limits(Limits::default().max_payload_len(Some(4 * 1024 * 1024)))
            .connect_on(stream)
            .await?;
        Ok(Self { stream })
    }

    async fn with_token(server: &Server, token: &str) -> Result<Self> {
        let mut socket = Self::open(server).await?;
        socket.send(&json!({"id": 1, "hello": {"token": token, "deviceId": "hostile"}})).await?;
        Ok(socket)
    }

    /// After its welcome.
    pub(crate) async fn welcomed(server: &Server, token: &str) -> Result<Self> {
        let mut socket = Self::with_token(server, token).await?;
        let frame = socket.next_answer().await?;
        ensure!(!frame["reply"]["welcome"].is_null(), "no welcome: {frame}");
        Ok(socket)
    }

    pub(crate) async fn send(&mut self, frame: &Value) -> Result<()> {
        Ok(self.stream.send(Message::text(frame.to_string())).await?)
    }

    /// The next frame that is no push.
    pub(crate) async fn next_answer(&mut self) -> Result<Value> {
        loop {
            match self.next().await? {
                Received::Frame(frame) if frame["push"].is_null() => return Ok(frame),
                Received::Frame(_) => {}
                Received::Closed(code) => bail!("closed with {code}"),
            }
        }
    }

    async fn next(&mut self) -> Result<Received> {
        loop {
            let message = timeout(WAIT, self.stream.next()).await.context("nothing comes")?.context("cut off")??;
            if let Some((code, _)) = message.as_close() {
                return Ok(Received::Closed(code.into()));
            }
            if let Some(text) = message.as_text() {
                return Ok(Received::Frame(serde_json::from_str(text)?));
            }
        }
    }

    /// Reads to the end: the reasons of the errors, and the code.
    async fn read_to_close(&mut self) -> Result<(Vec<String>, u16)> {
        let mut reasons = Vec::new();
        loop {
            match self.next().await? {
                Received::Frame(frame) => reasons.extend(frame["error"]["reason"].as_str().map(str::to_owned)),
                Received::Closed(code) => return Ok((reasons, code)),
            }
        }
    }
}

enum Received {
    Frame(Value),
    Closed(u16),
}

/// Each gets an error, the socket lives, and the tenth closes it.
pub(crate) async fn unreadable_frames(server: &Server, scene: &Scene, count: usize) -> Result<()> {
    for socket_no in 0..count.div_ceil(UNREADABLE_MAX) {
        let mut socket = RawSocket::welcomed(server, &scene.token).await?;
        for index in 0..UNREADABLE_MAX {
            let text = UNREADABLE[(socket_no + index) % UNREADABLE.len()];
            socket.stream.send(Message::text(text)).await?;
        }
        let (reasons, code) = socket.read_to_close().await?;
        ensure!(code == CLOSE_PROTOCOL_ERROR, "closed with {code}");
        ensure!(reasons.len() == UNREADABLE_MAX, "{} errors: {reasons:?}", reasons.len());
        ensure!(reasons.iter().all(|reason| reason == "INVALID_ARGUMENT"), "{reasons:?}");
    }
    Ok(())
}

/// No welcome, an error that says why, and a code that says whether to come again.
pub(crate) async fn bad_tokens(server: &Server, count: usize) -> Result<()> {
    let tokens = server.tokens();
    let claims = |ttl_seconds, token_type| UserClaims { user: "mallory".into(), ttl_seconds, token_type };
    let kinds = [
        (tokens.user_with(&claims(-600, Some("access"))), "TOKEN_EXPIRED", CLOSE_TOKEN_EXPIRED),
        (tokens.user_with(&claims(600, Some("refresh"))), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
        (tokens.unsigned("alice"), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
        (tokens.service("backend", &[Scope::ActForUsers]), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
        (tokens.forged_service("gateway"), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
        ("x".repeat(10_000), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
        (String::new(), "UNAUTHENTICATED", CLOSE_BAD_TOKEN),
    ];
    for index in 0..count {
        let (token, reason, code) = &kinds[index % kinds.len()];
        let end = RawSocket::with_token(server, token).await?.read_to_close().await?;
        ensure!(end == (vec![(*reason).to_owned()], *code), "{reason}: {end:?}");
    }
    Ok(())
}

/// The first frame has to be a hello.
pub(crate) async fn calls_before_hello(server: &Server, count: usize) -> Result<()> {
    for _ in 0..count {
        let mut socket = RawSocket::open(server).await?;
        socket.send(&json!({"id": 1, "listConversations": {}})).await?;
        let (reasons, code) = socket.read_to_close().await?;
        ensure!(code == CLOSE_PROTOCOL_ERROR && reasons == ["UNAUTHENTICATED"], "{code} {reasons:?}");
    }
    Ok(())
}

/// Cut off in the middle of a frame: the server only has to forget them.
pub(crate) async fn half_frames(server: &Server, scene: &Scene, count: usize) -> Result<()> {
    for _ in 0..count {
        let mut socket = RawSocket::welcomed(server, &scene.token).await?;
        // A masked text frame that announces 100 bytes and has 20.
        let stream = socket.stream.get_mut();
        stream.write_all(&[0x81, 0x80 | 100, 1, 2, 3, 4]).await?;
        stream.write_all(&[0; 20]).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

/// A frame over the limit closes the socket before it is read.
pub(crate) async fn oversized_frames(server: &Server, scene: &Scene, count: usize) -> Result<()> {
    let text = "x".repeat(OVERSIZED_BYTES);
    for _ in 0..count {
        let mut socket = RawSocket::welcomed(server, &scene.token).await?;
        // The server may have closed before all of it was sent.
        let _cut = socket.stream.send(Message::text(text.clone())).await;
        match socket.read_to_close().await {
            Ok((_, code)) => ensure!(code == CLOSE_TOO_LARGE, "closed with {code}"),
            Err(error) => ensure!(is_reset(&error), "{error:#}"),
        }
    }
    Ok(())
}

/// What was sent after the close makes the system reset the connection, and the code is lost on the way.
fn is_reset(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let io = error.chain().find_map(|cause| match cause.downcast_ref::<tokio_websockets::Error>() {
        Some(tokio_websockets::Error::Io(io)) => Some(io.kind()),
        _ => cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind),
    });
    io.is_some_and(|kind| matches!(kind, BrokenPipe | ConnectionReset)) || error.to_string() == "cut off"
}

/// No hello in 10 s.
pub(crate) async fn silent_ones(server: &Server) -> Result<()> {
    let silent = (0..SILENT).map(|_| async {
        let (_, code) = RawSocket::open(server).await?.read_to_close().await?;
        ensure!(code == CLOSE_PROTOCOL_ERROR, "closed with {code}");
        Ok(())
    });
    try_join_all(silent).await.map(drop)
}
