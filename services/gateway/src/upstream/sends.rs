//! The one SendMessages stream: sends of all sockets, in the order of each socket.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::UserId;
use viberchat_proto::message::v1::send_messages_response::Result as Sent;
use viberchat_proto::message::v1::{SendMessageRequest, SendMessagesRequest, SendMessagesResponse};
use viberchat_proto::types::v1::RequestContext;

use super::retry::Backoff;
use super::{Upstream, refused};
use crate::fanout::Member;
use crate::frames::{self, Answer, ServerFrame};
use crate::session::UnderWay;

/// Sends that the stream has not taken yet; while they are more, sockets are not read.
const QUEUE_MAX: usize = 4096;

/// Answers that are handled together when they are there together.
const BATCH_MAX: usize = 256;

/// The service answers within the time it is given; if even that answer does not come, the wait ends this much later.
const GRACE: Duration = Duration::from_secs(1);

/// A send without its answer.
struct Pending {
    member: Arc<Member>,
    under_way: UnderWay,
    expires: Instant,
    /// The stream has taken it, so it may be stored.
    is_taken: bool,
}

#[derive(Default)]
struct State {
    /// False while the stream is known to be broken.
    is_open: bool,
    next_id: u64,
    queue: VecDeque<SendMessagesRequest>,
    pending: HashMap<u64, Pending>,
    /// Sockets that wait for room in the queue.
    blocked: Vec<Arc<Member>>,
}

/// What sockets and the stream share. Bounded by the frames that each session may have under way.
pub(crate) struct Sends {
    state: Mutex<State>,
    feed: AtomicWaker,
    timeout: Duration,
}

impl Sends {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { state: Mutex::default(), feed: AtomicWaker::new(), timeout }
    }

    /// Whether there is room for more; if not, `member` is woken when there is.
    pub(crate) fn has_room(&self, member: &Arc<Member>) -> bool {
        let mut state = self.state.lock();
        let has_room = state.queue.len() < QUEUE_MAX;
        if !has_room && !state.blocked.iter().any(|other| Arc::ptr_eq(other, member)) {
            state.blocked.push(member.clone());
        }
        has_room
    }

    /// Puts a send on the stream. `Err`: not while it is broken; nothing was attempted.
    pub(crate) fn submit(
        &self,
        member: &Arc<Member>,
        user: &UserId,
        under_way: UnderWay,
        request: SendMessageRequest,
        now: Instant,
    ) -> Result<(), UnderWay> {
        let mut state = self.state.lock();
        if !state.is_open {
            return Err(under_way);
        }
        state.next_id += 1;
        let correlation_id = state.next_id;
        let context = RequestContext {
            on_behalf_of: user.as_str().to_owned(),
            timeout_ms: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            correlation_id,
            traceparent: String::new(),
        };
        state.queue.push_back(SendMessagesRequest { context: Some(context), send: Some(request) });
        let expires = now + self.timeout + GRACE;
        state.pending.insert(correlation_id, Pending { member: member.clone(), under_way, expires, is_taken: false });
        drop(state);
        self.feed.wake();
        Ok(())
    }

    /// Answers what has waited too long.
    pub(crate) fn expire(&self, now: Instant) {
        let expired: Vec<_> = {
            let mut state = self.state.lock();
            state.pending.extract_if(|_, pending| pending.expires <= now).collect()
        };
        let error = Error::new(Reason::DeadlineExceeded, "the service did not answer in time");
        for (_, pending) in expired {
            pending.refuse(&error);
        }
    }

    fn answer(&self, response: SendMessagesResponse) {
        let Some(pending) = self.state.lock().pending.remove(&response.correlation_id) else { return };
        match response.result {
            Some(Sent::Response(sent)) => {
                let frame = frames::reply(pending.under_way.id, Some(Answer::Send(sent)));
                pending.answer(&frame);
            }
            Some(Sent::Error(error)) => pending.refuse(&Error::from_proto(&error)),
            None => pending.refuse(&unknown()),
        }
    }

    /// From now on sends are taken: the stream is being opened.
    fn open(&self) {
        self.state.lock().is_open = true;
    }

    /// The stream broke: what it had taken may be stored, the rest is not.
    fn close(&self) {
        let (mut pending, blocked) = {
            let mut state = self.state.lock();
            state.is_open = false;
            state.queue.clear();
            (state.pending.drain().collect::<Vec<_>>(), std::mem::take(&mut state.blocked))
        };
        pending.sort_unstable_by_key(|(id, _)| *id);
        for (_, pending) in pending {
            let error = if pending.is_taken { unknown() } else { unavailable() };
            pending.refuse(&error);
        }
        wake(&blocked);
    }
}

