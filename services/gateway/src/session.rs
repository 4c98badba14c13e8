//! One session of the client protocol as a pure state machine: no I/O, no clock of its own, nothing awaited.
//!
//! Map: this file has the phases and the frames of the client; `live` what comes from the fan-out; `pump` what is read on
//! demand to fill conversations that are behind; `timers` what is due at a time; `conversations` the state of each
//! conversation; `outbox` what waits for the socket; `positions` positions that wait; `signals` the frames that
//! are limited by rate; `soft` focus, typing and presence; `identity` who has the session.
//!
//! Invariants:
//! - The entries of a conversation are queued in the order of their seq, each once, without a gap: only `pushed_seq + 1`
//!   is ever queued, and queueing it is what moves `pushed_seq`.
//! - Every frame with an id gets exactly one reply or error.
//! - Whatever is queued is bounded by bytes; what does not fit makes a conversation behind, and nothing else.
//!
//! ```text
//! Hello ──welcome──► Resume ──resume_end──► Memberships ──attach──► Live
//!                └─────────without resume─────►┘
//! ```

mod conversations;
mod identity;
mod live;
mod outbox;
mod positions;
mod pump;
mod signals;
mod soft;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::gateway::v1::{Hello, ResumePart};
use viberchat_proto::message::v1::SendMessageRequest;

use crate::close::Close;
use crate::config::{Config, millis};
use crate::fanout::Slot;
use crate::frames::{self, Encoding, Request, ServerFrame, Unreadable};
use conversations::Conversations;
pub(crate) use identity::Identity;
use outbox::Outbox;
use positions::Positions;
pub(crate) use pump::{Job, JobDone};
use soft::Soft;

/// Cursors of one `resume_part`.
pub(crate) const RESUME_PART_CURSORS_MAX: usize = 500;

/// The window of `bad_frames_max`.
const BAD_FRAMES_WINDOW: Duration = Duration::from_secs(60);

/// What a small reply is thought to take before it is there.
const SMALL_REPLY_BYTES: u32 = 1024;

/// What a reply with a message is thought to take.
const MESSAGE_REPLY_BYTES: u32 = 16 * 1024;

/// What the client has of each conversation that its resume names.
type Cursors = HashMap<ConversationId, u64>;

/// How far the session has come.
enum Phase {
    /// Nothing is known of the client.
    Hello { until: Instant },
    /// Cursors are coming.
    Resume { cursors: Box<Cursors>, until: Instant },
    /// The user's conversations are not known yet. `None`: not a resume.
    Memberships { cursors: Option<Box<Cursors>> },
    /// Entries are pushed.
    Live,
}

/// The part of a resume that outlives its cursors.
#[derive(Default)]
struct Resuming {
    /// Heads at hello of the conversations that have no verdict yet.
    targets: HashMap<Slot, u64>,
    /// Conversations that were named and are not the user's.
    resets: VecDeque<ConversationId>,
    /// Slots that `ready` waits for.
    open: usize,
}

/// What the owner of a session has to do about a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing.
    Done,
    /// Verify the token, then call [`Session::welcome`] or [`Session::refuse_hello`].
    Hello {
        /// The frame.
        id: u32,
        /// Its content.
        hello: Hello,
    },
    /// Find the user's conversations and call [`Session::attach`].
    Attach,
    /// Send, and bring the answer to [`Session::answer`].
    Send {
        /// The frame and what is reserved for its answer.
        under_way: UnderWay,
        /// Its content.
        request: SendMessageRequest,
    },
    /// These conversations are on the screen.
    Focus(Vec<ConversationId>),
    /// Follow the presence of these users, and bring the answer to [`Session::answer`].
    Watch {
        /// The frame and what is reserved for its answer.
        under_way: UnderWay,
        /// Their ids.
        user_ids: Vec<String>,
    },
    /// Follow the presence of these users no longer.
    Unwatch(Vec<String>),
    /// Verify the token, and bring the answer to [`Session::reply`].
    RefreshToken {
        /// The frame.
        id: u32,
        /// The token.
        token: String,
    },
    /// Call a service, and bring the answer to [`Session::answer`].
    Call {
        /// The frame and what is reserved for its answer.
        under_way: UnderWay,
        /// Its content.
        request: Request,
    },
}

/// A frame that is being answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// The frame's id.
    pub(crate) id: u32,
    /// Bytes that its answer is thought to take.
    reserved: u32,
}

/// See the module.
pub(crate) struct Session {
    config: Arc<Config>,
    encoding: Encoding,
    phase: Phase,
    conversations: Conversations,
    resuming: Option<Box<Resuming>>,
    /// Conversations that ended and whose end is not queued yet.
    removed: VecDeque<ConversationId>,
    positions: Positions,
    /// Made when it is needed.
    soft: Option<Box<Soft>>,
    outbox: Outbox,
    pump: pump::Pump,
    timers: timers::Timers,
    frames_under_way: u32,
    bytes_reserved: u32,
    /// When the latest unreadable frames came, at most `bad_frames_max`.
    bad_frames: VecDeque<Instant>,
    /// When the token ends; known from hello on.
    token_ends: Option<(Instant, Timestamp)>,
    /// From welcome on.
    identity: Option<Box<Identity>>,
    activity: identity::Activity,
    closing: Option<Close>,
}

