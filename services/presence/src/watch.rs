//! Following presences live: one stream for any number of users who watch others.
//!
//! Map: [`WatchStream`] is the one loop of a stream; `pairs` who watches whom, and what they were last told; `ask` takes
//! requests; `check` asks again who may see whom.
//!
//! Nothing is queued for a slow stream: it hears *of whom* there is news, reads the latest when it can push, and pushes what
//! differs from what the watcher was told last. So changes collapse by themselves, and who hides causes no push that tells
//! of it. A user with many watchers is looked up and encoded once for all of them.

mod ask;
mod check;
mod pairs;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Status;
use viberchat_kit::auth::{AuthorizedStream, StreamEnd, Streamed};
use viberchat_kit::error::Result;
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::into_status;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::{PresenceChange, WatchHeartbeat, WatchRequest, WatchResponse};

use self::ask::Started;
use self::check::Checked;
use self::pairs::Pairs;
use crate::app::App;
use crate::convert::presence_to_proto;
use crate::domain::status::{Presence, Views};
use crate::error::draining;
use crate::hub::Inbox;

/// Requests that are being answered; then the stream reads no further ones.
const STARTING_MAX: usize = 16;

/// The pushes of a stream.
pub(crate) type Pushes = BoxStream<'static, std::result::Result<WatchResponse, Status>>;

/// One stream of `Watch`.
struct WatchStream {
    app: Arc<App>,
    inbox: Arc<Inbox<UserId>>,
    /// `None`: the caller asks for nothing more.
    requests: Option<AuthorizedStream<WatchRequest>>,
    pairs: Pairs,
    /// Users of whom there is news; looked at one after the other.
    news: Vec<UserId>,
    /// What can be pushed now: bounded by one request or the watchers of one user.
    out: VecDeque<Push>,
    starting: FuturesUnordered<BoxFuture<'static, Started>>,
    /// For whom, and a request of one of them that waits: requests of one watcher are answered in their order.
    starting_for: HashSet<UserId>,
    held: Option<Streamed<WatchRequest>>,
    /// Watchers who are to be asked about again, each once in a check interval.
    due: VecDeque<UserId>,
    checking: FuturesUnordered<BoxFuture<'static, Checked>>,
    heartbeat: Interval,
    checks: Interval,
}

/// The pushes of a stream. Nothing runs unless somebody reads.
pub(crate) fn pushes(app: &Arc<App>, requests: AuthorizedStream<WatchRequest>) -> Pushes {
    let stream = WatchStream::new(Arc::clone(app), requests);
    let pushes = futures::stream::unfold(Some(stream), |state| async {
        let mut stream = state?;
        match stream.next().await {
            Ok(push) => Some((Ok(WatchResponse { push: Some(push) }), Some(stream))),
            Err(error) => Some((Err(into_status(error)), None)),
        }
    });
    pushes.boxed()
}

impl WatchStream {
    fn new(app: Arc<App>, requests: AuthorizedStream<WatchRequest>) -> Self {
        app.metrics.watch_streams.inc();
        let heartbeat = ticks(Duration::from_millis(app.config.heartbeat_interval_ms));
        let checks = ticks(check::tick(&app.config));
        Self {
            app,
            inbox: Arc::default(),
            requests: Some(requests),
            pairs: Pairs::default(),
            news: Vec::new(),
            out: VecDeque::new(),
            starting: FuturesUnordered::new(),
            starting_for: HashSet::new(),
            held: None,
            due: VecDeque::new(),
            checking: FuturesUnordered::new(),
            heartbeat,
            checks,
        }
    }

    /// The next push. An error is the end.
    async fn next(&mut self) -> Result<Push> {
        let soft = self.app.lifecycle.soft();
        loop {
            if let Some(push) = self.at_hand() {
                return Ok(push);
            }
            let listening = self.held.is_none() && self.starting.len() < STARTING_MAX;
            // Cancel safe: futures that are under way are kept in `self`, requests and news stay where they are.
            tokio::select! {
                biased;
                () = soft.cancelled() => return Err(draining()),
                // Before requests: whoever asks without end does not put off the question whether they may.
                _ = self.checks.tick() => self.begin_checks(),
                Some(checked) = self.checking.next() => self.checked(checked),
                Some(started) = self.starting.next() => self.started(started),
                request = next_request(&mut self.requests), if listening => self.ask(request?),
                _ = self.heartbeat.tick() => return Ok(Push::Heartbeat(WatchHeartbeat {})),
                news = self.inbox.take() => self.news.extend(news),
            }
        }
    }

    fn at_hand(&mut self) -> Option<Push> {
        loop {
            if let Some(push) = self.out.pop_front() {
                return Some(push);
            }
            let user = self.news.pop()?;
            self.tell(&user);
        }
    }

    /// Tells the watchers of a user what they have not been told.
    fn tell(&mut self, user: &UserId) {
        let Some(views) = self.app.presences.views([user]).pop() else { return };
        let mut encoded: Option<(Presence, viberchat_proto::presence::v1::Presence)> = None;
        let fresh = self.app.visibility.fresh();
        let out = &mut self.out;
        self.pairs.for_each_watcher(user, |watcher, pair| {
            let shown = shown(watcher, user, &views, pair.confirmed_at, fresh);
            if shown == pair.told {
                return;
            }
            pair.told = shown;
            let presence = match &encoded {
                Some((of, presence)) if *of == shown => presence.clone(),
                _ => encoded.insert((shown, presence_to_proto(user, shown))).1.clone(),
            };
            let change = PresenceChange { watcher_user_id: watcher.to_string(), presence: Some(presence) };
            out.push_back(Push::Change(change));
        });
    }

    /// Ends one pair. Whoever is watched by nobody else here is not followed any more.
    fn forget(&mut self, watcher: &UserId, user: &UserId) {
        if let Some(unwatched) = self.pairs.remove(watcher, user) {
            self.app.metrics.watch_pairs.dec();
            if unwatched {
                self.app.presences.unfollow(user, &self.inbox);
            }
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        for user in self.pairs.users() {
            self.app.presences.unfollow(user, &self.inbox);
        }
        self.app.metrics.watch_pairs.dec_by(self.pairs.len() as i64);
        self.app.metrics.watch_streams.dec();
    }
}

/// What a watcher may be shown: nothing once the answer that allowed it has become too old.
fn shown(watcher: &UserId, user: &UserId, views: &Views, confirmed_at: Instant, fresh: Duration) -> Presence {
    if watcher == user {
        views.to_oneself
    } else if confirmed_at.elapsed() < fresh {
        views.to_others
    } else {
        Presence::UNKNOWN
    }
}

pub(crate) fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next request. Whoever has asked for everything may close that side and goes on listening.
pub(crate) async fn next_request<T: viberchat_kit::auth::StreamedRequest>(
    requests: &mut Option<AuthorizedStream<T>>,
) -> std::result::Result<Streamed<T>, StreamEnd> {
    if let Some(open) = requests
        && let Some(request) = open.next().await
    {
        return request;
    }
    *requests = None;
    std::future::pending().await
}
