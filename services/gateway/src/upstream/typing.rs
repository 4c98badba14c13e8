//! The one WatchTyping stream: who types in the directs of this gateway's users, and in the groups that are on a screen.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::Error;
use viberchat_kit::id::ConversationId;
use viberchat_proto::presence::v1::watch_typing_request::Request as Change;
use viberchat_proto::presence::v1::watch_typing_response::Push;
use viberchat_proto::presence::v1::{TypingChange, WatchTypingAdd, WatchTypingRemove, WatchTypingRequest};
use viberchat_proto::types::v1::RequestContext;

use super::retry::Backoff;
use super::{SILENCE_MAX, Upstream, refused};
use crate::fanout::{Registry, Wish};
use crate::metrics::GatewayMetrics;

/// Conversations of one request.
const REQUEST_CONVERSATIONS_MAX: usize = 200;

/// Those who type and are remembered, so that nobody types for ever when the stream breaks. Clients end typing by
/// themselves after 6 s for the others.
const TYPING_MAX: usize = 10_000;

/// Follows what the registry wishes, until `end`.
pub(crate) async fn run(registry: Arc<Registry>, upstream: Upstream, metrics: GatewayMetrics, end: CancellationToken) {
    let mut backoff = Backoff::default();
    // Cancel safe: a stream that is dropped half-way is what opening it anew is for.
    let forever = async {
        loop {
            let is_over = Arc::new(AtomicBool::new(false));
            registry.typing_wishes.begin_anew(|| registry.typing_topics());
            let feed = Feed { registry: registry.clone(), is_over: is_over.clone(), correlation_id: 0 };
            let mut follow = Follow { registry: &registry, metrics: &metrics, typing: HashSet::new() };
            let error = follow.run(&upstream, feed, &mut backoff).await;
            is_over.store(true, Ordering::Release);
            follow.end_all();
            if backoff.is_first() {
                tracing::warn!(%error, "the stream of typing broke");
            }
            tokio::time::sleep(backoff.next()).await;
        }
    };
    let _ended = end.run_until_cancelled(forever).await;
}

struct Follow<'a> {
    registry: &'a Registry,
    metrics: &'a GatewayMetrics,
    typing: HashSet<(ConversationId, String)>,
}

impl Follow<'_> {
    async fn run(&mut self, upstream: &Upstream, feed: Feed, backoff: &mut Backoff) -> Error {
        let opened = timeout(upstream.timeout, upstream.presence.clone().watch_typing(feed)).await;
        let mut stream = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return refused(status),
            Err(_) => return super::pump::late(),
        };
        loop {
            let push = match timeout(SILENCE_MAX, stream.message()).await {
                Ok(Ok(Some(response))) => response.push,
                Ok(Err(status)) => return refused(status),
                Ok(Ok(None)) | Err(_) => return super::pump::late(),
            };
            match push {
                Some(Push::Change(change)) => self.take(change),
                Some(Push::Refused(refusal)) => {
                    let reason = refusal.error.as_ref().map_or("", |error| error.reason.as_str());
                    tracing::debug!(reason, "typing is not followed");
                }
                Some(Push::Heartbeat(_)) | None => {}
            }
            backoff.reset();
        }
    }

    fn take(&mut self, change: TypingChange) {
        let Ok(conversation) = ConversationId::parse(&change.conversation_id) else { return };
        self.tell(conversation, &change.user_id, change.typing);
        let who = (conversation, change.user_id);
        if !change.typing {
            self.typing.remove(&who);
        } else if self.typing.len() < TYPING_MAX {
            self.typing.insert(who);
        }
    }

    /// Nobody knows any more who types.
    fn end_all(&mut self) {
        for (conversation, user_id) in std::mem::take(&mut self.typing) {
            self.tell(conversation, &user_id, false);
        }
    }

    fn tell(&self, conversation: ConversationId, user_id: &str, typing: bool) {
        let shed = self.registry.typing(conversation, user_id, typing);
        self.metrics.typing_shed.inc_by(shed);
    }
}

/// The requests of one stream. Ends with it, so that it takes no wish from its successor.
struct Feed {
    registry: Arc<Registry>,
    is_over: Arc<AtomicBool>,
    correlation_id: u64,
}

impl Stream for Feed {
    type Item = WatchTypingRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchTypingRequest>> {
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        let text = |ids: Vec<ConversationId>| ids.iter().map(ToString::to_string).collect();
        let change = match ready!(self.registry.typing_wishes.poll_take(cx, REQUEST_CONVERSATIONS_MAX)) {
            Wish::Add(ids) => Change::Add(WatchTypingAdd { conversation_ids: text(ids) }),
            Wish::Remove(ids) => Change::Remove(WatchTypingRemove { conversation_ids: text(ids) }),
        };
        self.correlation_id += 1;
        let context = RequestContext { correlation_id: self.correlation_id, ..RequestContext::default() };
        Poll::Ready(Some(WatchTypingRequest { context: Some(context), request: Some(change) }))
    }
}
