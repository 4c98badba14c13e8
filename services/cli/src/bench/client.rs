//! A client of the real protocol: one WebSocket, JSON frames.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio::net::{TcpSocket, TcpStream};
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};
use viberchat_proto::gateway::v1 as gateway;
use viberchat_proto::message::v1::LogEntry;
use viberchat_proto::types::v1::Error;

pub(crate) use gateway::client_frame::Request;
pub(crate) use gateway::push::Kind as Push;
pub(crate) use gateway::reply::Result as Reply;

/// For everything that a client waits for: far above what is measured, so that a hang fails the run.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Pushes that may come while a call waits.
const EARLY_PUSHES_MAX: usize = 100_000;

/// A session.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    last_id: u32,
    early: VecDeque<Push>,
    /// Of frames received.
    pub(crate) bytes_in: u64,
    /// Of frames sent.
    pub(crate) bytes_out: u64,
    pub(crate) heartbeat: Duration,
}

/// What comes.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The answer to a frame; empty for some.
    Reply(u32, Option<Reply>),
    /// The refusal of a frame.
    Refused(u32, Error),
    /// Something that happened.
    Push(Push),
}

/// How a session began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Conversations whose resume is complete.
    pub(crate) complete: usize,
    /// Conversations with another verdict.
    pub(crate) incomplete: usize,
    /// Conversations that the resume did not name.
    pub(crate) added: usize,
    /// Entries that were filled in.
    pub(crate) entries: usize,
}

impl Client {
    /// Connects and says hello; returns after `welcome`.
    pub(crate) async fn connect(server: SocketAddr, user: &str, token: &str, resume: bool) -> anyhow::Result<Self> {
        let opening = async { Self::open(TcpStream::connect(server).await?, server, user, token, resume).await };
        tokio::time::timeout(ANSWER_TIMEOUT, opening).await.context("no welcome in time")?
    }