impl Pending {
    fn answer(self, frame: &ServerFrame) {
        // Written before the session is locked.
        let frame = self.member.encoding().encode(frame);
        let mut session = self.member.session();
        session.answer(&self.under_way, frame);
        self.member.wake(&mut session);
    }

    fn refuse(self, error: &Error) {
        let frame = frames::error(self.under_way.id, error);
        self.answer(&frame);
    }
}

fn wake(members: &[Arc<Member>]) {
    for member in members {
        let mut session = member.session();
        member.wake(&mut session);
    }
}

fn unknown() -> Error {
    Error::new(Reason::OutcomeUnknown, "the service was lost before it answered").with_outcome(Outcome::Unknown)
}

/// A send while the stream is broken.
pub(crate) fn unavailable() -> Error {
    Error::new(Reason::StoreUnavailable, "the message service cannot be reached").with_outcome(Outcome::NotAttempted)
}

/// Keeps the stream open, until `end`.
pub(crate) async fn run(sends: Arc<Sends>, upstream: Upstream, end: CancellationToken) {
    let mut backoff = Backoff::default();
    // Cancel safe: what is dropped half-way is answered by `close`.
    let forever = async {
        loop {
            let is_over = Arc::new(AtomicBool::new(false));
            sends.open();
            let feed = Feed { sends: sends.clone(), is_over: is_over.clone() };
            let error = carry(&sends, &upstream, feed, &mut backoff).await;
            is_over.store(true, Ordering::Release);
            sends.close();
            tracing::warn!(%error, "the stream of sends broke");
            tokio::time::sleep(backoff.next()).await;
        }
    };
    let _ended = end.run_until_cancelled(forever).await;
    sends.close();
}

async fn carry(sends: &Sends, upstream: &Upstream, feed: Feed, backoff: &mut Backoff) -> Error {
    let opened = timeout(upstream.timeout, upstream.message.clone().send_messages(feed)).await;
    let stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    backoff.reset();
    let mut batches = stream.ready_chunks(BATCH_MAX);
    while let Some(batch) = batches.next().await {
        for response in batch {
            match response {
                Ok(response) => sends.answer(response),
                Err(status) => return refused(status),
            }
        }
    }
    super::pump::late()
}

/// The requests of one stream. Ends with it, so that it takes no send from its successor.
struct Feed {
    sends: Arc<Sends>,
    is_over: Arc<AtomicBool>,
}

impl Stream for Feed {
    type Item = SendMessagesRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SendMessagesRequest>> {
        self.sends.feed.register(cx.waker());
        let mut state = self.sends.state.lock();
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        let Some(request) = state.queue.pop_front() else { return Poll::Pending };
        let id = request.context.as_ref().map_or(0, |context| context.correlation_id);
        if let Some(pending) = state.pending.get_mut(&id) {
            pending.is_taken = true;
        }
        let unblocked = if state.queue.len() < QUEUE_MAX / 2 { std::mem::take(&mut state.blocked) } else { Vec::new() };
        drop(state);
        wake(&unblocked);
        Poll::Ready(Some(request))
    }
}