impl Session {
    pub(crate) fn new(config: Arc<Config>, encoding: Encoding, now: Instant) -> Self {
        let (push_bytes_max, reply_bytes_max) = (config.outbox_push_bytes_max, config.outbox_reply_bytes_max);
        Self {
            encoding,
            phase: Phase::Hello { until: now + millis(config.hello_timeout_ms) },
            conversations: Conversations::default(),
            resuming: None,
            removed: VecDeque::new(),
            positions: Positions::default(),
            soft: None,
            outbox: Outbox::new(push_bytes_max as usize, reply_bytes_max as usize),
            pump: pump::Pump::default(),
            timers: timers::Timers::new(now),
            frames_under_way: 0,
            bytes_reserved: 0,
            bad_frames: VecDeque::new(),
            token_ends: None,
            identity: None,
            activity: identity::Activity::new(now),
            closing: None,
            config,
        }
    }

    /// Whether another frame may be read from the socket.
    pub(crate) fn may_read(&self) -> bool {
        let idle = self.frames_under_way == 0;
        let room = self.outbox.has_room_for_replies() && self.bytes_reserved < self.config.outbox_reply_bytes_max;
        self.closing.is_none()
            && self.frames_under_way < self.config.frames_under_way_max
            && (room || (idle && self.outbox.has_room_for_replies()))
    }

    /// Takes a frame of the client, which was `bytes` long.
    pub(crate) fn frame(&mut self, now: Instant, frame: Result<(u32, Request), Unreadable>, bytes: usize) -> Step {
        self.heard(now);
        let (id, request) = match frame {
            Ok(frame) => frame,
            Err(unreadable) => {
                self.bad_frame(now, &frames::unreadable(&unreadable));
                return Step::Done;
            }
        };
        self.activity.note(now, &request);
        match (request, &self.phase) {
            (Request::Hello(hello), Phase::Hello { .. }) => return Step::Hello { id, hello },
            (Request::Hello(_), _) => self.refuse(id, "hello", "comes once"),
            (_, Phase::Hello { .. }) => {
                let error = Error::new(Reason::Unauthenticated, "the first frame is hello");
                self.bad_frame(now, &frames::error(id, &error));
            }
            (Request::Heartbeat(_), _) => {
                self.reply(&frames::reply(id, None));
                self.answer_heartbeat(now);
            }
            (Request::ResumePart(part), _) => match self.resume_part(&part) {
                Ok(()) => self.reply(&frames::reply(id, None)),
                Err(error) => self.reply(&frames::error(id, &error)),
            },
            (Request::ResumeEnd(_), _) => return self.resume_end(id),
            (Request::Send(request), _) => {
                return Step::Send { under_way: self.begin(id, u32::try_from(bytes).unwrap_or(u32::MAX)), request };
            }
            (request, _) if signals::is_limited(&request) => return self.signal(now, id, request, bytes),
            (request, _) => {
                let reply_bytes = expected_reply_bytes(&request, bytes, self.config.page_bytes_max);
                return Step::Call { under_way: self.begin(id, reply_bytes), request };
            }
        }
        Step::Done
    }

    /// The token is good: answers hello. The next step is to find the user's conversations, or to wait for cursors.
    pub(crate) fn welcome(
        &mut self,
        now: Instant,
        welcome: &ServerFrame,
        identity: Identity,
        resume: bool,
        token_ends: (Instant, Timestamp),
        first_heartbeat: Duration,
    ) -> Step {
        self.reply(welcome);
        self.identity = Some(Box::new(identity));
        self.token_ends = Some(token_ends);
        self.timers.begin_heartbeats(now + first_heartbeat);
        if resume {
            let until = now + millis(self.config.resume_timeout_ms);
            self.phase = Phase::Resume { cursors: Box::default(), until };
            return Step::Done;
        }
        self.phase = Phase::Memberships { cursors: None };
        Step::Attach
    }

    /// Answers a hello that is not good. Without a good token the session ends; a malformed one may be said again.
    pub(crate) fn refuse_hello(&mut self, now: Instant, id: u32, error: &Error) {
        let answer = frames::error(id, error);
        match error.reason {
            Reason::InvalidArgument => return self.bad_frame(now, &answer),
            Reason::TokenExpired => self.close(Close::TokenExpired),
            // Not the token's fault: its key is still being looked for.
            _ if error.retry_delay().is_some() => self.close(Close::Unavailable),
            _ => self.close(Close::BadToken),
        }
        self.reply(&answer);
    }

    /// Answers a frame that was under way.
    pub(crate) fn answer(&mut self, under_way: &UnderWay, frame: Bytes) {
        self.frames_under_way -= 1;
        self.bytes_reserved -= under_way.reserved;
        self.outbox.reply(frame);
    }

