//! The one WatchMemberships stream: which conversations the users of this gateway belong to.
//!
//! A stream that takes the place of a broken one resumes each user from the version up to which their memberships are known:
//! what was missed comes as changes, and the conversation service sends a snapshot only to whom that is not enough.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::UserId;
use viberchat_proto::conversation::v1::watch_memberships_request::Request as Change;
use viberchat_proto::conversation::v1::watch_memberships_response::Push;
use viberchat_proto::conversation::v1::{
    Membership, MembershipSnapshot, WatchMembershipsRequest, WatchMembershipsResponse, WatchMembershipsResume,
};
use viberchat_proto::types::v1::RequestContext;

use super::retry::{Backoff, Later};
use super::{SILENCE_MAX, Upstream, refused};
use crate::fanout::{Registry, Wish};

/// Wishes that are taken at once; each becomes a request of its own.
const WISHES_MAX: usize = 256;

/// Follows the users whom the registry wishes, until `end`. When nothing is heard for longer than `grace`, memberships
/// are not trusted until all are known again.
pub(crate) async fn run(registry: Arc<Registry>, upstream: Upstream, grace: Duration, end: CancellationToken) {
    let mut backoff = Backoff::default();
    // Cancel safe: a stream that is dropped half-way is what opening it anew is for.
    let forever = async {
        let mut heard_at = Instant::now();
        loop {
            let is_over = Arc::new(AtomicBool::new(false));
            let mut awaited = HashSet::new();
            registry.user_wishes.begin_anew(|| {
                let users = registry.user_ids();
                awaited.extend(users.iter().map(|user| user.as_str().to_owned()));
                users
            });
            let feed = Feed {
                registry: registry.clone(),
                is_over: is_over.clone(),
                taken: VecDeque::new(),
                correlation_id: 0,
            };
            let mut watch = Watch { awaited, pages: HashMap::new(), later: Later::default(), heard_at };
            let error = follow(&registry, &upstream, feed, &mut watch, &mut backoff).await;
            heard_at = watch.heard_at;
            is_over.store(true, Ordering::Release);
            tracing::warn!(%error, "the stream of memberships broke");
            tokio::time::sleep(backoff.next()).await;
            if Instant::now().saturating_duration_since(heard_at) > grace {
                registry.set_trusted(false);
            }
        }
    };
    let _ended = end.run_until_cancelled(forever).await;
}

/// What is known of one stream.
struct Watch {
    /// Users of whom nothing has come yet: no whole snapshot, and not that their resume goes on.
    awaited: HashSet<String>,
    /// Snapshots whose last page has not come.
    pages: HashMap<String, Vec<Membership>>,
    later: Later<UserId>,
    heard_at: Instant,
}

async fn follow(
    registry: &Registry,
    upstream: &Upstream,
    feed: Feed,
    watch: &mut Watch,
    backoff: &mut Backoff,
) -> Error {
    let opened = timeout(upstream.timeout, upstream.conversation.clone().watch_memberships(feed)).await;
    let mut stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    if watch.awaited.is_empty() {
        registry.set_trusted(true);
    }
    loop {
        // Cancel safe: a message is taken whole or not at all, and waiting takes nothing.
        let response = tokio::select! {
            response = timeout(SILENCE_MAX, stream.message()) => response,
            () = watch.later.wait() => {
                while let Some(user) = watch.later.take_due(Instant::now()) {
                    registry.user_wishes.add(user);
                }
                continue;
            }
        };
        match response {
            Ok(Ok(Some(response))) => watch.take(registry, response),
            // It lived until now; after a silence nobody knows how long it did.
            Ok(Err(status)) => {
                watch.heard_at = Instant::now();
                return refused(status);
            }
            Ok(Ok(None)) => {
                watch.heard_at = Instant::now();
                return super::pump::late();
            }
            Err(_) => return super::pump::late(),
        }
        backoff.reset();
    }
}

