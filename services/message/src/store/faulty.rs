//! A store that fails, for tests: appends are delayed, refused before they are done, and done although they are said to have
//! timed out; reads are delayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::conformance::Backend;
use super::*;

/// Gives the handles of another backend, all faulty.
pub(crate) struct FaultyBackend<B>(pub(crate) B);

impl<B: Backend> Backend for FaultyBackend<B> {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(Faulty { inner: self.0.open().await, calls: AtomicU64::new(0) }) as Arc<dyn Store> }.boxed()
    }
}

/// A handle whose calls go wrong in turn.
struct Faulty {
    inner: Arc<dyn Store>,
    calls: AtomicU64,
}

impl Faulty {
    fn next(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Every third read is late.
    async fn late<T>(&self, read: BoxFuture<'_, Result<T>>) -> Result<T> {
        if self.next().is_multiple_of(3) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        read.await
    }
}

impl Store for Faulty {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended>> {
        async move {
            match self.next() % 5 {
                0 => self.inner.append(append).await,
                1 => {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    self.inner.append(append).await
                }
                2 => Err(StoreError::Unavailable("refused by the test".to_owned())),
                3 => match self.inner.append(append).await {
                    Ok(Appended::Stored) | Err(_) => {
                        Err(StoreError::OutcomeUnknown("timed out by the test".to_owned()))
                    }
                    answer => answer,
                },
                // Nothing was done, and nobody knows.
                _ => Err(StoreError::OutcomeUnknown("lost by the test".to_owned())),
            }
        }
        .boxed()
    }

    fn find_ids(
        &self,
        conversation_id: ConversationId,
        ids: Vec<WriteId>,
        after_seq: u64,
    ) -> BoxFuture<'_, Result<(Head, Vec<Option<Found>>)>> {
        self.late(self.inner.find_ids(conversation_id, ids, after_seq)).boxed()
    }

    fn find_version(&self, conversation_id: ConversationId, version: u64) -> BoxFuture<'_, Result<Option<u64>>> {
        self.late(self.inner.find_version(conversation_id, version)).boxed()
    }

    fn read_log(
        &self,
        conversation_id: ConversationId,
        after_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<LogSlice>> {
        self.late(self.inner.read_log(conversation_id, after_seq, limit)).boxed()
    }

    fn tail(&self, conversation_id: ConversationId, entries: usize) -> BoxFuture<'_, Result<LogSlice>> {
        self.late(self.inner.tail(conversation_id, entries)).boxed()
    }

    fn messages(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        range: MessageRange,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        self.late(self.inner.messages(conversation_id, viewer, range, limit)).boxed()
    }

    fn messages_at(
        &self,
        conversation_id: ConversationId,
        viewer: Option<UserId>,
        seqs: Vec<u64>,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        self.late(self.inner.messages_at(conversation_id, viewer, seqs)).boxed()
    }

    fn pins(
        &self,
        conversation_id: ConversationId,
        viewer: UserId,
        before_seq: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<MessageSlice>> {
        self.late(self.inner.pins(conversation_id, viewer, before_seq, limit)).boxed()
    }

    fn pin_count(&self, conversation_id: ConversationId) -> BoxFuture<'_, Result<(Head, u64)>> {
        self.late(self.inner.pin_count(conversation_id)).boxed()
    }

    fn find_reactions(
        &self,
        conversation_id: ConversationId,
        keys: Vec<ReactionKey>,
    ) -> BoxFuture<'_, Result<(Head, Vec<bool>)>> {
        self.late(self.inner.find_reactions(conversation_id, keys)).boxed()
    }

    fn heads(&self, conversation_ids: Vec<ConversationId>) -> BoxFuture<'_, Result<Vec<Head>>> {
        self.late(self.inner.heads(conversation_ids)).boxed()
    }

    fn overviews(
        &self,
        user: UserId,
        conversations: Vec<(ConversationId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<Overview>>> {
        self.late(self.inner.overviews(user, conversations)).boxed()
    }

    fn set_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> BoxFuture<'_, Result<PositionSet>> {
        self.late(self.inner.set_position(conversation_id, user, mark)).boxed()
    }

    fn positions(
        &self,
        conversation_id: ConversationId,
        after: Option<UserId>,
        items: usize,
    ) -> BoxFuture<'_, Result<PositionSlice>> {
        self.late(self.inner.positions(conversation_id, after, items)).boxed()
    }

    fn written_elsewhere(&self) -> BoxFuture<'_, Result<bool>> {
        self.late(self.inner.written_elsewhere()).boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.late(self.inner.ping()).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}
