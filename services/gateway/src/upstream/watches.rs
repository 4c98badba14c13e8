//! The one Watch stream: the presence of those whom this gateway's users follow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::Error;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::{Presence, WatchRequest, WatchResponse};

use super::retry::Backoff;
use super::{SILENCE_MAX, Upstream, refused};
use crate::fanout::{Asked, Registry, presence_unavailable};

/// Without the service for this long, what was known of users is not known any more.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// Follows whom the registry's sessions watch, until `end`.
pub(crate) async fn run(registry: Arc<Registry>, upstream: Upstream, end: CancellationToken) {
    let mut backoff = Backoff::default();
    // Cancel safe: who waits for a stream that is dropped half-way is refused by `close`.
    let forever = async {
        let mut heard_at = Instant::now();
        let mut is_known = true;
        loop {
            let is_over = Arc::new(AtomicBool::new(false));
            registry.watches.begin_anew(|| registry.watched());
            let feed = Feed { registry: registry.clone(), is_over: is_over.clone() };
            let mut was_open = false;
            let error = follow(&registry, &upstream, feed, &mut backoff, &mut was_open).await;
            is_over.store(true, Ordering::Release);
            registry.watches.close();
            if backoff.is_first() {
                tracing::warn!(%error, "the stream of presence broke");
            }
            let now = Instant::now();
            if was_open {
                (heard_at, is_known) = (now, true);
            }
            if is_known && now.saturating_duration_since(heard_at) >= KNOWN_FOR {
                is_known = false;
                forget(&registry);
            }
            tokio::time::sleep(backoff.next()).await;
        }
    };
    let _ended = end.run_until_cancelled(forever).await;
    registry.watches.close();
}

async fn follow(
    registry: &Registry,
    upstream: &Upstream,
    feed: Feed,
    backoff: &mut Backoff,
    was_open: &mut bool,
) -> Error {
    let opened = timeout(upstream.timeout, upstream.presence.clone().watch(feed)).await;
    let mut stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    loop {
        match timeout(SILENCE_MAX, stream.message()).await {
            Ok(Ok(Some(response))) => take(registry, response),
            Ok(Err(status)) => return refused(status),
            Ok(Ok(None)) | Err(_) => return super::pump::late(),
        }
        *was_open = true;
        backoff.reset();
    }
}

fn take(registry: &Registry, response: WatchResponse) {
    match response.push {
        Some(Push::Snapshot(snapshot)) => match registry.watches.take(snapshot.correlation_id) {
            Some(Asked { waiting: Some(waiting), .. }) => waiting.answer(snapshot.presences),
            Some(Asked { watcher, waiting: None }) => {
                let show = |presence| registry.presence(watcher.as_str(), &Arc::new(presence));
                snapshot.presences.into_iter().for_each(show);
            }
            None => {}
        },
        Some(Push::Change(change)) => {
            if let Some(presence) = change.presence {
                registry.presence(&change.watcher_user_id, &Arc::new(presence));
            }
        }
        Some(Push::Refused(refusal)) => {
            let error = refusal.error.as_ref().map_or_else(presence_unavailable, Error::from_proto);
            match registry.watches.take(refusal.correlation_id) {
                Some(Asked { waiting: Some(waiting), .. }) => waiting.refuse(&registry.watches, &error),
                _ => tracing::debug!(%error, "presence is not followed"),
            }
        }
        Some(Push::Heartbeat(_)) | None => {}
    }
}

/// Nobody knows who is there: better said than shown as it was.
fn forget(registry: &Registry) {
    for (watcher, users) in registry.watched() {
        for user_id in users {
            registry.presence(watcher.as_str(), &Arc::new(Presence { user_id, ..Presence::default() }));
        }
    }
}

/// The requests of one stream. Ends with it, so that it takes none from its successor.
struct Feed {
    registry: Arc<Registry>,
    is_over: Arc<AtomicBool>,
}

impl Stream for Feed {
    type Item = WatchRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchRequest>> {
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        self.registry.watches.poll_request(cx).map(Some)
    }
}
