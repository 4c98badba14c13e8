//! Following conversations live: one stream for any number of them, contiguous in each.
//!
//! Map: [`Subscription`] is the one loop of a stream; `follow` decides entry by entry; `ask` takes requests, `start` finds
//! out where a conversation begins; `check` asks again whether users are members.
//!
//! How nothing is lost: a conversation is registered with the bus *before* its head is read; an entry is passed on only
//! if it is the next one; anything else puts the conversation on a list, from which one after the other is filled from the
//! log. Nothing is buffered per conversation: when the consumer is slow, its inbox overflows, and those conversations are
//! filled later.

mod ask;
mod check;
mod follow;
mod start;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Status;
use viberchat_kit::auth::{AuthorizedStream, StreamEnd, Streamed};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::ConversationId;
use viberchat_kit::{fault, rpc};
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{LogEntry, SubscribeHeartbeat, SubscribeRequest, SubscribeResponse, Unsubscribed};

use self::check::{CHECK_INTERVAL, Checked};
use self::follow::{Follow, Heard};
use self::start::Started;
use crate::app::App;
use crate::bus::{Contents, Inbox};
use crate::convert::{self, Viewer};
use crate::domain::entry::{Body, Entry, SystemBody};
use crate::domain::position::Position;
use crate::store::{LogSlice, ReadLimit};

/// Requests whose beginnings are being found out; then the stream reads no further ones.
const STARTING_MAX: usize = 8;
/// What one fill reads.
const FILL: ReadLimit = ReadLimit { items: 200, bytes: 512 * 1024 };

type Filled = (ConversationId, u64, Result<LogSlice>);

/// One stream of `Subscribe`.
pub(crate) struct Subscription {
    app: Arc<App>,
    inbox: Arc<Inbox>,
    /// `None`: the caller asks for nothing more.
    requests: Option<AuthorizedStream<SubscribeRequest>>,
    follows: HashMap<ConversationId, Follow>,
    /// How many of them are a user's.
    user_follows: usize,
    generation: u64,
    /// Heard and not looked at yet.
    heard: Contents,
    positions: Vec<(ConversationId, Position)>,
    /// Read from the log and not passed on yet, with the head at that time.
    page: Option<(ConversationId, VecDeque<Entry>, u64)>,
    behind: VecDeque<ConversationId>,
    filling: Option<BoxFuture<'static, Filled>>,
    starting: FuturesUnordered<BoxFuture<'static, Vec<Started>>>,
    checking: Option<BoxFuture<'static, Checked>>,
    /// Answers to requests, bounded by what one of them may name.
    out: VecDeque<Push>,
    heartbeat: Interval,
    checks: Interval,
}

/// The pushes of a stream.
pub(crate) fn pushes(
    app: Arc<App>,
    requests: AuthorizedStream<SubscribeRequest>,
) -> BoxStream<'static, std::result::Result<SubscribeResponse, Status>> {
    let subscription = Subscription::new(app, requests);
    let pushes = futures::stream::unfold(Some(subscription), |state| async {
        let mut subscription = state?;
        match subscription.next().await {
            Ok(push) => Some((Ok(SubscribeResponse { push: Some(push) }), Some(subscription))),
            Err(error) => Some((Err(rpc::into_status(error)), None)),
        }
    });
    pushes.boxed()
}

impl Subscription {
    fn new(app: Arc<App>, requests: AuthorizedStream<SubscribeRequest>) -> Self {
        let inbox = Arc::new(Inbox::new(app.config.subscriber_entries_max));
        let heartbeat = ticks(Duration::from_millis(app.config.heartbeat_interval_ms));
        app.metrics.subscribe.streams.inc();
        Self {
            inbox,
            requests: Some(requests),
            follows: HashMap::new(),
            user_follows: 0,
            generation: 0,
            heard: Contents::default(),
            positions: Vec::new(),
            page: None,
            behind: VecDeque::new(),
            filling: None,
            starting: FuturesUnordered::new(),
            checking: None,
            out: VecDeque::new(),
            heartbeat,
            checks: ticks(CHECK_INTERVAL),
            app,
        }
    }

