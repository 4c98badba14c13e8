//! Who may do what, as the conversation service says, kept for a moment.
//!
//! Rules
//! - An answer counts from when it was *asked*, and serves for [`FRESH`]: so a removal stops a user within that time.
//! - Refusals are not kept: who has just been added is not refused by an old answer.
//! - One question at a time per (conversation, user); who needs the answer waits for the same one.
//! - When the conversation service does not answer, members known go on for the grace time, and nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Request;
use viberchat_kit::error::{Error, Outcome, Reason, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_kit::{fault, lifecycle};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{AuthorizeMemberRequest, AuthorizeMemberResponse};

use crate::convert;
use crate::domain::membership::{Role, Standing};
use crate::error;
use crate::metrics::AuthorizeMetrics;

/// How old an answer may be.
pub(crate) const FRESH: Duration = Duration::from_secs(1);
/// From this age on an answer that is used is asked for again in the background, so that a busy user never waits.
const REFRESH_AFTER: Duration = Duration::from_millis(600);
/// How long a question may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question is waited for by those whose old answer may serve.
const PATIENCE: Duration = Duration::from_millis(300);
/// After a question without an answer, old answers serve for this long before the next one is waited for.
const GRACE_STEP: Duration = Duration::from_millis(500);

type Key = (ConversationId, UserId);
type Asking = Shared<BoxFuture<'static, Result<Known>>>;

/// What a user may do, for now.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What the conversation service said.
    pub(crate) standing: Arc<Standing>,
    /// Until when it may be used.
    pub(crate) valid_until: Instant,
}

/// How good an answer has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    version_min: u64,
    age_max: Duration,
}

impl Need {
    /// Any fresh one.
    pub(crate) const FRESH: Self = Self { version_min: 0, age_max: FRESH };

    /// A fresh one that knows the conversation's changes up to this version.
    pub(crate) fn version(version_min: u64) -> Self {
        Self { version_min, ..Self::FRESH }
    }

    /// One that was asked for no longer ago than this.
    pub(crate) fn younger_than(age_max: Duration) -> Self {
        Self { version_min: 0, age_max }
    }
}

#[derive(Clone, Debug)]
struct Known {
    standing: Arc<Standing>,
    asked_at: Instant,
}

impl Known {
    fn is_member(&self) -> bool {
        self.standing.reader().is_ok()
    }
}

/// Asks the conversation service, and remembers.
pub(crate) struct Authorizer {
    client: ConversationServiceClient<Channel>,
    /// Members only.
    known: moka::future::Cache<Key, Known>,
    asking: Mutex<HashMap<Key, Asking>>,
    /// When a question last got no answer. Written by questions, read by whoever needs an answer.
    unanswered: Mutex<Option<Instant>>,
    grace: Duration,
    lifecycle: lifecycle::Handle,
    metrics: AuthorizeMetrics,
}

impl Authorizer {
    /// Knows nothing yet. Remembers `known_max` answers.
    pub(crate) fn new(
        conversation: Channel,
        grace: Duration,
        known_max: u64,
        lifecycle: lifecycle::Handle,
        metrics: AuthorizeMetrics,
    ) -> Self {
        Self {
            client: ConversationServiceClient::new(conversation),
            known: moka::future::Cache::builder().max_capacity(known_max).time_to_live(grace.max(FRESH)).build(),
            asking: Mutex::default(),
            unanswered: Mutex::default(),
            grace,
            lifecycle,
            metrics,
        }
    }

    /// What is known and fresh, without asking.
    pub(crate) async fn fresh(self: &Arc<Self>, conversation_id: ConversationId, user: &UserId) -> Option<Answer> {
        let key = (conversation_id, user.clone());
        let known = self.known.get(&key).await?;
        self.usable(&key, &known, Need::FRESH)
    }

    fn usable(self: &Arc<Self>, key: &Key, known: &Known, need: Need) -> Option<Answer> {
        let age = known.asked_at.elapsed();
        if age >= need.age_max || known.standing.version < need.version_min {
            return None;
        }
        if age >= REFRESH_AFTER {
            // The task that asks goes on without us.
            drop(self.ask(key));
        }
        Some(Answer { standing: known.standing.clone(), valid_until: known.asked_at + FRESH })
    }

