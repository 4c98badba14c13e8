//! What the one Watch stream of the presence service is asked, and who waits for its answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;
use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::UserId;
use viberchat_proto::gateway::v1::WatchedPresence;
use viberchat_proto::presence::v1::watch_request::Request as Change;
use viberchat_proto::presence::v1::{Presence, WatchAdd, WatchRemove, WatchRequest};
use viberchat_proto::types::v1::RequestContext;

use super::{Member, User};
use crate::frames::{self, Answer, ServerFrame};
use crate::session::UnderWay;

/// Users of one request.
const REQUEST_USERS_MAX: usize = 200;

/// A session that waits for a snapshot.
pub(crate) struct Waiting {
    pub(crate) user: Arc<User>,
    pub(crate) member: Arc<Member>,
    pub(crate) under_way: UnderWay,
    /// Whom the session did not watch before.
    pub(crate) added: Vec<String>,
    pub(crate) expires: Instant,
}

/// A question to the stream.
pub(crate) struct Asked {
    pub(crate) watcher: UserId,
    /// `None`: asked because the stream began anew.
    pub(crate) waiting: Option<Waiting>,
}

#[derive(Default)]
struct State {
    /// False while the stream is known to be broken.
    is_open: bool,
    next_id: u64,
    queue: VecDeque<WatchRequest>,
    asked: HashMap<u64, Asked>,
}

/// What sessions and the stream share. Bounded by the frames that each session may have under way, and by its rate.
#[derive(Default)]
pub(crate) struct Watches {
    state: Mutex<State>,
    feed: AtomicWaker,
}

impl Watches {
    /// Asks for the presence of users, at most 200. `Err`: not while the stream is broken.
    pub(crate) fn ask(&self, users: &[String], waiting: Waiting) -> Result<(), Waiting> {
        let mut state = self.state.lock();
        if !state.is_open {
            return Err(waiting);
        }
        let asked = Asked { watcher: waiting.user.id().clone(), waiting: Some(waiting) };
        state.add(users.to_vec(), asked);
        drop(state);
        self.feed.wake();
        Ok(())
    }

    /// Asks once more for what is not known; the answer comes as a change.
    pub(crate) fn ask_again(&self, watcher: &UserId, users: &[String]) {
        let mut state = self.state.lock();
        if !state.is_open {
            return;
        }
        for user_ids in users.chunks(REQUEST_USERS_MAX) {
            state.add(user_ids.to_vec(), Asked { watcher: watcher.clone(), waiting: None });
        }
        drop(state);
        self.feed.wake();
    }

    /// No session of the watcher watches these users any more.
    pub(crate) fn end(&self, watcher: &UserId, users: &[String]) {
        let mut state = self.state.lock();
        if !state.is_open {
            return;
        }
        for user_ids in users.chunks(REQUEST_USERS_MAX) {
            state.push(watcher, Change::Remove(WatchRemove { user_ids: user_ids.to_vec() }));
        }
        drop(state);
        self.feed.wake();
    }

    /// A new stream knows nothing: it is asked for what `all` returns, and for what comes after that.
    pub(crate) fn begin_anew(&self, all: impl FnOnce() -> Vec<(UserId, Vec<String>)>) {
        {
            let mut state = self.state.lock();
            state.queue.clear();
            state.is_open = true;
        }
        // Without the lock: what is asked meanwhile is asked twice rather than never.
        let all = all();
        let mut state = self.state.lock();
        for (watcher, users) in all {
            for user_ids in users.chunks(REQUEST_USERS_MAX) {
                state.add(user_ids.to_vec(), Asked { watcher: watcher.clone(), waiting: None });
            }
        }
        drop(state);
        self.feed.wake();
    }

    /// The stream broke: who waits is refused.
    pub(crate) fn close(&self) {
        let asked = {
            let mut state = self.state.lock();
            state.is_open = false;
            state.queue.clear();
            std::mem::take(&mut state.asked)
        };
        let error = unavailable();
        asked.into_values().filter_map(|asked| asked.waiting).for_each(|waiting| waiting.refuse(self, &error));
    }

    /// Refuses what has waited too long.
    pub(crate) fn expire(&self, now: Instant) {
        let is_late = |asked: &Asked| asked.waiting.as_ref().is_some_and(|waiting| waiting.expires <= now);
        let expired: Vec<_> = self.state.lock().asked.extract_if(|_, asked| is_late(asked)).collect();
        let error = Error::new(Reason::DeadlineExceeded, "the presence service did not answer in time")
            .with_outcome(Outcome::NotAttempted);
        expired.into_iter().filter_map(|(_, asked)| asked.waiting).for_each(|waiting| waiting.refuse(self, &error));
    }

    /// Takes the question that was answered.
    pub(crate) fn take(&self, correlation_id: u64) -> Option<Asked> {
        self.state.lock().asked.remove(&correlation_id)
    }

    /// The next request of the stream. For one stream at a time.
    pub(crate) fn poll_request(&self, cx: &mut Context<'_>) -> Poll<WatchRequest> {
        self.feed.register(cx.waker());
        let mut state = self.state.lock();
        state.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

impl State {
    fn add(&mut self, user_ids: Vec<String>, asked: Asked) {
        let id = self.push(&asked.watcher, Change::Add(WatchAdd { user_ids }));
        self.asked.insert(id, asked);
    }

    fn push(&mut self, watcher: &UserId, change: Change) -> u64 {
        self.next_id += 1;
        let context = RequestContext {
            on_behalf_of: watcher.as_str().to_owned(),
            correlation_id: self.next_id,
            ..RequestContext::default()
        };
        self.queue.push_back(WatchRequest { context: Some(context), request: Some(change) });
        self.next_id
    }
}

impl Waiting {
    /// Answers with the snapshot.
    pub(crate) fn answer(self, presences: Vec<Presence>) {
        self.member.session().note_presences(&presences);
        let reply = Answer::WatchPresence(WatchedPresence { presences });
        self.finish(&frames::reply(self.under_way.id, Some(reply)));
    }

    /// The session watches as before.
    pub(crate) fn refuse(self, watches: &Watches, error: &Error) {
        self.user.unwatch(&self.member, &self.added, |ended| watches.end(self.user.id(), &ended));
        self.finish(&frames::error(self.under_way.id, error));
    }

    fn finish(&self, frame: &ServerFrame) {
        let frame = self.member.encoding().encode(frame);
        let mut session = self.member.session();
        session.answer(&self.under_way, frame);
        self.member.wake(&mut session);
    }
}

/// While the stream is broken.
pub(crate) fn unavailable() -> Error {
    Error::new(Reason::StoreUnavailable, "the presence service cannot be reached").with_outcome(Outcome::NotAttempted)
}