    /// Answers a frame at once.
    pub(crate) fn reply(&mut self, frame: &ServerFrame) {
        self.outbox.reply(self.encoding.encode(frame));
    }

    /// Queues a push that is small.
    fn queue_push(&mut self, frame: &ServerFrame) {
        self.outbox.force_push(self.encoding.encode(frame));
    }

    /// How frames are written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether the handshake is over, and the resume if there was one.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Live) && self.resuming.is_none()
    }

    /// Whether frames are being answered.
    pub(crate) fn is_answering(&self) -> bool {
        self.frames_under_way > 0
    }

    /// Ends the session once what is queued is written. The first reason counts.
    pub(crate) fn close(&mut self, close: Close) {
        self.closing.get_or_insert(close);
    }

    /// Why the session ends, if it does.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.closing
    }

    /// The next frame to write. `None`: there is none, or [`Session::frames_taken`] comes first.
    pub(crate) fn pop_frame(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// The connection has taken all frames that it was given.
    pub(crate) fn frames_taken(&mut self) {
        self.outbox.taken();
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_drained(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Tells the client that the gateway stops.
    pub(crate) fn goaway(&mut self, reconnect_after_ms: u32) {
        self.queue_push(&frames::goaway(reconnect_after_ms, Reason::Draining.as_str()));
    }

    pub(crate) fn begin(&mut self, id: u32, reply_bytes: u32) -> UnderWay {
        let reserved = reply_bytes.saturating_add(SMALL_REPLY_BYTES);
        self.frames_under_way += 1;
        self.bytes_reserved = self.bytes_reserved.saturating_add(reserved);
        UnderWay { id, reserved }
    }

    fn refuse(&mut self, id: u32, field: &str, problem: &str) {
        let error = Error::invalid_argument(field, problem).with_outcome(Outcome::NotAttempted);
        self.reply(&frames::error(id, &error));
    }

    fn bad_frame(&mut self, now: Instant, answer: &ServerFrame) {
        self.reply(answer);
        let since = |then: &Instant| now.saturating_duration_since(*then);
        while self.bad_frames.front().is_some_and(|oldest| since(oldest) > BAD_FRAMES_WINDOW) {
            self.bad_frames.pop_front();
        }
        self.bad_frames.push_back(now);
        if self.bad_frames.len() >= self.config.bad_frames_max as usize {
            self.close(Close::ProtocolError);
        }
    }

    fn resume_part(&mut self, part: &ResumePart) -> Result<(), Error> {
        let Phase::Resume { cursors, .. } = &mut self.phase else {
            return Err(not_attempted("resume_part", "comes between a hello with resume and resume_end"));
        };
        if part.cursors.len() > RESUME_PART_CURSORS_MAX {
            return Err(not_attempted("resume_part.cursors", "are more than 500"));
        }
        if cursors.len() + part.cursors.len() > self.config.resume_cursors_max as usize {
            return Err(Error::new(Reason::LimitExceeded, "the resume names too many conversations"));
        }
        let mut parsed = Vec::with_capacity(part.cursors.len());
        for cursor in &part.cursors {
            let id = ConversationId::parse(&cursor.conversation_id)
                .map_err(|invalid| not_attempted("resume_part.cursors.conversation_id", &invalid.to_string()))?;
            parsed.push((id, cursor.seq));
        }
        for (id, seq) in parsed {
            // Named twice: the smaller one is what the client surely has.
            let cursor = cursors.entry(id).or_insert(seq);
            *cursor = (*cursor).min(seq);
        }
        Ok(())
    }

    fn resume_end(&mut self, id: u32) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Live) {
            Phase::Resume { cursors, .. } => {
                self.phase = Phase::Memberships { cursors: Some(cursors) };
                self.reply(&frames::reply(id, None));
                Step::Attach
            }
            other => {
                self.phase = other;
                self.refuse(id, "resume_end", "comes once, after a hello with resume");
                Step::Done
            }
        }
    }
}

fn not_attempted(field: &str, problem: &str) -> Error {
    Error::invalid_argument(field, problem).with_outcome(Outcome::NotAttempted)
}

/// Pages may be as long as they are allowed to be; everything else is about as long as what was asked.
fn expected_reply_bytes(request: &Request, bytes: usize, page_bytes_max: u32) -> u32 {
    match request {
        Request::ListMessages(_)
        | Request::ReadLog(_)
        | Request::GetHeads(_)
        | Request::ListPositions(_)
        | Request::ListPinned(_)
        | Request::ListBlocked(_)
        | Request::ListConversations(_)
        | Request::ListMembers(_)
        | Request::GetUsers(_)
        | Request::SearchUsers(_) => page_bytes_max,
        Request::GetMessage(_)
        | Request::React(_)
        | Request::Unreact(_)
        | Request::Pin(_)
        | Request::Unpin(_)
        | Request::Delete(_) => MESSAGE_REPLY_BYTES,
        _ => u32::try_from(bytes).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