    /// The same, with so little room in the kernel for what comes.
    pub(crate) async fn connect_small(
        server: SocketAddr,
        user: &str,
        token: &str,
        receive_bytes: u32,
    ) -> anyhow::Result<Self> {
        let opening = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(receive_bytes)?;
            Self::open(socket.connect(server).await?, server, user, token, false).await
        };
        tokio::time::timeout(ANSWER_TIMEOUT, opening).await.context("no welcome in time")?
    }

    async fn open(
        stream: TcpStream,
        server: SocketAddr,
        user: &str,
        token: &str,
        resume: bool,
    ) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let (socket, _) = ClientBuilder::new()
            .uri(&format!("ws://{server}/v1/connect"))?
            .add_header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("viberchat.v1.json"))?
            .connect_on(stream)
            .await?;
        let mut client = Self {
            socket,
            last_id: 0,
            early: VecDeque::new(),
            bytes_in: 0,
            bytes_out: 0,
            heartbeat: Duration::from_secs(15),
        };
        let hello = gateway::Hello {
            token: token.to_owned(),
            device_id: "bench".to_owned(),
            client: "viberchat bench".to_owned(),
            features: Vec::new(),
            resume,
        };
        let Some(Reply::Welcome(welcome)) = client.answer(Request::Hello(hello)).await? else {
            bail!("hello was not answered with welcome");
        };
        anyhow::ensure!(welcome.user_id == user, "the session is of {:?}", welcome.user_id);
        client.heartbeat = Duration::from_millis(welcome.heartbeat_ms.into());
        Ok(client)
    }

    /// Names everything in `cursors`, 500 a frame, all in one flush.
    pub(crate) async fn resume(&mut self, cursors: &[gateway::ResumeCursor]) -> anyhow::Result<()> {
        for part in cursors.chunks(500) {
            self.feed(Request::ResumePart(gateway::ResumePart { cursors: part.to_vec() })).await?;
        }
        self.send(Request::ResumeEnd(gateway::ResumeEnd {})).await?;
        Ok(())
    }

    /// Reads until all is live.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Readiness> {
        self.ready_with(|_| {}).await
    }

    /// The same; shows each entry that comes meanwhile.
    pub(crate) async fn ready_with(&mut self, mut on_entry: impl FnMut(&LogEntry)) -> anyhow::Result<Readiness> {
        let mut readiness = Readiness::default();
        let reading = async {
            loop {
                match self.next().await? {
                    Incoming::Push(Push::Ready(_)) => return Ok(readiness),
                    Incoming::Push(Push::Resumed(resumed)) => match resumed.verdict {
                        Some(gateway::resumed::Verdict::Complete(_)) => readiness.complete += 1,
                        _ => readiness.incomplete += 1,
                    },
                    Incoming::Push(Push::Conversation(_)) => readiness.added += 1,
                    Incoming::Push(Push::Entry(entry)) => {
                        on_entry(&entry);
                        readiness.entries += 1;
                    }
                    Incoming::Push(_) | Incoming::Reply(..) => {}
                    Incoming::Refused(_, error) => bail!("{}: {}", error.reason, error.message),
                }
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, reading).await.context("not ready in time")?
    }

    /// Forgets what was pushed so far.
    pub(crate) fn forget_early(&mut self) {
        self.early.clear();
    }

    /// The bare socket, for those that decode nothing. Only when nothing that came early is held.
    pub(crate) fn into_socket(self) -> anyhow::Result<WebSocketStream<TcpStream>> {
        anyhow::ensure!(self.early.is_empty(), "pushes came before they were expected");
        Ok(self.socket)
    }

    /// Waits until the session follows a conversation that is new to it; returns the head after which its entries come.
    pub(crate) async fn added(&mut self, conversation: &str) -> anyhow::Result<u64> {
        let reading = async {
            loop {
                if let Incoming::Push(Push::Conversation(event)) = self.next().await?
                    && event.conversation_id == conversation
                    && let Some(gateway::conversation_event::Event::Added(added)) = event.event
                {
                    return Ok(added.head_seq);
                }
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, reading).await.context("the conversation was not added in time")?
    }

    /// Sends a request at once and returns its id.
    pub(crate) async fn send(&mut self, request: Request) -> anyhow::Result<u32> {
        let id = self.feed(request).await?;
        self.socket.flush().await?;
        Ok(id)
    }

    async fn feed(&mut self, request: Request) -> anyhow::Result<u32> {
        self.last_id += 1;
        let frame = gateway::ClientFrame { id: self.last_id, request: Some(request) };
        let text = serde_json::to_string(&frame)?;
        self.bytes_out += text.len() as u64;
        self.socket.feed(Message::text(text)).await?;
        Ok(self.last_id)
    }

    /// The next frame. Cancel safe: nothing is held between two polls but what the socket holds.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Incoming> {
        match self.early.pop_front() {
            Some(push) => Ok(Incoming::Push(push)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> anyhow::Result<Incoming> {
        loop {
            let message = self.socket.next().await.context("the server closed the socket")??;
            if let Some((code, reason)) = message.as_close() {
                bail!("the server closed the socket: {} {reason}", u16::from(code));
            }
            let Some(text) = message.as_text() else { continue };
            self.bytes_in += text.len() as u64;
            return incoming(serde_json::from_str(text)?);
        }
    }

    /// Asks and waits for the answer. Pushes that come before it are kept.
    pub(crate) async fn call(&mut self, request: Request) -> anyhow::Result<Option<Reply>> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.answer(request)).await.context("no answer in time")?
    }

    async fn answer(&mut self, request: Request) -> anyhow::Result<Option<Reply>> {
        let sent = self.send(request).await?;
        loop {
            match self.read().await? {
                Incoming::Reply(id, reply) if id == sent => return Ok(reply),
                Incoming::Refused(id, error) if id == sent || id == 0 => bail!("{}: {}", error.reason, error.message),
                Incoming::Push(push) if self.early.len() < EARLY_PUSHES_MAX => self.early.push_back(push),
                other => bail!("unexpected: {other:?}"),
            }
        }
    }
}

fn incoming(frame: gateway::ServerFrame) -> anyhow::Result<Incoming> {
    use gateway::server_frame::Kind;
    match frame.kind {
        Some(Kind::Reply(reply)) => Ok(Incoming::Reply(frame.id, reply.result)),
        Some(Kind::Error(error)) => Ok(Incoming::Refused(frame.id, error)),
        Some(Kind::Push(gateway::Push { kind: Some(push) })) => Ok(Incoming::Push(push)),
        // Of a later release: nothing that is measured here.
        _ => bail!("a frame of an unknown kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> anyhow::Result<Incoming> {
        incoming(serde_json::from_str(json)?)
    }

    #[test]
    fn frames_are_told_apart() {
        assert!(matches!(parse(r#"{"id": 7, "reply": {}}"#), Ok(Incoming::Reply(7, None))));
        assert!(matches!(
            parse(r#"{"id": 7, "reply": {"send": {"message": {"seq": "3"}}}}"#),
            Ok(Incoming::Reply(7, Some(Reply::Send(ack)))) if ack.message.as_ref().is_some_and(|m| m.seq == 3)
        ));
        assert!(matches!(
            parse(r#"{"id": 7, "error": {"reason": "RATE_LIMITED"}}"#),
            Ok(Incoming::Refused(7, error)) if error.reason == "RATE_LIMITED"
        ));
        assert!(matches!(parse(r#"{"push": {"ready": {}}}"#), Ok(Incoming::Push(Push::Ready(_)))));
        assert!(parse(r#"{"push": {}}"#).is_err());
    }
}
