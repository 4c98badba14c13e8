//! Tells streams what changed in the memberships of the users that they follow.
//!
//! One task reads the numbered changes of the store, in commit order: as soon as this process has committed one, or another
//! one says so on the bus, and at short intervals for those of which nothing was heard. It resolves whom each concerns, and puts it into the queues of the
//! streams that follow these users. It keeps nothing about memberships.
//!
//! Nothing is lost between a snapshot and the live changes: a stream follows a user first and reads the number of the
//! newest change and the snapshot then. What was committed before it followed is in the snapshot; what came later is in
//! its queue; what is in both has a number up to that one, and is not said twice. A resume reads what was missed in the
//! place of a snapshot.
//!
//! Bounded: a stream whose queue is full is ended; its client opens it again and resumes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::UserId;
use viberchat_kit::lifecycle::Handle;

use crate::config::Config;
use crate::domain::Membership;
use crate::metrics::ServiceMetrics;
use crate::others::Others;
use crate::store::{
    Audience, ChangeId, ConversationStore, MembershipChangeKind, StoreError, StoredChange, StoredChangeKind,
};

/// Changes read at a time.
const CHANGES_MAX: usize = 512;
/// After this many failures one after another the streams are told that they may have missed something.
const FAILURES_MAX: u32 = 8;

/// Says that something was committed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Wake {
    news: Arc<Notify>,
    /// `None`: there is no bus.
    others: Option<Arc<Others>>,
}

impl Wake {
    /// Wakes the other instances, too.
    pub(crate) fn with(others: Option<Others>) -> Self {
        Self { others: others.map(Arc::new), ..Self::default() }
    }

    /// Something was committed here. Never waits; any number of calls before the next look count as one.
    pub(crate) fn wake(&self) {
        self.wake_here();
        if let Some(others) = &self.others {
            others.tell();
        }
    }

    /// Something may have been committed elsewhere.
    pub(crate) fn wake_here(&self) {
        self.news.notify_one();
    }

    /// Waits for either. Cancel safe.
    pub(crate) async fn wait(&self) {
        self.news.notified().await;
    }
}

/// What a followed user hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MembershipEvent {
    pub(crate) id: ChangeId,
    pub(crate) user: UserId,
    pub(crate) kind: MembershipChangeKind,
    /// After the change; before it, if the user was removed.
    pub(crate) membership: Membership,
}

/// Streams and whom they follow. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Shared>);

struct Shared {
    metrics: ServiceMetrics,
    queue_max: usize,
    users_max: usize,
    /// The newest change that is in every queue it belongs to. Written by the task, read by the streams.
    dispatched: AtomicU64,
    /// Written by the streams, read by the task.
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    next_stream: u64,
    streams: HashMap<u64, Stream>,
    followers: HashMap<UserId, Vec<u64>>,
}

struct Stream {
    queue: mpsc::Sender<MembershipEvent>,
    /// Cancelled when the stream has missed something.
    broken: CancellationToken,
    users: usize,
}

impl Hub {
    pub(crate) fn new(config: &Config, metrics: ServiceMetrics) -> Self {
        Self(Arc::new(Shared {
            metrics,
            queue_max: config.watch_queue_max as usize,
            users_max: config.watch_users_max as usize,
            dispatched: AtomicU64::new(0),
            registry: Mutex::default(),
        }))
    }

    /// A stream that follows nobody yet.
    pub(crate) fn open(&self) -> Follower {
        let (sender, events) = mpsc::channel(self.0.queue_max);
        let broken = CancellationToken::new();
        let mut registry = self.0.registry.lock();
        let stream = registry.next_stream;
        registry.next_stream += 1;
        registry.streams.insert(stream, Stream { queue: sender, broken: broken.clone(), users: 0 });
        self.0.metrics.watch_streams.inc();
        Follower { hub: self.clone(), stream, events, broken }
    }

    fn follows(&self, user: &UserId) -> bool {
        self.0.registry.lock().followers.contains_key(user)
    }