impl Watch {
    fn take(&mut self, registry: &Registry, response: WatchMembershipsResponse) {
        self.heard_at = Instant::now();
        match response.push {
            Some(Push::Snapshot(page)) => self.take_page(registry, page),
            Some(Push::Change(change)) => {
                let kind = change.kind();
                if let Some(membership) = &change.membership {
                    registry.change(&change.user_id, kind, membership, self.heard_at);
                }
                registry.set_membership_version(&change.user_id, change.membership_version);
            }
            // The changes that were missed come right after.
            Some(Push::Resumed(resumed)) => self.is_known(registry, &resumed.user_id),
            Some(Push::Heartbeat(heartbeat)) => {
                registry.note_membership_version_of_all(heartbeat.membership_version, &self.awaited);
            }
            Some(Push::Refused(refusal)) => {
                tracing::warn!(
                    reason = refusal.error.as_ref().map_or("", |error| error.reason.as_str()),
                    "a user's memberships are not followed"
                );
                let reason = refusal.error.as_ref().map(|error| Error::from_proto(error).reason);
                if reason == Some(Reason::UserNotFound) {
                    self.take_nobody(registry, &refusal.user_id);
                }
                if let Ok(user) = UserId::parse(&refusal.user_id) {
                    self.later.push(self.heard_at, user);
                }
            }
            None => {}
        }
    }

    fn take_page(&mut self, registry: &Registry, page: MembershipSnapshot) {
        let pages = self.pages.entry(page.user_id.clone()).or_default();
        pages.extend(page.memberships);
        if !page.last {
            return;
        }
        let memberships = self.pages.remove(&page.user_id).unwrap_or_default();
        registry.snapshot(&page.user_id, &memberships, self.heard_at);
        registry.set_membership_version(&page.user_id, page.membership_version);
        self.is_known(registry, &page.user_id);
    }

    /// A user who was deactivated, maybe while nothing was heard, is in no conversation. Nothing is resumed should they come
    /// back.
    fn take_nobody(&mut self, registry: &Registry, user_id: &str) {
        self.pages.remove(user_id);
        registry.snapshot(user_id, &[], self.heard_at);
        registry.set_membership_version(user_id, 0);
        self.is_known(registry, user_id);
    }

    fn is_known(&mut self, registry: &Registry, user_id: &str) {
        if self.awaited.remove(user_id) && self.awaited.is_empty() {
            registry.set_trusted(true);
        }
    }
}

/// The requests of one stream. Ends with it, so that it takes no wish from its successor.
struct Feed {
    registry: Arc<Registry>,
    is_over: Arc<AtomicBool>,
    taken: VecDeque<Change>,
    correlation_id: u64,
}

impl Stream for Feed {
    type Item = WatchMembershipsRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchMembershipsRequest>> {
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        if self.taken.is_empty() {
            let text = |user: UserId| user.as_str().to_owned();
            self.taken = match ready!(self.registry.user_wishes.poll_take(cx, WISHES_MAX)) {
                Wish::Add(users) => users.into_iter().map(|user| add_or_resume(&self.registry, text(user))).collect(),
                Wish::Remove(users) => users.into_iter().map(|user| Change::RemoveUserId(text(user))).collect(),
            };
        }
        let request = self.taken.pop_front();
        self.correlation_id += 1;
        let context = RequestContext { correlation_id: self.correlation_id, ..RequestContext::default() };
        Poll::Ready(Some(WatchMembershipsRequest { context: Some(context), request }))
    }
}

/// From where the user is known, or from nothing.
fn add_or_resume(registry: &Registry, user_id: String) -> Change {
    match registry.membership_version(&user_id) {
        Some(membership_version) => Change::Resume(WatchMembershipsResume { user_id, membership_version }),
        None => Change::AddUserId(user_id),
    }
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Outcome;
    use viberchat_proto::conversation::v1::MembershipRefusal;

    use super::*;
    use crate::fanout::tests::{conversations_of, group, join};

    #[tokio::test]
    async fn who_was_deactivated_while_nothing_was_heard_is_in_no_conversation() {
        let registry = Registry::default();
        let (bob, _member) = join(&registry, "bob");
        let now = Instant::now();
        registry.snapshot("bob", &[group(1), group(2)], now);
        registry.set_membership_version("bob", 7);
        assert_eq!(conversations_of(&bob), 2);
        let awaited = HashSet::from(["bob".to_owned()]);
        let mut watch = Watch { awaited, pages: HashMap::new(), later: Later::default(), heard_at: now };
        let error = Error::new(Reason::UserNotFound, "no such user").with_outcome(Outcome::NotAttempted).to_proto();
        let refused = MembershipRefusal { user_id: "bob".to_owned(), error: Some(error), ..Default::default() };
        watch.take(&registry, WatchMembershipsResponse { push: Some(Push::Refused(refused)) });
        assert!(conversations_of(&bob) == 0);
        assert!(watch.awaited.is_empty(), "the others need not wait for one who is gone");
        registry.note_membership_version_of_all(9, &watch.awaited);
        assert_eq!(registry.membership_version("bob"), None, "should they come back, everything is asked for");
    }
}
