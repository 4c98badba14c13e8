//! The SendMessages streams, one to each instance of the message service: sends of all sockets, in the order of each socket.
//!
//! Map: [`Sends`] what sockets and streams share, [`run`] keeps the streams open, `routes` says which one a send takes.

mod routes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
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
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::{Channel, EachInstance, Instance};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::send_messages_response::Result as Sent;
use viberchat_proto::message::v1::{SendMessageRequest, SendMessagesRequest, SendMessagesResponse};
use viberchat_proto::types::v1::RequestContext;

use self::routes::{Key, Routes};
use super::instances::{self, Place, Wanted};
use super::refused;
use super::retry::Backoff;
use crate::fanout::Member;
use crate::frames::{self, Answer, ServerFrame};
use crate::session::UnderWay;

/// Sends that a stream has not taken yet. Sockets whose sends are beyond them are not read until it has taken half.
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
    /// Its stream has taken it, so it may be stored.
    is_taken: bool,
    place: Place,
    key: Key,
}

#[derive(Default)]
struct State {
    routes: Routes,
    /// Of each stream that is not broken.
    queues: HashMap<Place, Queue>,
    next_id: u64,
    pending: HashMap<u64, Pending>,
    /// The sockets that wait for room in a queue, by [`name_of`], and in which.
    blocked: HashMap<usize, Place>,
}

/// Nobody else's as long as the member is there.
fn name_of(member: &Arc<Member>) -> usize {
    Arc::as_ptr(member).addr()
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<SendMessagesRequest>,
    feed: Arc<AtomicWaker>,
    /// Sockets that wait for room, by [`name_of`].
    blocked: HashMap<usize, Arc<Member>>,
}

impl State {
    fn block(&mut self, member: &Arc<Member>, place: Place) {
        let Some(queue) = self.queues.get_mut(&place) else { return };
        queue.blocked.insert(name_of(member), member.clone());
        self.blocked.insert(name_of(member), place);
    }

    /// All who wait for this queue, and no longer do.
    fn unblock_all(&mut self, place: Place) -> Vec<Arc<Member>> {
        let Some(queue) = self.queues.get_mut(&place) else { return Vec::new() };
        let unblocked = std::mem::take(&mut queue.blocked);
        for name in unblocked.keys() {
            self.blocked.remove(name);
        }
        unblocked.into_values().collect()
    }

    /// Whose sends are refused is read at once: what comes behind them has to be refused with them.
    fn unblock_refused(&mut self, refused: &[Pending]) -> Vec<Arc<Member>> {
        let mut unblocked = Vec::new();
        for pending in refused {
            let name = name_of(&pending.member);
            let Some(place) = self.blocked.remove(&name) else { continue };
            unblocked.extend(self.queues.get_mut(&place).and_then(|queue| queue.blocked.remove(&name)));
        }
        unblocked
    }

    /// The send has its answer.
    fn end(&mut self, id: u64) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.routes.end(&pending.key);
        Some(pending)
    }

    /// Takes requests off the queues that nobody waits for. Who waited for room, and has it now.
    fn sweep(&mut self) -> Vec<Arc<Member>> {
        let Self { queues, pending, .. } = self;
        for queue in queues.values_mut() {
            queue.requests.retain(|request| pending.contains_key(&correlation_id(request)));
        }
        let roomy = queues.iter().filter(|(_, queue)| queue.requests.len() < QUEUE_MAX / 2);
        let roomy: Vec<Place> = roomy.map(|(place, _)| *place).collect();
        roomy.into_iter().flat_map(|place| self.unblock_all(place)).collect()
    }

    fn end_all(&mut self, which: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let mut ids: Vec<u64> = self.pending.iter().filter(|(_, pending)| which(pending)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.end(id)).collect()
    }
}

/// What sockets and the streams share. Bounded by the frames that each session may have under way.
pub(crate) struct Sends {
    state: Mutex<State>,
    timeout: Duration,
}

