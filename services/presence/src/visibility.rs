//! Who may see whom: those who share a conversation, as the conversation service says, remembered for a moment.
//!
//! Rules
//! - An answer counts from when it was *asked*, and serves new questions for [`FRESH`]: a removal shows that soon.
//! - Refusals are not kept: who has just come into a conversation sees the others at once.
//! - When the conversation service does not answer, those who could see each other go on for a minute at most, and nobody
//!   else sees anybody.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, timeout};
use tonic::Request;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::fault;
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_proto::conversation::v1::BatchCheckSharedRequest;
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;

use crate::config::Config;
use crate::error::conversation_service_unavailable;
use crate::metrics::ServiceMetrics;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// Users of one question.
const USERS_MAX: usize = 200;
/// Questions about one user at once.
const QUESTIONS_AT_ONCE: usize = 4;

/// Asks the conversation service, and remembers.
pub(crate) struct Visibility {
    client: ConversationServiceClient<Channel>,
    /// When it was asked whether the first may see the second; they may.
    known: moka::future::Cache<(UserId, UserId), Instant>,
    fresh: Duration,
    timeout: Duration,
    metrics: ServiceMetrics,
}

/// Who of those asked about may be seen, and when that was asked.
pub(crate) type Visible = HashMap<UserId, Instant>;

impl Visibility {
    /// Knows nothing yet.
    pub(crate) fn new(conversation: Channel, config: &Config, metrics: ServiceMetrics) -> Self {
        let fresh = Duration::from_millis(config.visibility_ms);
        let known =
            moka::future::Cache::builder().max_capacity(u64::from(config.visibilities_max)).time_to_live(fresh).build();
        let client = ConversationServiceClient::new(conversation);
        Self { client, known, fresh, timeout: config.call_timeout(), metrics }
    }

    /// How long who could see somebody goes on without an answer.
    pub(crate) fn fresh(&self) -> Duration {
        self.fresh
    }

    /// Whom of `others` the user may see: what is known and fresh, and for the rest a question; without an answer what was
    /// known.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when a question gets no answer.
    pub(crate) async fn visible(&self, user: &UserId, others: &[UserId], wait: Duration) -> Result<Visible> {
        let mut visible = Visible::new();
        let (mut unknown, mut known) = (Vec::new(), Visible::new());
        for other in others {
            match self.known.get(&(user.clone(), other.clone())).await {
                Some(asked_at) if asked_at.elapsed() < FRESH.min(self.fresh) => {
                    visible.insert(other.clone(), asked_at);
                    continue;
                }
                Some(asked_at) if asked_at.elapsed() < self.fresh => drop(known.insert(other.clone(), asked_at)),
                _ => {}
            }
            unknown.push(other.clone());
        }
        match self.ask(user, &unknown, wait).await {
            Ok(answered) => visible.extend(answered),
            Err(_) if unknown.iter().all(|other| known.contains_key(other)) => visible.extend(known),
            Err(error) => return Err(error),
        }
        Ok(visible)
    }

    /// Asks, whatever is known.
    ///
    /// # Errors
    /// As [`Visibility::visible`].
    pub(crate) async fn ask(&self, user: &UserId, others: &[UserId], wait: Duration) -> Result<Visible> {
        let asked_at = Instant::now();
        let (oneself, others): (Vec<_>, Vec<_>) = others.iter().partition(|other| *other == user);
        let wait = wait.min(self.timeout);
        let questions = others.chunks(USERS_MAX).map(|chunk| self.question(user, chunk, wait)).collect::<Vec<_>>();
        let answers: Vec<_> = futures::stream::iter(questions).buffered(QUESTIONS_AT_ONCE).try_collect().await?;
        let shared: HashSet<String> = answers.into_iter().flatten().collect();
        let mut visible: Visible = oneself.into_iter().map(|oneself| (oneself.clone(), asked_at)).collect();
        for other in others {
            let pair = (user.clone(), other.clone());
            if shared.contains(other.as_str()) || fault::mutant("presence_shown_to_strangers") {
                self.known.insert(pair, asked_at).await;
                visible.insert(other.clone(), asked_at);
            } else {
                self.known.invalidate(&pair).await;
            }
        }
        Ok(visible)
    }

    async fn question(&self, user: &UserId, others: &[&UserId], wait: Duration) -> Result<Vec<String>> {
        self.metrics.questions.inc();
        let request = BatchCheckSharedRequest {
            user_id: user.to_string(),
            other_user_ids: others.iter().map(ToString::to_string).collect(),
        };
        let request = with_deadline(Request::new(request), wait);
        let mut client = self.client.clone();
        // The server ends the call at the deadline; a network may lose even that.
        let failed = match timeout(wait, client.batch_check_shared(request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner().shared_user_ids),
            Ok(Err(status)) => Error::from_status(&status).reason.as_str(),
            Err(_) => "no answer in time",
        };
        self.metrics.unanswered_questions.inc();
        tracing::warn!(failed, "it could not be asked who may see whom");
        Err(conversation_service_unavailable())
    }
}
