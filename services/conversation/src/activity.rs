//! Newest messages, many to a commit.
//!
//! One write is under way; what arrives meanwhile forms the next. A call returns after the commit of its own. The task
//! that writes lives as long as there is something to write.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use viberchat_kit::clock::SharedClock;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::ConversationId;
use viberchat_kit::lifecycle::Handle;

use crate::domain::Activity;
use crate::store::ConversationStore;
use crate::watch::Wake;

/// Calls that may wait; more are refused at once.
const WAITING_MAX: usize = 1_024;
/// Activities in one commit.
const BATCH_MAX: usize = 64;

/// Cheap to clone.
pub(crate) struct ActivityWriter<S>(Arc<Inner<S>>);

impl<S> Clone for ActivityWriter<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S> {
    store: S,
    clock: SharedClock,
    wake: Wake,
    lifecycle: Handle,
    /// Filled by calls, emptied by the task.
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether there is a task.
    writing: bool,
}

struct Waiting {
    conversation: ConversationId,
    activity: Activity,
    answer: oneshot::Sender<Result<bool>>,
}

impl<S: ConversationStore> ActivityWriter<S> {
    pub(crate) fn new(store: S, clock: SharedClock, wake: Wake, lifecycle: Handle) -> Self {
        Self(Arc::new(Inner { store, clock, wake, lifecycle, queue: Mutex::default() }))
    }

    /// Notes a newest message. `false`: there is no such conversation.
    ///
    /// # Errors
    /// When the store cannot be reached, or too many wait for it.
    pub(crate) async fn record(&self, conversation: ConversationId, activity: Activity) -> Result<bool> {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.0.queue.lock();
            if queue.waiting.len() >= WAITING_MAX {
                return Err(Error::new(Reason::StoreUnavailable, "too many activities are waiting"));
            }
            queue.waiting.push_back(Waiting { conversation, activity, answer });
            if !std::mem::replace(&mut queue.writing, true) {
                let writing = Writing(self.clone());
                self.0.lifecycle.spawn("conversation.activity", async move { writing.write_all().await });
            }
        }
        answered.await.map_err(|_| Error::internal("the task that writes activities has ended"))?
    }
}

/// The task's hold on the queue.
struct Writing<S>(ActivityWriter<S>);

impl<S> Drop for Writing<S> {
    fn drop(&mut self) {
        // A task that ended in order has said so under the lock, and another one may write already.
        if std::thread::panicking() {
            self.0.0.queue.lock().writing = false;
        }
    }
}

impl<S: ConversationStore> Writing<S> {
    async fn write_all(&self) {
        let inner = &self.0.0;
        loop {
            let batch: Vec<_> = {
                let mut queue = inner.queue.lock();
                let count = queue.waiting.len().min(BATCH_MAX);
                if count == 0 {
                    queue.writing = false;
                    return;
                }
                queue.waiting.drain(..count).collect()
            };
            let activities: Vec<_> = batch.iter().map(|waiting| (waiting.conversation, waiting.activity)).collect();
            let answers = match inner.store.record_activity(&activities, inner.clock.now()).await {
                Ok(known) => known.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(Error::from(error)); batch.len()],
            };
            // Not said to others: there are as many of these as messages, and a new direct is found soon enough.
            inner.wake.wake_here();
            for (waiting, answer) in batch.into_iter().zip(answers) {
                // The call may have gone away.
                let _ = waiting.answer.send(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use viberchat_proto::conversation::v1::RecordActivityRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use crate::testing::{Fault, START, TestService, by_service, reason};

    use super::*;

    #[tokio::test]
    async fn a_failure_is_told_to_each_call_and_the_next_ones_are_written() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let activity =
            |seq| RecordActivityRequest { conversation_id: id.to_string(), seq, time: Some(START.to_proto()) };
        service.faults.set("record_activity", Some(Fault::Unavailable));
        let calls = (2..5).map(|seq| service.api.record_activity(by_service(activity(seq))));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(reason(answer), Reason::StoreUnavailable);
        }
        service.faults.set("record_activity", None);
        service.api.record_activity(by_service(activity(5))).await.unwrap();
    }

    #[tokio::test]
    async fn more_calls_than_may_wait_are_refused_at_once() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let writer = &service.state.activity;
        // All are queued before the task gets to run.
        let calls = (0..WAITING_MAX + 10).map(|seq| writer.record(id, Activity { seq: seq as u64, at: START }));
        let answers = futures::future::join_all(calls).await;
        let refused = |answer: &&Result<bool>| answer.as_ref().is_err_and(|e| e.reason == Reason::StoreUnavailable);
        assert_eq!(answers.iter().filter(refused).count(), 10);
        assert_eq!(answers.iter().filter(|answer| answer == &&Ok(true)).count(), WAITING_MAX);
    }
}
