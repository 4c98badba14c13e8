//! A WebSocket over TCP that keeps no buffer while it is idle.
//!
//! tokio-websockets has a read buffer of 8 KiB from the first byte on. Between messages, when nothing is buffered on
//! either side, it holds nothing that the next one would miss: it is dropped, and made anew when the connection becomes
//! readable or something is to be written. Whether its read buffer is empty is known by counting: the bytes that were
//! read from the connection against the lengths of the messages that came out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Error, Limits, Message, ServerBuilder, WebSocketStream};

/// Bytes that are read and thrown away after the end, so that the client sees the close frame rather than a reset.
const DISCARD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The library is not to flush by itself; the driver decides.
const FLUSH_THRESHOLD_BYTES: usize = 1024 * 1024;

/// The connection, with counts of what went through it.
pub(super) struct Wire {
    tcp: TcpStream,
    /// What came together with the request for the upgrade.
    early: Bytes,
    bytes_read: u64,
    bytes_written: u64,
}

enum State {
    Dozing(Wire),
    Awake(Box<WebSocketStream<Wire>>),
    /// Only while the state changes.
    Changing,
}

/// See the module.
pub(super) struct Socket {
    state: State,
    frame_bytes_max: usize,
    /// Lengths of the messages that came out, as they were on the wire.
    bytes_taken: u64,
    /// Something was fed since the last complete flush.
    is_fed: bool,
    bytes_discarded: usize,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, early: Bytes, frame_bytes_max: usize) -> Self {
        let wire = Wire { tcp, early, bytes_read: 0, bytes_written: 0 };
        Self { state: State::Dozing(wire), frame_bytes_max, bytes_taken: 0, is_fed: false, bytes_discarded: 0 }
    }

    /// The next message; `None` when both sides have closed.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if let State::Dozing(wire) = &self.state
            && wire.early.is_empty()
            && let Err(error) = ready!(wire.tcp.poll_read_ready(cx))
        {
            return Poll::Ready(Some(Err(Error::Io(error))));
        }
        let message = ready!(Pin::new(self.awake()).poll_next(cx));
        if let Some(Ok(message)) = &message {
            self.bytes_taken += wire_bytes(message);
            // The library answers pings and closes by itself.
            self.is_fed |= message.is_ping() || message.is_close();
        }
        Poll::Ready(message)
    }

    /// Queues a message. Bounded by the driver, which flushes.
    pub(super) fn feed(&mut self, message: Message) -> Result<(), Error> {
        self.is_fed = true;
        Pin::new(self.awake()).start_send(message)
    }

    /// Writes what was fed.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let State::Awake(socket) = &mut self.state
            && self.is_fed
        {
            ready!(Pin::new(socket.as_mut()).poll_flush(cx))?;
            self.is_fed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes that the connection has taken so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.wire().bytes_written
    }

    /// Gives the buffers back if there is nothing in them. To be called when reading is pending.
    pub(super) fn doze(&mut self) {
        let is_empty = !self.is_fed && self.bytes_taken == self.wire().bytes_read && self.wire().early.is_empty();
        if !is_empty {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Changing) {
            State::Awake(socket) => State::Dozing(socket.into_inner()),
            other => other,
        };
    }

    /// After the end: says that nothing more is written, and reads until the client has closed too.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state = match std::mem::replace(&mut self.state, State::Changing) {
            State::Awake(socket) => State::Dozing(socket.into_inner()),
            other => other,
        };
        let State::Dozing(wire) = &mut self.state else { return Poll::Ready(()) };
        if ready!(Pin::new(&mut wire.tcp).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        let mut bytes = [0; 4096];
        while self.bytes_discarded < DISCARD_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut wire.tcp).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.bytes_discarded += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    fn awake(&mut self) -> &mut WebSocketStream<Wire> {
        self.state = match std::mem::replace(&mut self.state, State::Changing) {
            State::Dozing(wire) => State::Awake(Box::new(wake_up(wire, self.frame_bytes_max))),
            other => other,
        };
        match &mut self.state {
            State::Awake(socket) => socket,
            State::Dozing(_) | State::Changing => unreachable!("it has just been woken up"),
        }
    }

    fn wire(&self) -> &Wire {
        match &self.state {
            State::Dozing(wire) => wire,
            State::Awake(socket) => socket.get_ref(),
            State::Changing => unreachable!("no change of state is left half-way"),
        }
    }
}

fn wake_up(wire: Wire, frame_bytes_max: usize) -> WebSocketStream<Wire> {
    ServerBuilder::new()
        .config(Config::default().flush_threshold(FLUSH_THRESHOLD_BYTES))
        .limits(Limits::default().max_payload_len(Some(frame_bytes_max)))
        .serve(wire)
}

/// Length of a client's message as one frame. A message in several frames was longer: the counts never meet again, and
/// the socket stays awake.
fn wire_bytes(message: &Message) -> u64 {
    const HEADER_AND_MASK: u64 = 2 + 4;
    let payload = message.as_payload().len() as u64;
    let extended = match payload {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    HEADER_AND_MASK + extended + payload
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        } else {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..length]);
            self.early.advance(length);
        }
        self.bytes_read += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.bytes_written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, slices))?;
        self.bytes_written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