    fn is_idle(&self) -> bool {
        self.0.registry.lock().followers.is_empty()
    }

    fn push(&self, event: &MembershipEvent) {
        let registry = self.0.registry.lock();
        for stream in registry.followers.get(&event.user).into_iter().flatten() {
            let stream = &registry.streams[stream];
            if !stream.broken.is_cancelled() && stream.queue.try_send(event.clone()).is_err() {
                self.0.metrics.slow_streams.inc();
                stream.broken.cancel();
            }
        }
    }

    /// How many streams there are.
    #[cfg(test)]
    pub(crate) fn open_streams(&self) -> usize {
        self.0.registry.lock().streams.len()
    }

    /// Everything up to `id` is in the queues.
    fn set_dispatched(&self, id: ChangeId) {
        self.0.dispatched.store(id.0, Ordering::Release);
    }

    fn break_all(&self) {
        for stream in self.0.registry.lock().streams.values() {
            stream.broken.cancel();
        }
    }
}

/// A stream's end of the hub. Follows nobody any more when dropped.
pub(crate) struct Follower {
    hub: Hub,
    stream: u64,
    events: mpsc::Receiver<MembershipEvent>,
    broken: CancellationToken,
}

impl Follower {
    /// From now on changes of this user are queued. Repeats without harm.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when the stream follows as many as it may.
    pub(crate) fn follow(&self, user: &UserId) -> Result<(), Error> {
        let users_max = self.hub.0.users_max;
        let mut registry = self.hub.0.registry.lock();
        let Registry { streams, followers, .. } = &mut *registry;
        let Some(stream) = streams.get_mut(&self.stream) else { return Ok(()) };
        let streams_of_user = followers.entry(user.clone()).or_default();
        if streams_of_user.contains(&self.stream) {
            return Ok(());
        }
        if stream.users >= users_max {
            if streams_of_user.is_empty() {
                followers.remove(user);
            }
            return Err(Error::new(Reason::LimitExceeded, format!("at most {users_max} users on a stream"))
                .with_metadata("limit", "watch_users_max")
                .with_metadata("max", users_max.to_string()));
        }
        streams_of_user.push(self.stream);
        stream.users += 1;
        self.hub.0.metrics.watched_users.inc();
        Ok(())
    }

    /// From now on nothing of this user is queued; what is in the queue comes still.
    pub(crate) fn unfollow(&self, user: &UserId) {
        let mut registry = self.hub.0.registry.lock();
        let Registry { streams, followers, .. } = &mut *registry;
        let (Some(stream), Some(streams_of_user)) = (streams.get_mut(&self.stream), followers.get_mut(user)) else {
            return;
        };
        let Some(index) = streams_of_user.iter().position(|stream| *stream == self.stream) else { return };
        streams_of_user.swap_remove(index);
        if streams_of_user.is_empty() {
            followers.remove(user);
        }
        stream.users -= 1;
        self.hub.0.metrics.watched_users.dec();
    }

    /// The next change. `None`: the stream has missed one and is to end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<MembershipEvent> {
        tokio::select! {
            biased;
            () = self.broken.cancelled() => None,
            event = self.events.recv() => event,
        }
    }

    /// The number up to which every change of the followed users is in the queue, or has been taken from it.
    pub(crate) fn dispatched(&self) -> ChangeId {
        ChangeId(self.hub.0.dispatched.load(Ordering::Acquire))
    }

    /// The changes that wait by now, and no later ones; none if the stream has missed one.
    pub(crate) fn take_waiting(&mut self) -> Vec<MembershipEvent> {
        if self.broken.is_cancelled() {
            return Vec::new();
        }
        let waiting = self.events.len();
        (0..waiting).map_while(|_| self.events.try_recv().ok()).collect()
    }

    /// Cancelled when the stream has missed a change.
    pub(crate) fn broken(&self) -> CancellationToken {
        self.broken.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut registry = self.hub.0.registry.lock();
        let Some(stream) = registry.streams.remove(&self.stream) else { return };
        if stream.users > 0 {
            registry.followers.retain(|_, streams| {
                streams.retain(|stream| *stream != self.stream);
                !streams.is_empty()
            });
        }
        self.hub.0.metrics.watch_streams.dec();
        self.hub.0.metrics.watched_users.dec_by(i64::try_from(stream.users).unwrap_or(i64::MAX));
    }
}