impl Sends {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { state: Mutex::default(), timeout }
    }

    /// Whether there is room for more of this socket; if not, it is woken when there is. An instance that takes no more
    /// holds up those who send to it, not all.
    pub(crate) fn has_room(&self, member: &Arc<Member>) -> bool {
        !self.state.lock().blocked.contains_key(&name_of(member))
    }

    /// Puts a send on a stream. `Err`: there is none for it; nothing was attempted.
    pub(crate) fn submit(
        &self,
        member: &Arc<Member>,
        user: &UserId,
        under_way: UnderWay,
        request: SendMessageRequest,
        now: Instant,
    ) -> Result<(), UnderWay> {
        // One conversation whatever its spelling.
        let conversation = ConversationId::parse(&request.conversation_id).map(|id| id.to_string());
        let key = (user.clone(), conversation.unwrap_or_else(|_| request.conversation_id.clone()));
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(place) = state.routes.begin(&key, now) else { return Err(under_way) };
        let Some(queue) = state.queues.get_mut(&place) else {
            state.routes.end(&key);
            return Err(under_way);
        };
        state.next_id += 1;
        let correlation_id = state.next_id;
        let context = RequestContext {
            on_behalf_of: user.as_str().to_owned(),
            timeout_ms: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            correlation_id,
            traceparent: String::new(),
        };
        queue.requests.push_back(SendMessagesRequest { context: Some(context), send: Some(request) });
        let feed = queue.feed.clone();
        if queue.requests.len() >= QUEUE_MAX {
            state.block(member, place);
        }
        let (member, expires) = (member.clone(), now + self.timeout + GRACE);
        state.pending.insert(correlation_id, Pending { member, under_way, expires, is_taken: false, place, key });
        drop(guard);
        feed.wake();
        Ok(())
    }

    /// Answers what has waited too long. What its stream has not taken by then is not attempted any more, nor what the user
    /// has sent behind it, which must not overtake what the user will send again.
    pub(crate) fn expire(&self, now: Instant) {
        let (expired, unblocked) = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            state.routes.expire(now);
            let is_late = |pending: &Pending| pending.expires <= now;
            let lost = state.pending.values().filter(|pending| is_late(pending) && !pending.is_taken);
            let lost: HashSet<Key> = lost.map(|pending| pending.key.clone()).collect();
            let expired =
                state.end_all(|pending| is_late(pending) || (!pending.is_taken && lost.contains(&pending.key)));
            let mut unblocked = state.unblock_refused(&expired);
            if !lost.is_empty() {
                unblocked.append(&mut state.sweep());
            }
            lost.into_iter().for_each(|key| state.routes.fail(key, now));
            (expired, unblocked)
        };
        let late = Error::new(Reason::DeadlineExceeded, "the service did not answer in time");
        for pending in expired {
            let error = if pending.is_taken { &late } else { &unavailable() };
            pending.refuse(error);
        }
        wake(&unblocked);
    }

    fn answer(&self, response: SendMessagesResponse) {
        let Some(pending) = self.state.lock().end(response.correlation_id) else { return };
        match response.result {
            Some(Sent::Response(sent)) => {
                let frame = frames::reply(pending.under_way.id, Some(Answer::Send(sent)));
                pending.answer(&frame);
            }
            Some(Sent::Error(error)) => pending.refuse(&Error::from_proto(&error)),
            None => pending.refuse(&unknown()),
        }
    }

    /// From now on sends are taken for this instance: its stream is being opened.
    fn open(self: &Arc<Self>, place: Place) -> Feed {
        let mut state = self.state.lock();
        state.routes.open(place);
        let queue = state.queues.entry(place).or_default();
        Feed { sends: self.clone(), place, waker: queue.feed.clone(), is_over: Arc::default() }
    }

    /// The stream broke: what it had taken may be stored, the rest is not.
    fn close(&self, place: Place) {
        let (pending, unblocked) = {
            let mut state = self.state.lock();
            state.routes.close(place, Instant::now());
            let mut unblocked = state.unblock_all(place);
            state.queues.remove(&place);
            let pending = state.end_all(|pending| pending.place == place);
            unblocked.append(&mut state.unblock_refused(&pending));
            (pending, unblocked)
        };
        for pending in pending {
            let error = if pending.is_taken { unknown() } else { unavailable() };
            pending.refuse(&error);
        }
        wake(&unblocked);
    }
}

fn correlation_id(request: &SendMessagesRequest) -> u64 {
    request.context.as_ref().map_or(0, |context| context.correlation_id)
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

/// Keeps a stream open to each instance, until `end`.
pub(crate) async fn run(sends: Arc<Sends>, instances: EachInstance, end: CancellationToken) {
    let begin = |Instance { address: place, channel }, wanted| {
        let (sends, end) = (sends.clone(), end.clone());
        async move {
            // Cancel safe: what is dropped half-way is answered by `close`.
            end.run_until_cancelled(keep_open(&sends, place, channel, wanted)).await;
            sends.close(place);
        }
    };
    instances::each("message", instances, end.clone(), begin).await;
}

/// Returns when the stream has broken and the instance is not looked for any more.
async fn keep_open(sends: &Arc<Sends>, place: Place, channel: Channel, wanted: Wanted) {
    let mut backoff = Backoff::default();
    loop {
        let feed = sends.open(place);
        let is_over = feed.is_over.clone();
        let error = carry(sends, MessageServiceClient::new(channel.clone()), feed, &mut backoff).await;
        is_over.store(true, Ordering::Release);
        sends.close(place);
        if !wanted.holds() {
            return;
        }
        if backoff.is_first() {
            tracing::warn!(%error, ?place, "a stream of sends broke");
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn carry(sends: &Sends, mut client: MessageServiceClient<Channel>, feed: Feed, backoff: &mut Backoff) -> Error {
    let place = feed.place;
    let opened = timeout(sends.timeout, client.send_messages(feed)).await;
    let stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    backoff.reset();
    sends.state.lock().routes.up(place);
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
    place: Place,
    waker: Arc<AtomicWaker>,
    is_over: Arc<AtomicBool>,
}

impl Stream for Feed {
    type Item = SendMessagesRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SendMessagesRequest>> {
        self.waker.register(cx.waker());
        let mut guard = self.sends.state.lock();
        let state = &mut *guard;
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        let Some(queue) = state.queues.get_mut(&self.place) else { return Poll::Ready(None) };
        let Some(request) = queue.requests.pop_front() else { return Poll::Pending };
        if let Some(pending) = state.pending.get_mut(&correlation_id(&request)) {
            pending.is_taken = true;
        }
        let has_room = queue.requests.len() < QUEUE_MAX / 2 && !queue.blocked.is_empty();
        let unblocked = if has_room { state.unblock_all(self.place) } else { Vec::new() };
        drop(guard);
        wake(&unblocked);
        Poll::Ready(Some(request))
    }
}
