//! The task of a socket: moves frames between the socket and its session, and runs what the session asks for.

mod handshake;
mod steps;

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_websockets::{CloseCode, Message};
use viberchat_proto::presence::v1::SessionState;

use super::socket::Socket;
use crate::close::Close;
use crate::fanout::{Member, User};
use crate::frames::Encoding;
use crate::gateway::Gateway;
use crate::session::{JobDone, Session, UnderWay};
use handshake::Handshake;

/// Frames read before others get their turn.
const FRAMES_A_TURN_MAX: usize = 64;

/// Rounds of reading and writing before others get their turn.
const ROUNDS_A_TURN_MAX: usize = 4;

/// Flushes before others get their turn.
const FLUSHES_A_TURN_MAX: usize = 8;

/// How long the client may take to answer a close.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Calls = FuturesUnordered<Running<(UnderWay, Bytes)>>;

enum State {
    Open,
    /// The close frame is written, or on its way.
    Closing {
        until: Instant,
    },
    /// Both sides have closed, or the client broke the protocol of the socket.
    Ending {
        until: Instant,
    },
}

/// See the module. Ends when the connection has ended.
pub(super) struct Driver {
    gateway: Arc<Gateway>,
    member: Arc<Member>,
    socket: Socket,
    state: State,
    encoding: Encoding,
    /// Until the session is settled.
    handshake: Option<Box<Handshake>>,
    /// From welcome on.
    user: Option<Arc<User>>,
    /// Frames that are being answered by services; made when there is one.
    calls: Option<Box<Calls>>,
    /// The read of the pump.
    job: Option<Running<JobDone>>,
    /// When the wheel comes next.
    due_at: Instant,
    bytes_written: u64,
    _connection: Arc<OwnedSemaphorePermit>,
}