    /// What a user may do. A refusal is an answer too.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`, not attempted, when the conversation service does not answer and no old answer may serve.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        conversation_id: ConversationId,
        user: &UserId,
        need: Need,
        deadline: Option<Instant>,
    ) -> Result<Answer> {
        let key = (conversation_id, user.clone());
        let asked_for = Instant::now();
        let old = self.known.get(&key).await;
        if let Some(known) = &old
            && let Some(answer) = self.usable(&key, known, need)
        {
            return Ok(answer);
        }
        if let Some(answer) = old.as_ref().and_then(|known| self.in_grace(known, need)) {
            return Ok(answer);
        }
        let patient_until = old.as_ref().filter(|known| self.may_grace(known, need)).map(|_| asked_for + PATIENCE);
        let until = deadline.into_iter().chain(patient_until).min();
        // A question under way may have been asked before what its answer has to know; the next one was not.
        let mut last = self.wait(&key, until).await;
        if last.as_ref().is_ok_and(|known| !satisfies(known, need, asked_for)) {
            last = self.wait(&key, until).await;
        }
        if last.is_err() && patient_until.is_some_and(|until| until <= Instant::now()) {
            *self.unanswered.lock() = Some(Instant::now());
        }
        match last {
            Ok(known) if known.standing.version >= need.version_min => {
                Ok(Answer { standing: known.standing, valid_until: known.asked_at + FRESH })
            }
            Ok(_) => Err(error::membership_unavailable()),
            Err(failed) => old.as_ref().and_then(|known| self.in_grace(known, need)).ok_or(failed),
        }
    }

    /// A member's old answer, if the conversation service has just not answered.
    fn in_grace(&self, known: &Known, need: Need) -> Option<Answer> {
        let unanswered = (*self.unanswered.lock())?;
        let serves = unanswered.elapsed() < GRACE_STEP && self.may_grace(known, need);
        serves.then(|| {
            self.metrics.graces.inc();
            let valid_until = (unanswered + GRACE_STEP).min(known.asked_at + self.grace);
            Answer { standing: known.standing.clone(), valid_until }
        })
    }

    fn may_grace(&self, known: &Known, need: Need) -> bool {
        known.asked_at.elapsed() < self.grace && known.standing.version >= need.version_min
    }

    async fn wait(self: &Arc<Self>, key: &Key, until: Option<Instant>) -> Result<Known> {
        let asking = self.ask(key);
        match until {
            None => asking.await,
            Some(until) => {
                tokio::time::timeout_at(until, asking).await.unwrap_or_else(|_| Err(error::too_late_not_attempted()))
            }
        }
    }

    /// Joins the question that is under way, or asks one. It runs in a task of its own: whoever waits may go.
    fn ask(self: &Arc<Self>, key: &Key) -> Asking {
        let mut asking = self.asking.lock();
        if let Some(under_way) = asking.get(key) {
            return under_way.clone();
        }
        let task = self.lifecycle.spawn("message-authorize", question(self.clone(), key.clone()));
        let answer = task.map(|ended| ended.unwrap_or_else(|_| Err(error::membership_unavailable())));
        let answer = answer.boxed().shared();
        asking.insert(key.clone(), answer.clone());
        answer
    }
}

/// Whether an answer is good enough for somebody who came at `asked_for`: a refusal that was asked for before may be
/// out of date.
fn satisfies(known: &Known, need: Need, asked_for: Instant) -> bool {
    known.standing.version >= need.version_min
        && known.asked_at.elapsed() < need.age_max
        && (known.is_member() || known.asked_at >= asked_for)
}

async fn question(authorizer: Arc<Authorizer>, key: Key) -> Result<Known> {
    let guard = Forget { authorizer: &authorizer, key: &key };
    authorizer.metrics.questions.inc();
    let asked_at = Instant::now();
    let (conversation_id, user) = &key;
    let request =
        AuthorizeMemberRequest { conversation_id: conversation_id.to_string(), user_id: user.as_str().to_owned() };
    let request = with_deadline(Request::new(request), QUESTION_TIMEOUT);
    let mut client = authorizer.client.clone();
    // The server ends the call at the deadline; a network may lose even that.
    let answered = tokio::time::timeout(QUESTION_TIMEOUT, client.authorize_member(request)).await;
    let known = match answered {
        Ok(Ok(response)) => {
            *authorizer.unanswered.lock() = None;
            let standing = Arc::new(standing(response.get_ref()));
            Ok(Known { standing, asked_at })
        }
        Ok(Err(status)) => Err(Error::from_status(&status)),
        Err(_) => Err(Error::new(Reason::DeadlineExceeded, "the conversation service did not answer")),
    };
    match &known {
        Ok(known) if known.is_member() => authorizer.known.insert(key.clone(), known.clone()).await,
        // A former member's old answer is no grace for them.
        Ok(_) => authorizer.known.invalidate(&key).await,
        Err(failed) => {
            tracing::warn!(reason = %failed.reason, "no answer from the conversation service");
            *authorizer.unanswered.lock() = Some(Instant::now());
        }
    }
    drop(guard);
    known.map_err(|_| error::membership_unavailable().with_outcome(Outcome::NotAttempted))
}

/// Takes a question off the list, also if its task is cut off.
struct Forget<'a> {
    authorizer: &'a Authorizer,
    key: &'a Key,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.authorizer.asking.lock().remove(self.key);
    }
}

fn standing(response: &AuthorizeMemberResponse) -> Standing {
    let standing = convert::standing(response);
    // Mutant `removed_member_served`: who was a member once stays one.
    if fault::mutant("removed_member_served") && standing.role.is_none() && standing.was_member {
        return Standing { role: Some(Role::Member), joined: true, ..standing };
    }
    standing
}