    /// The next push. An error is the end.
    async fn next(&mut self) -> Result<Push> {
        let soft = self.app.lifecycle.soft();
        loop {
            if let Some(push) = self.at_hand() {
                return Ok(push);
            }
            self.begin_fill();
            // Cancel safe: futures that are under way are kept in `self`, requests and hints stay where they are.
            tokio::select! {
                biased;
                () = soft.cancelled() => return Err(Error::new(Reason::Draining, "the service stops")),
                request = next_request(&mut self.requests), if self.starting.len() < STARTING_MAX => match request {
                    Ok(request) => self.ask(request),
                    Err(end) => return Err(end.into()),
                },
                Some(started) = self.starting.next() => started.into_iter().for_each(|one| self.started(one)),
                checked = under_way(&mut self.checking) => {
                    self.checking = None;
                    self.checked(checked);
                }
                _ = self.heartbeat.tick() => return Ok(Push::Heartbeat(SubscribeHeartbeat {})),
                filled = under_way(&mut self.filling) => {
                    self.filling = None;
                    self.filled(filled);
                }
                _ = self.checks.tick(), if self.user_follows > 0 => self.begin_check(),
                heard = self.inbox.take() => self.hear(heard),
            }
        }
    }

    /// What can be pushed without waiting.
    fn at_hand(&mut self) -> Option<Push> {
        if let Some(push) = self.out.pop_front() {
            return Some(push);
        }
        if let Some(push) = self.next_of_page() {
            return Some(push);
        }
        while let Some(entry) = self.heard.entries.pop_front() {
            if let Some(push) = self.offer(&entry) {
                return Some(push);
            }
        }
        while let Some((conversation_id, position)) = self.positions.pop() {
            if self.follows.get(&conversation_id).is_some_and(Follow::is_started) {
                return Some(Push::Position(convert::position_to_proto(conversation_id, &position)));
            }
        }
        None
    }

    fn hear(&mut self, heard: Contents) {
        self.heard = heard;
        for (conversation_id, head) in std::mem::take(&mut self.heard.heads) {
            self.note(conversation_id, |follow| follow.heard_of(head));
        }
        let positions = std::mem::take(&mut self.heard.positions);
        self.positions
            .extend(positions.into_iter().map(|((conversation_id, _), position)| (conversation_id, position)));
    }

    fn offer(&mut self, entry: &Entry) -> Option<Push> {
        let conversation_id = entry.conversation_id;
        match self.note(conversation_id, |follow| follow.offer(entry.seq)) {
            Some(Heard::Next) => self.pass_on(entry),
            _ => None,
        }
    }

    /// Lets a conversation hear something, and puts it on the list if it misses something.
    fn note(&mut self, conversation_id: ConversationId, hear: impl FnOnce(&mut Follow) -> Heard) -> Option<Heard> {
        let heard = hear(self.follows.get_mut(&conversation_id)?);
        if heard == Heard::Missing {
            self.behind.push_back(conversation_id);
        }
        Some(heard)
    }

    /// The next entry of its conversation, for its viewer.
    fn pass_on(&mut self, entry: &Entry) -> Option<Push> {
        let follow = self.follows.get(&entry.conversation_id)?;
        if follow.is_removed_by(entry) {
            let error = not_found();
            return Some(self.end(entry.conversation_id, &error));
        }
        if follow.hides(entry) {
            return Some(Push::Entry(convert::hidden_to_proto(entry.conversation_id, entry.seq, &entry.as_head())));
        }
        Some(Push::Entry(convert::entry_to_proto(entry, &follow.viewer)))
    }

    /// The next entry of a page. A run of hidden ones is one push.
    fn pass_on_of_page(&mut self, entry: Entry, following: &mut VecDeque<Entry>) -> Option<Push> {
        let conversation_id = entry.conversation_id;
        let follow = self.follows.get_mut(&conversation_id)?;
        if !follow.fill(entry.seq) {
            return None;
        }
        let from_seq = entry.seq;
        let mut last = entry;
        while follow.hides(&last)
            && let Some(next) = following.pop_front_if(|next| follow.hides(next) && next.seq == last.seq + 1)
        {
            follow.fill(next.seq);
            last = next;
        }
        match self.pass_on(&last)? {
            Push::Entry(pushed) if last.seq > from_seq => Some(Push::Entry(LogEntry { seq: from_seq, ..pushed })),
            push => Some(push),
        }
    }