impl Driver {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        socket: Socket,
        encoding: Encoding,
        place: OwnedSemaphorePermit,
        connection: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let now = Instant::now();
        gateway.metrics.sockets.inc();
        Self {
            member: Member::new(Session::new(gateway.config.clone(), encoding, now)),
            encoding,
            handshake: Some(Handshake::new(place)),
            gateway,
            socket,
            state: State::Open,
            user: None,
            calls: None,
            job: None,
            due_at: now,
            bytes_written: 0,
            _connection: connection,
        }
    }

    /// One turn. `Ready`: the connection is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.member.begin_turn(cx.waker());
        if self.tick(now).is_break() {
            return Poll::Ready(());
        }
        for round in 1.. {
            let answered = self.poll_handshake(cx, now) | self.poll_calls(cx) | self.poll_job(cx, now);
            let read = match self.read(cx, now) {
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(Ended)) => return self.end(cx, now),
                Poll::Pending => false,
            };
            let wrote = self.write(cx, now);
            if !(answered || read || wrote) {
                break;
            }
            if round == ROUNDS_A_TURN_MAX {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.end_handshake(now);
        match self.state {
            State::Open => self.socket.doze(),
            State::Closing { until } if now >= until => return self.end(cx, now),
            State::Ending { until } if now >= until => return Poll::Ready(()),
            State::Closing { .. } | State::Ending { .. } => {}
        }
        Poll::Pending
    }

    /// The times of the session, if the wheel has come for them. `Break`: everything stops at once.
    fn tick(&mut self, now: Instant) -> ControlFlow<()> {
        if !self.member.take_due() {
            return ControlFlow::Continue(());
        }
        if self.gateway.lifecycle.hard().is_cancelled() {
            return ControlFlow::Break(());
        }
        if self.due_at <= now {
            let mut session = self.member.session();
            let next = session.tick(now);
            let has_changed = session.take_activity_change();
            drop(session);
            if has_changed {
                self.report_activity();
            }
            self.due_at = self.gateway.wheel.schedule(&self.member, next);
        }
        ControlFlow::Continue(())
    }

    /// Something is due earlier than the wheel comes.
    fn be_back_at(&mut self, at: Instant) {
        if at < self.due_at {
            self.due_at = self.gateway.wheel.schedule(&self.member, at);
        }
    }

    fn poll_calls(&mut self, cx: &mut Context<'_>) -> bool {
        let mut answered = false;
        while let Some(calls) = &mut self.calls {
            match Pin::new(calls.as_mut()).poll_next(cx) {
                Poll::Ready(Some((under_way, frame))) => {
                    self.member.session().answer(&under_way, frame);
                    answered = true;
                }
                Poll::Ready(None) => self.calls = None,
                Poll::Pending => break,
            }
        }
        answered
    }

    fn poll_job(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(job) = &mut self.job else { return false };
        let Poll::Ready(done) = job.poll_unpin(cx) else { return false };
        self.job = None;
        let mut session = self.member.session();
        session.job_done(now, done);
        let next = session.next_tick(now);
        drop(session);
        self.be_back_at(next);
        true
    }

    /// Reads what is ready; says whether there was anything.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<bool, Ended>> {
        for count in 0..FRAMES_A_TURN_MAX {
            if matches!(self.state, State::Ending { .. }) {
                return Poll::Ready(Err(Ended));
            }
            let is_open = matches!(self.state, State::Open);
            if is_open && self.is_waiting() {
                return Poll::Ready(Ok(count > 0));
            }
            if is_open && !(self.member.session().may_read() && self.gateway.sends.has_room(&self.member)) {
                return Poll::Ready(Ok(count > 0));
            }
            match self.socket.poll_next(cx) {
                Poll::Pending => return Poll::Ready(Ok(count > 0)),
                Poll::Ready(None | Some(Err(tokio_websockets::Error::Io(_)))) => return Poll::Ready(Err(Ended)),
                Poll::Ready(Some(Err(error))) => {
                    self.say_why(&error);
                    self.begin_closing(now);
                }
                Poll::Ready(Some(Ok(message))) if is_open => self.take(&message, now),
                Poll::Ready(Some(Ok(_))) => {}
            }
        }
        Poll::Ready(Ok(true))
    }

    fn take(&mut self, message: &Message, now: Instant) {
        if message.is_close() {
            return self.begin_closing(now);
        }
        let Some(frame) = self.encoding.read(message) else {
            return self.member.session().heard(now);
        };
        self.gateway.metrics.frames_in.inc();
        let mut session = self.member.session();
        let step = session.frame(now, frame, message.as_payload().len());
        let has_changed = session.take_activity_change();
        drop(session);
        if has_changed {
            self.report_activity();
        }
        self.step(step, now);
    }

    /// Writes what is queued; says whether there may be more to do at once.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut started = false;
        for _ in 0..FLUSHES_A_TURN_MAX {
            let mut session = self.member.session();
            if self.job.is_none()
                && let Some(job) = session.advance(now)
                && let Some(user) = &self.user
            {
                self.job = Some(Box::pin(self.gateway.upstream.clone().read(user.id().clone(), job)));
                started = true;
            }
            let mut is_empty = true;
            while let Some(frame) = session.pop_frame() {
                is_empty = false;
                self.gateway.metrics.frames_out.inc();
                if self.socket.feed(self.encoding.message(frame)).is_err() {
                    break;
                }
            }
            let closing = if is_empty { close_now(&session) } else { None };
            drop(session);
            if let Some(close) = closing.filter(|_| matches!(self.state, State::Open)) {
                self.close(close, now);
            }
            match self.socket.poll_flush(cx) {
                Poll::Pending => {
                    self.note_stall(now);
                    return started;
                }
                // An error shows at the next read.
                Poll::Ready(_) => {
                    let mut session = self.member.session();
                    session.frames_taken();
                    if is_empty && session.is_drained() {
                        session.set_stalled(now, false);
                        return started;
                    }
                }
            }
        }
        true
    }

    /// The connection takes no more for now. It counts as stalled from when it last took something.
    fn note_stall(&mut self, now: Instant) {
        let written = self.socket.bytes_written();
        let mut session = self.member.session();
        if written != self.bytes_written {
            self.bytes_written = written;
            session.set_stalled(now, false);
        }
        session.set_stalled(now, true);
        let next = session.next_tick(now);
        let close = session.closing().filter(|close| *close == Close::SlowConsumer);
        drop(session);
        self.be_back_at(next);
        if let Some(close) = close.filter(|_| matches!(self.state, State::Open)) {
            self.close(close, now);
        }
    }

    /// The library queues the close frame that says what was wrong, except when the frames of one message are too long
    /// together.
    fn say_why(&mut self, error: &tokio_websockets::Error) {
        if matches!(error, tokio_websockets::Error::PayloadTooLong { .. }) {
            let too_big = Message::close(Some(CloseCode::MESSAGE_TOO_BIG), "");
            let _already_said = self.socket.feed(too_big);
        }
    }

    fn close(&mut self, close: Close, now: Instant) {
        self.gateway.metrics.closed(close);
        // The socket may be closed already, from the other side.
        let _fed = self.socket.feed(close.message());
        self.begin_closing(now);
    }

    fn begin_closing(&mut self, now: Instant) {
        if matches!(self.state, State::Open) {
            self.member.session().close(Close::Normal);
            self.state = State::Closing { until: now + CLOSE_WAIT_MAX };
            self.be_back_at(now + CLOSE_WAIT_MAX);
        }
    }

    /// The socket is closed; waits until the connection is.
    fn end(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        self.leave(now);
        let until = match self.state {
            State::Ending { until } | State::Closing { until } => until,
            State::Open => now + CLOSE_WAIT_MAX,
        };
        self.state = State::Ending { until };
        if now >= until {
            return Poll::Ready(());
        }
        self.be_back_at(until);
        self.socket.poll_discard(cx)
    }

    /// The presence service is to know whether the session is used.
    fn report_activity(&self) {
        let Some(user) = &self.user else { return };
        let report = self.member.session().report(user.id());
        if let Some(report) = report {
            self.gateway.reports.report(&report);
        }
    }

    /// The session is over; what it had under way goes on nowhere.
    fn leave(&mut self, now: Instant) {
        self.calls = None;
        self.job = None;
        self.handshake = None;
        if let Some(user) = self.user.take() {
            let report = self.member.session().report(user.id());
            self.gateway.registry.leave(&user, &self.member, now);
            // Afterwards: a list of all that is being made has the session and is followed by this, or has it no more.
            if let Some(mut report) = report {
                report.state = SessionState::Gone.into();
                self.gateway.reports.report(&report);
            }
        }
    }
}

/// What a session waits for before it is closed: answers that are on their way, unless nobody would hear them.
fn close_now(session: &Session) -> Option<Close> {
    let close = session.closing()?;
    let waits = matches!(close, Close::Draining | Close::TokenExpired | Close::Replaced) && session.is_answering();
    (!waits && session.is_drained()).then_some(close)
}

/// The connection has nothing more to say.
struct Ended;

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(cx)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave(Instant::now());
        self.gateway.metrics.sockets.dec();
    }
}
