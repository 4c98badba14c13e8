//! A client with a real socket. Tests say and hear JSON; in the binary encoding it is translated.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::header::{HeaderName, HeaderValue};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};
use viberchat_kit::id::ConversationId;
use viberchat_proto::gateway::v1::{ClientFrame, ServerFrame};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Proto,
}

impl Encoding {
    fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "viberchat.v1.json",
            Self::Proto => "viberchat.v1.proto",
        }
    }
}

pub(crate) struct Client {
    encoding: Encoding,
    pub(crate) socket: WebSocketStream<TcpStream>,
    next_id: u32,
    /// Pushes that came while a reply was waited for.
    pub(crate) pushes: Vec<Value>,
}

/// What a client hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Frame(Value),
    Closed(u16),
    Broken,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, encoding: Encoding) -> Self {
        Self::try_connect(address, encoding).await.expect("the upgrade is granted")
    }

    /// `None`: the upgrade was refused.
    pub(crate) async fn try_connect(address: SocketAddr, encoding: Encoding) -> Option<Self> {
        let tcp = TcpStream::connect(address).await.expect("the gateway listens");
        tcp.set_nodelay(true).expect("a TCP stream");
        let uri = format!("ws://{address}/v1/connect");
        let builder = ClientBuilder::new()
            .uri(&uri)
            .expect("a good address")
            .limits(Limits::unlimited())
            .add_header(
                HeaderName::from_static("sec-websocket-protocol"),
                HeaderValue::from_static(encoding.subprotocol()),
            )
            .expect("an allowed header");
        let (socket, response) = builder.connect_on(tcp).await.ok()?;
        assert_eq!(response.headers()["sec-websocket-protocol"], encoding.subprotocol());
        Some(Self { encoding, socket, next_id: 0, pushes: Vec::new() })
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        match self.encoding {
            Encoding::Json => self.say_text(&frame.to_string()).await,
            Encoding::Proto => {
                let frame: ClientFrame = serde_json::from_value(frame.clone()).expect("a client frame");
                self.socket.send(Message::binary(frame.encode_to_vec())).await.expect("the socket takes it");
            }
        }
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.expect("the socket takes it");
    }

    /// Sends a frame of this kind and returns its id.
    pub(crate) async fn ask(&mut self, kind: &str, content: Value) -> u32 {
        self.next_id += 1;
        self.say(&json!({"id": self.next_id, kind: content})).await;
        self.next_id
    }

    /// The next thing on the socket.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something is heard in time") {
                Some(Ok(message)) if message.is_binary() => {
                    assert_eq!(self.encoding, Encoding::Proto);
                    let frame = ServerFrame::decode(message.as_payload().as_ref()).expect("frames decode");
                    return Heard::Frame(serde_json::to_value(frame).expect("it has a JSON form"));
                }
                Some(Ok(message)) if message.is_text() => {
                    assert_eq!(self.encoding, Encoding::Json);
                    let text = message.as_text().expect("a text");
                    return Heard::Frame(serde_json::from_str(text).expect("frames are JSON"));
                }
                Some(Ok(message)) => {
                    if let Some((code, _)) = message.as_close() {
                        return Heard::Closed(code.into());
                    }
                }
                Some(Err(_)) | None => return Heard::Broken,
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// The code that the socket is closed with; frames before it are dropped.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match self.hear().await {
                Heard::Frame(_) => {}
                Heard::Closed(code) => return code,
                Heard::Broken => panic!("broken off without a close frame"),
            }
        }
    }

    /// The answer to the frame with this id.
    pub(crate) async fn answer(&mut self, id: u32) -> Value {
        loop {
            let frame = self.frame().await;
            match frame.get("id").and_then(Value::as_u64) {
                Some(answered) if answered == u64::from(id) => return frame,
                None if frame.get("push").is_some() => self.pushes.push(frame["push"].clone()),
                _ => panic!("unexpected: {frame}"),
            }
        }
    }

    pub(crate) async fn call(&mut self, kind: &str, content: Value) -> Value {
        let id = self.ask(kind, content).await;
        self.answer(id).await
    }

    /// The next push that is no heartbeat.
    pub(crate) async fn push(&mut self) -> Value {
        loop {
            let push = match self.pushes.is_empty() {
                false => self.pushes.remove(0),
                true => {
                    let frame = self.frame().await;
                    assert!(frame.get("id").is_none(), "not a push: {frame}");
                    frame["push"].clone()
                }
            };
            if push.get("heartbeat").is_none() {
                return push;
            }
        }
    }

    /// Says hello and returns the answer.
    pub(crate) async fn hello(&mut self, token: &str, resume: bool) -> Value {
        let answer = self.call("hello", json!({"token": token, "deviceId": "test", "resume": resume})).await;
        assert!(answer["reply"]["welcome"].is_object(), "{answer}");
        answer
    }

    pub(crate) async fn until_ready(&mut self) -> Vec<Value> {
        let mut before = Vec::new();
        loop {
            let push = self.push().await;
            if push.get("ready").is_some() {
                return before;
            }
            before.push(push);
        }
    }

    /// Seqs of the next `count` pushes, which are entries of `conversation`.
    pub(crate) async fn entries(&mut self, conversation: ConversationId, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            let push = self.push().await;
            assert_eq!(push["entry"]["conversationId"], conversation.to_string(), "{push}");
            seqs.push(number(&push["entry"]["seq"]));
        }
        seqs
    }
}

/// A 64-bit number of protobuf's JSON.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.parse().expect("a number"))
}

pub(crate) fn send(conversation: ConversationId, client_message_id: &str, text: &str) -> Value {
    json!({"conversationId": conversation.to_string(), "clientMessageId": client_message_id, "text": text})
}