    fn begin_fill(&mut self) {
        if self.filling.is_some() || self.page.is_some() {
            return;
        }
        while let Some(conversation_id) = self.behind.pop_front() {
            // Who has left the list meanwhile, by being asked for once more, comes back to it once it may begin.
            let Some(follow) = self.follows.get(&conversation_id).filter(|follow| follow.is_behind()) else { continue };
            let (generation, after, store) = (follow.generation, follow.sent(), self.app.store.clone());
            self.app.metrics.subscribe.fills.inc();
            let read = async move {
                let slice = store.read_log(conversation_id, after, FILL).await.map_err(Error::from);
                (conversation_id, generation, slice)
            };
            self.filling = Some(read.boxed());
            return;
        }
    }

    fn filled(&mut self, (conversation_id, generation, slice): Filled) {
        if self.follows.get(&conversation_id).is_none_or(|follow| follow.generation != generation) {
            return;
        }
        let page = slice.and_then(|slice| {
            let records = slice.records.into_iter();
            let entries: std::result::Result<_, _> =
                records.map(|record| convert::entry(conversation_id, record)).collect();
            Ok((entries?, slice.head.seq))
        });
        match page {
            Ok((entries, head)) => self.page = Some((conversation_id, entries, head)),
            Err(error) => {
                let push = self.end(conversation_id, &error);
                self.out.push_back(push);
            }
        }
    }

    fn next_of_page(&mut self) -> Option<Push> {
        while let Some((conversation_id, mut entries, head)) = self.page.take() {
            let Some(entry) = entries.pop_front() else {
                self.note(conversation_id, |follow| follow.filled(head));
                return None;
            };
            let push = self.pass_on_of_page(entry, &mut entries);
            self.page = Some((conversation_id, entries, head));
            if push.is_some() {
                return push;
            }
        }
        None
    }

    /// Ends a conversation by itself.
    fn end(&mut self, conversation_id: ConversationId, error: &Error) -> Push {
        self.forget(conversation_id);
        let error = Some(error.to_proto());
        Push::Unsubscribed(Unsubscribed { correlation_id: 0, conversation_id: conversation_id.to_string(), error })
    }

    fn forget(&mut self, conversation_id: ConversationId) {
        if let Some(follow) = self.follows.remove(&conversation_id) {
            self.user_follows -= usize::from(follow.viewer != Viewer::Relay);
            self.app.bus.unfollow(conversation_id, &self.inbox);
        }
        // Whoever follows it next may see less of it.
        self.page.take_if(|(of, ..)| *of == conversation_id);
    }
}

impl Follow {
    /// Whether this entry removes its viewer, who has not come back since.
    fn is_removed_by(&self, entry: &Entry) -> bool {
        let (Viewer::User(viewer), Body::System(system)) = (&self.viewer, &entry.body) else { return false };
        let is_gone = match system {
            SystemBody::MemberRemoved { user, .. } => user == viewer,
            SystemBody::Closed => true,
            _ => false,
        };
        let member_version = self.standing.as_ref().map_or(0, |standing| standing.version);
        is_gone && entry.conversation_version > member_version && !fault::mutant("removed_member_served")
    }

    /// Whether its viewer, who is still there, may not see this entry. Gateways see all, and ask for each of their users.
    fn hides(&self, entry: &Entry) -> bool {
        let view = self.standing.as_ref().map(|standing| &standing.view);
        !self.is_removed_by(entry) && view.is_some_and(|view| !view.shows_entry(entry.seq, entry.body.target_seq()))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for conversation_id in self.follows.keys() {
            self.app.bus.unfollow(*conversation_id, &self.inbox);
        }
        self.app.metrics.subscribe.streams.dec();
    }
}

fn not_found() -> Error {
    crate::error::refused_at_door(crate::domain::rules::Refusal::NotMember)
}

fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next request. Whoever has asked for everything may close that side and goes on listening.
async fn next_request(
    requests: &mut Option<AuthorizedStream<SubscribeRequest>>,
) -> std::result::Result<Streamed<SubscribeRequest>, StreamEnd> {
    if let Some(open) = requests
        && let Some(request) = open.next().await
    {
        return request;
    }
    *requests = None;
    std::future::pending().await
}

/// Waits for what is under way; for ever if nothing is.
async fn under_way<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