/// The task that reads the changes of the store.
pub(crate) struct Watcher<S> {
    store: S,
    hub: Hub,
    wake: Wake,
    poll: Duration,
    cursor: ChangeId,
    failures: u32,
}

impl<S: ConversationStore> Watcher<S> {
    /// Hears of everything that is committed from now on.
    pub(crate) async fn new(store: S, hub: Hub, wake: Wake, config: &Config) -> Result<Self, StoreError> {
        let cursor = store.newest_change().await?;
        hub.set_dispatched(cursor);
        Ok(Self { store, hub, wake, poll: Duration::from_millis(config.watch_poll_ms), cursor, failures: 0 })
    }

    pub(crate) fn start(mut self, lifecycle: &Handle) {
        let soft = lifecycle.soft();
        lifecycle.spawn("conversation.watcher", async move {
            loop {
                tokio::select! {
                    // The streams end then, too.
                    () = soft.cancelled() => return,
                    () = self.wake.wait() => {}
                    () = tokio::time::sleep(self.poll) => {}
                }
                self.look().await;
            }
        });
    }

    async fn look(&mut self) {
        match self.read_on().await {
            Ok(()) => self.failures = 0,
            Err(error) => {
                self.failures += 1;
                tracing::warn!(%error, "changes of memberships could not be read");
                if self.failures >= FAILURES_MAX {
                    self.failures = 0;
                    // Silence would look like nothing had changed.
                    self.hub.break_all();
                }
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        loop {
            let Some(changes) = self.store.changes_after(self.cursor, CHANGES_MAX).await? else {
                tracing::warn!("changes of memberships were pruned before they were read");
                // In this order: whoever follows from before the new cursor is told, and before anybody could take it
                // that they have heard of what was skipped.
                self.cursor = self.store.newest_change().await?;
                self.hub.break_all();
                self.hub.set_dispatched(self.cursor);
                return Ok(());
            };
            if changes.is_empty() {
                return Ok(());
            }
            for change in changes {
                let id = change.id;
                if !self.hub.is_idle() {
                    self.dispatch(change).await?;
                }
                self.cursor = id;
                self.hub.set_dispatched(id);
            }
        }
    }

    async fn dispatch(&self, change: StoredChange) -> Result<(), StoreError> {
        let StoredChange { id, conversation, version, kind } = change;
        let (kind, audience) = match kind {
            StoredChangeKind::Removed(user, role, conversation_kind) => {
                let membership = Membership { conversation, kind: conversation_kind, role, version };
                self.hub.push(&MembershipEvent { id, user, kind: MembershipChangeKind::Removed, membership });
                return Ok(());
            }
            StoredChangeKind::Joined => (MembershipChangeKind::Added, Audience::JoinedAt(version)),
            StoredChangeKind::Added(user) => (MembershipChangeKind::Added, Audience::User(user)),
            StoredChangeKind::Changed => (MembershipChangeKind::Changed, Audience::Everybody),
            StoredChangeKind::ChangedFor(user) => (MembershipChangeKind::Changed, Audience::User(user)),
        };
        if matches!(&audience, Audience::User(user) if !self.hub.follows(user)) {
            return Ok(());
        }
        let Some(readers) = self.store.readers(conversation, &audience).await? else { return Ok(()) };
        for (user, role) in readers.members {
            let membership = Membership { conversation, kind: readers.kind, role, version: readers.version };
            self.hub.push(&MembershipEvent { id, user, kind, membership });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
