//! Who belongs to a conversation, as the conversation service says, remembered for a moment.
//!
//! Rules
//! - An answer counts from when it was *asked*, and serves for [`FRESH`].
//! - Refusals are not kept.
//! - When the conversation service does not answer, members known go on for the grace time, and nobody else.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::{Request, Status};
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{AuthorizeMemberRequest, BatchAuthorizeMembersRequest};

use crate::config::Config;
use crate::convert;
use crate::error::{conversation_not_found, conversation_service_unavailable};
use crate::metrics::ServiceMetrics;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// Members of one question.
pub(crate) const BATCH_MAX: usize = 200;

/// One user in one conversation.
pub(crate) type Place = (ConversationId, UserId);

/// Asks the conversation service, and remembers.
pub(crate) struct Membership {
    client: ConversationServiceClient<Channel>,
    /// When it was asked; members only.
    known: moka::future::Cache<Place, Instant>,
    grace: Duration,
    timeout: Duration,
    metrics: ServiceMetrics,
}

impl Membership {
    /// Knows nothing yet.
    pub(crate) fn new(conversation: Channel, config: &Config, metrics: ServiceMetrics) -> Self {
        let grace = Duration::from_millis(config.authorization_grace_ms);
        let known = moka::future::Cache::builder()
            .max_capacity(u64::from(config.authorizations_max))
            .time_to_live(grace.max(FRESH))
            .build();
        let client = ConversationServiceClient::new(conversation);
        Self { client, known, grace, timeout: config.call_timeout(), metrics }
    }

    /// How long members go on without an answer.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Whether the user may take part in the conversation now.
    ///
    /// # Errors
    /// `CONVERSATION_NOT_FOUND`; `STORE_UNAVAILABLE` when the question gets no answer.
    pub(crate) async fn admit(&self, conversation: ConversationId, user: &UserId, wait: Duration) -> Result<()> {
        let place = (conversation, user.clone());
        let known = self.known.get(&place).await;
        if known.is_some_and(|asked_at| asked_at.elapsed() < FRESH) {
            return Ok(());
        }
        let asked_at = Instant::now();
        let wait = wait.min(self.timeout);
        let request = with_deadline(Request::new(question(&place)), wait);
        let mut client = self.client.clone();
        let asking = async { client.authorize_member(request).await.map(tonic::Response::into_inner) };
        match self.answer(asking, wait).await {
            Ok(answer) if convert::is_member(&answer) => {
                self.known.insert(place, asked_at).await;
                Ok(())
            }
            Ok(_) => {
                self.known.invalidate(&place).await;
                Err(conversation_not_found())
            }
            Err(_) if known.is_some_and(|asked_at| asked_at.elapsed() < self.grace) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks which of at most [`BATCH_MAX`] places are taken, whatever is known.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the question gets no answer.
    pub(crate) async fn ask(&self, places: &[Place], wait: Duration) -> Result<Vec<bool>> {
        let wait = wait.min(self.timeout);
        let request = BatchAuthorizeMembersRequest { requests: places.iter().map(question).collect() };
        let request = with_deadline(Request::new(request), wait);
        let mut client = self.client.clone();
        let asking = async { client.batch_authorize_members(request).await.map(tonic::Response::into_inner) };
        let answers = self.answer(asking, wait).await?.responses;
        // A missing answer is a no.
        Ok((0..places.len()).map(|index| answers.get(index).is_some_and(convert::is_member)).collect())
    }

    async fn answer<T>(
        &self,
        asking: impl Future<Output = std::result::Result<T, Status>>,
        wait: Duration,
    ) -> Result<T> {
        self.metrics.questions.inc();
        // The server ends the call at the deadline; a network may lose even that.
        let failed = match timeout(wait, asking).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => Error::from_status(&status).reason.as_str(),
            Err(_) => "no answer in time",
        };
        self.metrics.unanswered_questions.inc();
        tracing::warn!(failed, "it could not be asked who is a member");
        Err(conversation_service_unavailable())
    }
}

fn question((conversation, user): &Place) -> AuthorizeMemberRequest {
    AuthorizeMemberRequest { conversation_id: conversation.to_string(), user_id: user.to_string() }
}
