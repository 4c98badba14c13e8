//! Newest messages, many to a commit.
//!
//! One write is under way; what arrives meanwhile forms the next. A call returns after the commit of its own.

use tokio::sync::{mpsc, oneshot};
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

/// Cheap to clone; the task ends with the last clone.
#[derive(Clone)]
pub(crate) struct ActivityWriter(mpsc::Sender<Waiting>);

struct Waiting {
    conversation: ConversationId,
    activity: Activity,
    answer: oneshot::Sender<Result<bool>>,
}

impl ActivityWriter {
    pub(crate) fn start<S: ConversationStore>(store: S, clock: SharedClock, wake: Wake, lifecycle: &Handle) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING_MAX);
        let hard = lifecycle.hard();
        lifecycle.spawn("conversation.activity", async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            loop {
                tokio::select! {
                    () = hard.cancelled() => return,
                    received = waiting.recv_many(&mut batch, BATCH_MAX) => if received == 0 { return },
                }
                write(&store, &clock, std::mem::take(&mut batch)).await;
                wake.wake();
            }
        });
        Self(sender)
    }

    /// Notes a newest message. `false`: there is no such conversation.
    ///
    /// # Errors
    /// When the store cannot be reached, or too many wait for it.
    pub(crate) async fn record(&self, conversation: ConversationId, activity: Activity) -> Result<bool> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { conversation, activity, answer };
        let refused = |_| Error::new(Reason::StoreUnavailable, "too many activities are waiting");
        self.0.try_send(waiting).map_err(refused)?;
        let stopped = |_| Error::new(Reason::Draining, "the service is shutting down");
        answered.await.map_err(stopped)?
    }
}

async fn write<S: ConversationStore>(store: &S, clock: &SharedClock, batch: Vec<Waiting>) {
    let activities: Vec<_> = batch.iter().map(|waiting| (waiting.conversation, waiting.activity)).collect();
    let answers = match store.record_activity(&activities, clock.now()).await {
        Ok(known) => known.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(Error::from(error)); batch.len()],
    };
    for (waiting, answer) in batch.into_iter().zip(answers) {
        // The call may have gone away.
        let _ = waiting.answer.send(answer);
    }
}
