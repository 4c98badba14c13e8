//! Tells the conversation service which conversations have new messages, so that lists can be ordered by it. A hint: what
//! is lost here is corrected by the next message. At most one call per conversation in each interval, the latest one
//! never left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Request;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::Error;
use viberchat_kit::id::ConversationId;
use viberchat_kit::lifecycle;
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_proto::conversation::v1::RecordActivityRequest;
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;

use crate::domain::entry::{Body, Entry};

const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the first message of a direct waits for the peer to hear of it.
const ANNOUNCE_WAIT_MAX: Duration = Duration::from_secs(1);
const ANNOUNCE_TRIES_MAX: u32 = 6;
const ANNOUNCE_RETRY_AFTER: Duration = Duration::from_millis(500);
/// Conversations that are remembered. Beyond it, new ones are told of at once and not remembered.
const CONVERSATIONS_MAX: usize = 100_000;

/// The newest message of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    /// The conversation.
    pub(crate) conversation_id: ConversationId,
    /// Its place.
    pub(crate) seq: u64,
    /// Its time.
    pub(crate) time: Timestamp,
}

struct Told {
    at: Instant,
    /// Came since.
    later: Option<Newest>,
}

/// Tells the conversation service of new messages.
pub(crate) struct Activity {
    client: ConversationServiceClient<Channel>,
    told: Mutex<HashMap<ConversationId, Told>>,
    interval: Duration,
    lifecycle: lifecycle::Handle,
}

impl Activity {
    /// Calls at most once per conversation and `interval`.
    pub(crate) fn new(conversation: Channel, interval: Duration, lifecycle: lifecycle::Handle) -> Self {
        let client = ConversationServiceClient::new(conversation);
        Self { client, told: Mutex::default(), interval, lifecycle }
    }

    /// These entries are new. Does not wait.
    pub(crate) fn note(self: &Arc<Self>, entries: &[Arc<Entry>]) {
        let Some(newest) = entries.iter().rev().find_map(|entry| Newest::of(entry)) else { return };
        if self.is_due(newest) {
            self.lifecycle.spawn("message-activity", tell(self.clone(), newest));
        }
    }

    fn is_due(&self, newest: Newest) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock();
        match told.get_mut(&newest.conversation_id) {
            Some(told) if now.saturating_duration_since(told.at) < self.interval => {
                told.later = Some(newest);
                false
            }
            Some(told) => {
                *told = Told { at: now, later: None };
                true
            }
            None => {
                if told.len() < CONVERSATIONS_MAX {
                    told.insert(newest.conversation_id, Told { at: now, later: None });
                }
                true
            }
        }
    }

    /// What is due now of what was held back. Forgets conversations that have been quiet for the interval.
    fn take_due(&self, now: Instant) -> Vec<Newest> {
        let mut due = Vec::new();
        self.told.lock().retain(|_, told| {
            if now.saturating_duration_since(told.at) < self.interval {
                return true;
            }
            let Some(newest) = told.later.take() else { return false };
            told.at = now;
            due.push(newest);
            true
        });
        due
    }

    /// Tells what was held back, until the process ends.
    pub(crate) async fn run(self: Arc<Self>) {
        let soft = self.lifecycle.soft();
        let mut ticks = tokio::time::interval(self.interval / 4);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel safe: a tick that is not waited for comes again.
            tokio::select! {
                () = soft.cancelled() => return,
                _ = ticks.tick() => {}
            }
            for newest in self.take_due(Instant::now()) {
                tell(self.clone(), newest).await;
            }
        }
    }

    /// The first message of a direct: its peer's list shows the conversation from now on. Waits for that at most
    /// a second; it goes on in the background.
    pub(crate) async fn announce(self: &Arc<Self>, newest: Newest) {
        let this = self.clone();
        let announcing = self.lifecycle.spawn("message-announce", async move {
            for attempt in 1..=ANNOUNCE_TRIES_MAX {
                if this.call(newest).await.is_ok() {
                    return;
                }
                tokio::time::sleep(ANNOUNCE_RETRY_AFTER * attempt).await;
            }
            tracing::warn!(conversation = %newest.conversation_id, "a first message could not be announced");
        });
        // Late or not, the message is stored.
        let _ = tokio::time::timeout(ANNOUNCE_WAIT_MAX, announcing).await;
    }

    async fn call(&self, newest: Newest) -> Result<(), Error> {
        let request = RecordActivityRequest {
            conversation_id: newest.conversation_id.to_string(),
            seq: newest.seq,
            time: Some(newest.time.to_proto()),
        };
        let request = with_deadline(Request::new(request), CALL_TIMEOUT);
        let mut client = self.client.clone();
        match tokio::time::timeout(CALL_TIMEOUT, client.record_activity(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(Error::from_status(&status)),
            Err(_) => Err(crate::error::too_late()),
        }
    }
}

async fn tell(activity: Arc<Activity>, newest: Newest) {
    if let Err(error) = activity.call(newest).await {
        tracing::debug!(reason = %error.reason, conversation = %newest.conversation_id, "activity not recorded");
    }
}

impl Newest {
    /// `None`: the entry is no message.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let is_message = matches!(entry.body, Body::Message(_));
        is_message.then_some(Self { conversation_id: entry.conversation_id, seq: entry.seq, time: entry.create_time })
    }
}
