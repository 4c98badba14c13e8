//! The one Subscribe stream: all entries and positions for all sockets of this gateway.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::Error;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::subscribe_request::Request as Change;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{
    LogEntry, SubscribeAdd, SubscribeRemove, SubscribeRequest, SubscribeResponse, SubscribeStart,
};
use viberchat_proto::types::v1::RequestContext;

use super::retry::{Backoff, Later};
use super::{SILENCE_MAX, Upstream, refused};
use crate::fanout::{Registry, Wish};

/// Conversations of one request.
const REQUEST_CONVERSATIONS_MAX: usize = 500;

/// Pushes that are handled together when they are there together.
const BATCH_MAX: usize = 256;

/// Follows what the registry wishes, until `end`.
pub(crate) async fn run(registry: Arc<Registry>, upstream: Upstream, end: CancellationToken) {
    let mut backoff = Backoff::default();
    // Cancel safe: a stream that is dropped half-way is what opening it anew is for.
    let forever = async {
        loop {
            let is_over = Arc::new(AtomicBool::new(false));
            registry.topic_wishes.begin_anew(|| registry.begin_following_anew());
            let feed = Feed { registry: registry.clone(), is_over: is_over.clone(), correlation_id: 0 };
            let error = follow(&registry, &upstream, feed, &mut backoff).await;
            is_over.store(true, Ordering::Release);
            tracing::warn!(%error, "the stream of entries broke");
            tokio::time::sleep(backoff.next()).await;
        }
    };
    let _ended = end.run_until_cancelled(forever).await;
}

async fn follow(registry: &Registry, upstream: &Upstream, feed: Feed, backoff: &mut Backoff) -> Error {
    let opened = timeout(upstream.timeout, upstream.message.clone().subscribe(feed)).await;
    let stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    let mut batches = stream.ready_chunks(BATCH_MAX);
    let mut later = Later::default();
    loop {
        // Cancel safe: a chunk is taken whole or not at all, and waiting takes nothing.
        let batch = tokio::select! {
            batch = timeout(SILENCE_MAX, batches.next()) => batch,
            () = later.wait() => {
                while let Some(conversation) = later.take_due(Instant::now()) {
                    registry.topic_wishes.add(conversation);
                }
                continue;
            }
        };
        let Ok(Some(batch)) = batch else { return super::pump::late() };
        let mut run = Run::default();
        for push in batch {
            match push {
                Ok(push) => take(registry, push, &mut run, &mut later),
                Err(status) => {
                    run.deliver(registry);
                    return refused(status);
                }
            }
        }
        run.deliver(registry);
        backoff.reset();
    }
}

/// Entries of one conversation that came one after the other.
#[derive(Default)]
struct Run {
    conversation: Option<ConversationId>,
    entries: Vec<LogEntry>,
}

impl Run {
    fn push(&mut self, registry: &Registry, entry: LogEntry) {
        let Ok(conversation) = ConversationId::parse(&entry.conversation_id) else { return };
        if self.conversation != Some(conversation) {
            self.deliver(registry);
            self.conversation = Some(conversation);
        }
        self.entries.push(entry);
    }

    fn deliver(&mut self, registry: &Registry) {
        if let Some(conversation) = self.conversation.take() {
            registry.deliver(conversation, std::mem::take(&mut self.entries));
        }
    }
}

fn take(registry: &Registry, response: SubscribeResponse, run: &mut Run, later: &mut Later<ConversationId>) {
    match response.push {
        Some(Push::Entry(entry)) => run.push(registry, entry),
        Some(Push::Position(position)) => {
            run.deliver(registry);
            registry.position(position);
        }
        Some(Push::Subscribed(subscribed)) => {
            run.deliver(registry);
            if let Ok(conversation) = ConversationId::parse(&subscribed.conversation_id) {
                // Entries between the two are on their way. Until they are here, who resumes is not complete.
                registry.topic_is_live(conversation, subscribed.head_seq.max(subscribed.after_seq));
            }
        }
        Some(Push::Unsubscribed(ended)) => {
            run.deliver(registry);
            if let (Some(error), Ok(conversation)) = (&ended.error, ConversationId::parse(&ended.conversation_id)) {
                tracing::debug!(%conversation, reason = %error.reason, "a conversation is not followed");
                later.push(Instant::now(), conversation);
            }
        }
        Some(Push::Heartbeat(_)) | None => {}
    }
}

/// The requests of one stream. Ends with it, so that it takes no wish from its successor.
struct Feed {
    registry: Arc<Registry>,
    is_over: Arc<AtomicBool>,
    correlation_id: u64,
}

impl Stream for Feed {
    type Item = SubscribeRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SubscribeRequest>> {
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        let change = match ready!(self.registry.topic_wishes.poll_take(cx, REQUEST_CONVERSATIONS_MAX)) {
            Wish::Add(ids) => {
                let start = |id: &ConversationId| SubscribeStart {
                    conversation_id: id.to_string(),
                    after_seq: self.registry.known_head(*id),
                };
                Change::Add(SubscribeAdd { conversations: ids.iter().map(start).collect() })
            }
            Wish::Remove(ids) => {
                Change::Remove(SubscribeRemove { conversation_ids: ids.iter().map(ToString::to_string).collect() })
            }
        };
        self.correlation_id += 1;
        let context = RequestContext { correlation_id: self.correlation_id, ..RequestContext::default() };
        Poll::Ready(Some(SubscribeRequest { context: Some(context), request: Some(change) }))
    }
}

#[cfg(test)]
mod tests {
    use viberchat_proto::message::v1::Subscribed;

    use super::*;
    use crate::fanout::tests::{conversation, group, join};

    /// Else a session that resumes before they come is told that it has everything.
    #[test]
    fn entries_that_a_new_stream_has_not_brought_yet_count_as_there() {
        let registry = Registry::default();
        let _alice = join(&registry, "alice");
        registry.snapshot("alice", &[group(1)], Instant::now());
        let conversation_id = conversation(1).to_string();
        let subscribed = Subscribed { conversation_id, after_seq: 2, head_seq: 3, ..Subscribed::default() };
        let response = SubscribeResponse { push: Some(Push::Subscribed(subscribed)) };
        take(&registry, response, &mut Run::default(), &mut Later::default());
        assert_eq!(registry.known_head(conversation(1)), Some(3));
    }
}
