//! The client protocol: one session on one WebSocket. One task owns the socket; it writes down what is pushed and hands
//! answers to whoever waits for them.

mod encoding;
mod followed;
mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    net::{Shutdown, TcpStream as StdStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use viberchat_proto::gateway::v1::{
    Heartbeat, Hello, ResumeCursor, ResumeEnd, ResumePart, Welcome, client_frame, reply, server_frame,
};

pub use self::{encoding::Encoding, followed::Followed};
use super::{CALL_LIMIT, Frame, Refusal};
use crate::history::{Push, Recorder, SessionId, presence_of};

/// Cursors that fit into one frame of a resume.
const CURSORS_A_PART: usize = 500;

/// A client that says nothing for three of the gateway's heartbeats is closed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Frames that wait to be written. Whoever sends more waits.
const QUEUE_FRAMES: usize = 256;

type Answered = Result<(Option<reply::Result>, Bytes), Refusal>;

/// One session.
pub struct Socket {
    session: SessionId,
    queue: mpsc::Sender<Outgoing>,
    followed: Arc<Mutex<Followed>>,
    ended: watch::Receiver<bool>,
    raw: StdStream,
    welcome: Welcome,
    recorder: Recorder,
    _task: JoinSet<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The task ends with the socket, and may not come to say it.
        self.recorder.leave_session(self.session);
    }
}

struct Outgoing {
    request: client_frame::Request,
    answer: oneshot::Sender<Answered>,
}

/// How a session begins.
pub struct Opening<'a> {
    /// Where.
    pub address: &'a str,
    /// What the frames look like.
    pub encoding: Encoding,
    /// Whose, for the history.
    pub user: &'a str,
    /// The token of the hello.
    pub token: &'a str,
    /// The cursors, to resume.
    pub resume: Option<BTreeMap<String, u64>>,
}

impl Socket {
    /// Connects, says hello, and hands in the cursors. Returns once welcomed; what is pushed is written down.
    ///
    /// # Errors
    /// If the server cannot be reached or does not welcome.
    pub async fn open(opening: Opening<'_>, recorder: &Recorder) -> Result<Self> {
        let (mut stream, raw) = connect(opening.address, opening.encoding).await?;
        let session = recorder.open_session(opening.user, opening.resume.clone());
        let opened = tokio::time::timeout(CALL_LIMIT, greet(&mut stream, &opening)).await;
        let (welcome, id) = match opened.context("no welcome in time").and_then(|welcome| welcome) {
            Ok(welcome) => welcome,
            Err(error) => {
                recorder.close_session(session, None);
                return Err(error);
            }
        };
        let limit = welcome.limits.as_ref().map_or(0, |limits| limits.resume_entries_max);
        recorder.welcome(session, u64::from(limit));
        let (queue, requests) = mpsc::channel(QUEUE_FRAMES);
        let (end, ended) = watch::channel(false);
        let followed = Arc::new(Mutex::new(Followed::new(opening.resume.unwrap_or_default())));
        let owner = Owner {
            stream,
            encoding: opening.encoding,
            requests,
            waiting: HashMap::new(),
            next_id: id,
            session,
            recorder: recorder.clone(),
            followed: followed.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(async move {
            owner.run().await;
            // Nobody may wait any more.
            end.send_replace(true);
        });
        Ok(Self { session, queue, followed, ended, raw, welcome, recorder: recorder.clone(), _task: task })
    }

    /// The session in the history.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What the gateway said of itself.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends a frame and waits for its reply, with the bytes of the reply's frame.
    ///
    /// # Errors
    /// The refusal, or a loss.
    pub async fn call<F: Frame>(&self, request: F::Request) -> Result<(F::Response, Bytes), Refusal> {
        read_answer::<F>(self.begin::<F>(request).await?).await
    }

    /// Queues a call without waiting for its answer: those of one caller leave in this order.
    ///
    /// # Errors
    /// If the session is over: nothing was sent.
    pub async fn begin<F: Frame>(&self, request: F::Request) -> Result<Pending, Refusal> {
        let (answer, pending) = oneshot::channel();
        let outgoing = Outgoing { request: F::frame(request), answer };
        self.queue.send(outgoing).await.map_err(|_| Refusal::unreachable("the session is over"))?;
        Ok(Pending(pending))
    }

    /// What the session has of its conversations.
    #[must_use]
    pub fn followed(&self) -> Followed {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True once the session is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits for the end of the session.
    pub async fn wait_for_end(&self, limit: Duration) -> bool {
        let mut ended = self.ended.clone();
        tokio::time::timeout(limit, async move { ended.wait_for(|over| *over).await.is_ok() }).await.is_ok()
    }

    /// Waits until what was pushed is as asked for.
    pub async fn wait_until(&self, limit: Duration, reached: impl Fn(&Followed) -> bool) -> bool {
        let polled = async {
            while !reached(&self.followed.lock().unwrap_or_else(PoisonError::into_inner)) {
                if self.is_over() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            true
        };
        tokio::time::timeout(limit, polled).await.unwrap_or(false)
    }

    /// Cuts the connection in the middle of a frame, as a phone in a tunnel does.
    pub async fn cut(&self) {
        // A masked text frame that promises 100 bytes and brings a few. That it may land inside of another one is the point.
        let half = b"\x81\xe4\x01\x02\x03\x04half a frame";
        self.recorder.leave_session(self.session);
        drop((&self.raw).write(half));
        drop(self.raw.shutdown(Shutdown::Both));
        self.wait_for_end(CALL_LIMIT).await;
    }
}

/// An answer that has not come yet.
pub struct Pending(oneshot::Receiver<Answered>);

/// Waits for the answer to a frame of this kind.
///
/// # Errors
/// The refusal, or a loss.
pub async fn read_answer<F: Frame>(pending: Pending) -> Result<(F::Response, Bytes), Refusal> {
    let answered = tokio::time::timeout(CALL_LIMIT, pending.0).await;
    let answered = answered.map_err(|_| Refusal::lost("no answer in time"))?;
    let (result, bytes) = answered.map_err(|_| Refusal::lost("the session ended"))??;
    let response = F::response(result).ok_or_else(|| Refusal::lost("a reply of another kind"))?;
    Ok((response, bytes))
}

/// A WebSocket of the client protocol.
pub type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket and says nothing yet. The second is the same connection, for what is no frame.
///
/// # Errors
/// If the server does not take it.
pub async fn connect(address: &str, encoding: Encoding) -> Result<(Stream, StdStream)> {
    let stream = TcpStream::connect(address).await?.into_std()?;
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    let stream = MaybeTlsStream::Plain(TcpStream::from_std(stream)?);
    let (stream, _) = ClientBuilder::new()
        .uri(&format!("ws://{address}/v1/connect"))?
        .add_header(http::header::SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static(encoding.subprotocol()))?
        .limits(Limits::default().max_payload_len(Some(4 * 1024 * 1024)))
        .connect_on(stream)
        .await?;
    Ok((stream, raw))
}

/// Says hello and hands in the cursors. Returns the welcome and the next free id.
async fn greet(stream: &mut Stream, opening: &Opening<'_>) -> Result<(Welcome, u32)> {
    let resume = opening.resume.as_ref();
    let hello = Hello {
        token: opening.token.to_owned(),
        device_id: format!("device-of-{}", opening.user),
        client: "tests".into(),
        features: Vec::new(),
        resume: resume.is_some(),
    };
    stream.send(opening.encoding.encode(1, client_frame::Request::Hello(hello))).await?;
    let welcome = loop {
        let message = stream.next().await.context("closed before the welcome")??;
        if let Some((code, reason)) = message.as_close() {
            bail!("closed with {} {reason}", u16::from(code));
        }
        if message.is_ping() || message.is_pong() {
            continue;
        }
        let frame = opening.encoding.decode(&message)?;
        match frame.kind {
            Some(server_frame::Kind::Reply(reply)) => match reply.result {
                Some(reply::Result::Welcome(welcome)) => break welcome,
                other => bail!("not a welcome: {other:?}"),
            },
            Some(server_frame::Kind::Error(error)) => bail!("refused: {}", error.reason),
            // Nothing is pushed before the welcome.
            other => bail!("not a welcome: {other:?}"),
        }
    };
    let mut id = 2;
    if let Some(cursors) = resume {
        let cursors: Vec<ResumeCursor> =
            cursors.iter().map(|(id, seq)| ResumeCursor { conversation_id: id.clone(), seq: *seq }).collect();
        for part in cursors.chunks(CURSORS_A_PART) {
            let part = ResumePart { cursors: part.to_vec() };
            stream.feed(opening.encoding.encode(id, client_frame::Request::ResumePart(part))).await?;
            id += 1;
        }
        stream.feed(opening.encoding.encode(id, client_frame::Request::ResumeEnd(ResumeEnd {}))).await?;
        stream.flush().await?;
        id += 1;
    }
    Ok((welcome, id))
}

/// The task that owns a socket.
struct Owner {
    stream: Stream,
    encoding: Encoding,
    requests: mpsc::Receiver<Outgoing>,
    waiting: HashMap<u32, oneshot::Sender<Answered>>,
    next_id: u32,
    session: SessionId,
    recorder: Recorder,
    followed: Arc<Mutex<Followed>>,
}

impl Owner {
    /// Runs until either side is done. Whoever waits for an answer then learns that it is lost, by the dropped senders.
    async fn run(mut self) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT);
        let code = loop {
            // All are cancel-safe: a message that was received is handled before the next turn.
            tokio::select! {
                message = self.stream.next() => match message {
                    Some(Ok(message)) => {
                        if let Some((code, _)) = message.as_close() {
                            break Some(u16::from(code));
                        }
                        if message.is_text() || message.is_binary() {
                            self.take(message);
                        }
                    }
                    Some(Err(_)) | None => break None,
                },
                _ = heartbeats.tick() => {
                    let heartbeat = client_frame::Request::Heartbeat(Heartbeat {});
                    self.next_id += 1;
                    if self.stream.send(self.encoding.encode(self.next_id - 1, heartbeat)).await.is_err() {
                        break None;
                    }
                }
                outgoing = self.requests.recv() => match outgoing {
                    Some(outgoing) => {
                        let id = self.next_id;
                        self.next_id += 1;
                        self.waiting.insert(id, outgoing.answer);
                        if self.stream.send(self.encoding.encode(id, outgoing.request)).await.is_err() {
                            break None;
                        }
                    }
                    // The client is done with the session.
                    None => {
                        drop(self.stream.close().await);
                        break None;
                    }
                },
            }
        };
        self.recorder.close_session(self.session, code);
    }

    fn take(&mut self, message: Message) {
        let frame = self.encoding.decode(&message);
        let bytes: Bytes = message.into_payload().into();
        let Ok(frame) = frame else {
            return self.recorder.push(self.session, Push::Other, &bytes);
        };
        match frame.kind {
            Some(server_frame::Kind::Push(push)) => {
                let push = wire::push_of(push);
                self.followed.lock().unwrap_or_else(PoisonError::into_inner).take(&push);
                self.recorder.push(self.session, push, &bytes);
            }
            Some(server_frame::Kind::Reply(reply)) => {
                if let Some(reply::Result::WatchPresence(watched)) = &reply.result {
                    // Here, since pushes that follow are newer.
                    let presences = watched.presences.iter().map(presence_of).collect();
                    self.recorder.push(self.session, Push::Presence(presences), &bytes);
                }
                if let Some(waiting) = self.waiting.remove(&frame.id) {
                    drop(waiting.send(Ok((reply.result, bytes))));
                }
            }
            Some(server_frame::Kind::Error(error)) => {
                if let Some(waiting) = self.waiting.remove(&frame.id) {
                    drop(waiting.send(Err(error.into())));
                }
            }
            None => {}
        }
    }
}
