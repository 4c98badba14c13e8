//! Who may do what, as the conversation service says, kept for a moment.
//!
//! Rules
//! - An answer counts from when it was *asked*, and serves for [`FRESH`]: so a removal stops a user within that time.
//! - Refusals are not kept: who has just been added, or is blocked no more, is not refused by an old answer.
//! - One question at a time per (conversation, user); who needs the answer waits for the same one, and what waits is asked
//!   together: see `asking`. Lists of many ask about all whose answer is not fresh in one call, beside these.
//! - When the conversation service does not answer, members known go on for the grace time, and nobody else.

mod asking;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Request;
use viberchat_kit::error::{Error, Outcome, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_kit::{fault, lifecycle};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{
    AuthorizeMemberRequest, AuthorizeMemberResponse, BatchAuthorizeMembersRequest,
};

use self::asking::Asking;
use crate::convert;
use crate::domain::membership::{Role, Standing};
use crate::domain::visibility::{History, View};
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

/// Pairs that one question may name.
const PAIRS_MAX: usize = 200;

/// Whom a question is about.
pub(crate) type Key = (ConversationId, UserId);

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
    /// It is about writing: a block is a refusal.
    writes: bool,
}

impl Need {
    /// Any fresh one.
    pub(crate) const FRESH: Self = Self { version_min: 0, age_max: FRESH, writes: false };
    /// Any fresh one, for a write.
    pub(crate) const WRITE: Self = Self { writes: true, ..Self::FRESH };

    /// For a write, a fresh one that knows the conversation's changes up to this version.
    pub(crate) fn version(version_min: u64) -> Self {
        Self { version_min, ..Self::WRITE }
    }

    /// One that was asked for no longer ago than this.
    pub(crate) fn younger_than(age_max: Duration) -> Self {
        Self { age_max, ..Self::FRESH }
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

    fn is_refusal(&self, need: Need) -> bool {
        !self.is_member() || (need.writes && (self.standing.blocked || self.standing.peer_gone))
    }

    fn as_answer(&self) -> Answer {
        Answer { standing: self.standing.clone(), valid_until: self.asked_at + FRESH }
    }

    /// If it is good enough to be used again.
    fn answer(&self, need: Need) -> Option<Answer> {
        let is_good = self.asked_at.elapsed() < need.age_max && self.standing.version >= need.version_min;
        (is_good && !self.is_refusal(need)).then(|| self.as_answer())
    }
}

/// Asks the conversation service, and remembers.
pub(crate) struct Authorizer {
    client: ConversationServiceClient<Channel>,
    /// Members only.
    known: moka::future::Cache<Key, Known>,
    asking: Asking,
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
            asking: Asking::default(),
            unanswered: Mutex::default(),
            grace,
            lifecycle,
            metrics,
        }
    }

    /// That a user may write, if that is known and fresh, without asking.
    pub(crate) async fn fresh(self: &Arc<Self>, conversation_id: ConversationId, user: &UserId) -> Option<Answer> {
        let key = (conversation_id, user.clone());
        let known = self.known.get(&key).await?;
        self.usable(&key, &known, Need::WRITE)
    }

    fn usable(self: &Arc<Self>, key: &Key, known: &Known, need: Need) -> Option<Answer> {
        let answer = known.answer(need)?;
        if known.asked_at.elapsed() >= REFRESH_AFTER {
            // The task that asks goes on without us.
            drop(self.ask(key));
        }
        Some(answer)
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
            Ok(known) if known.standing.version >= need.version_min => Ok(known.as_answer()),
            Ok(_) => Err(error::membership_unavailable()),
            Err(failed) => old.as_ref().and_then(|known| self.in_grace(known, need)).ok_or(failed),
        }
    }

    /// What users may do, in the order of the question. Asks about all whose answer is not fresh at once.
    ///
    /// # Errors
    /// As [`Authorizer::answer`], for all of them.
    pub(crate) async fn answers(&self, keys: &[Key], need: Need, deadline: Option<Instant>) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(keys.len());
        // Those to ask about, with what was known of them.
        let mut unknown: Vec<(usize, Option<Known>)> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let old = self.known.get(key).await;
            let answer = old.as_ref().and_then(|known| known.answer(need).or_else(|| self.in_grace(known, need)));
            if answer.is_none() {
                unknown.push((index, old));
            }
            answers.push(answer);
        }
        for chunk in unknown.chunks(PAIRS_MAX) {
            let asked: Vec<&Key> = chunk.iter().map(|(index, _)| &keys[*index]).collect();
            let may_grace = |(_, old): &(usize, Option<Known>)| old.as_ref().is_some_and(|k| self.may_grace(k, need));
            let timeout = if chunk.iter().all(may_grace) { PATIENCE } else { QUESTION_TIMEOUT };
            let until = Instant::now() + timeout;
            let until = deadline.map_or(until, |deadline| until.min(deadline));
            match self.question(&asked, until).await {
                Ok(known) => {
                    for ((index, _), known) in chunk.iter().zip(known) {
                        answers[*index] = (known.standing.version >= need.version_min).then(|| known.as_answer());
                    }
                }
                Err(failed) => {
                    for (index, old) in chunk {
                        let old = old.as_ref().and_then(|known| self.in_grace(known, need));
                        answers[*index] = Some(old.ok_or_else(|| failed.clone())?);
                    }
                }
            }
        }
        answers.into_iter().map(|answer| answer.ok_or_else(error::membership_unavailable)).collect()
    }

    /// Cancel safe: what is not remembered is asked again.
    async fn question(&self, keys: &[&Key], until: Instant) -> Result<Vec<Known>> {
        self.metrics.questions.inc();
        let asked_at = Instant::now();
        let requests = keys.iter().map(|key| request(key)).collect();
        let timeout = until.saturating_duration_since(asked_at);
        let request = with_deadline(Request::new(BatchAuthorizeMembersRequest { requests }), timeout);
        let mut client = self.client.clone();
        let answered = tokio::time::timeout_at(until, client.batch_authorize_members(request)).await;
        let responses = match answered {
            Ok(Ok(answer)) if answer.get_ref().responses.len() == keys.len() => answer.into_inner().responses,
            Ok(Ok(_)) => return Err(Error::internal("answers about members do not match the questions")),
            Ok(Err(status)) => return Err(self.unanswered(&Error::from_status(&status))),
            Err(_) => return Err(self.unanswered(&error::too_late())),
        };
        *self.unanswered.lock() = None;
        let mut all = Vec::with_capacity(keys.len());
        for (key, response) in keys.iter().zip(&responses) {
            let known = Known { standing: Arc::new(standing(response)), asked_at };
            self.remember(key, &known).await;
            all.push(known);
        }
        Ok(all)
    }

    fn unanswered(&self, failed: &Error) -> Error {
        tracing::warn!(reason = %failed.reason, "no answer from the conversation service");
        *self.unanswered.lock() = Some(Instant::now());
        error::membership_unavailable().with_outcome(Outcome::NotAttempted)
    }

    async fn remember(&self, key: &Key, known: &Known) {
        if known.is_member() {
            self.known.insert(key.clone(), known.clone()).await;
        } else {
            // A former member's old answer is no grace for them.
            self.known.invalidate(key).await;
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
        // Whoever takes none that is known already, knows that it is out of date.
        let takes_old = !need.age_max.is_zero();
        takes_old && known.asked_at.elapsed() < self.grace && known.standing.version >= need.version_min
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
}

/// Whether an answer is good enough for somebody who came at `asked_for`: a refusal that was asked for before may be
/// out of date.
fn satisfies(known: &Known, need: Need, asked_for: Instant) -> bool {
    known.standing.version >= need.version_min
        && known.asked_at.elapsed() < need.age_max
        && (!known.is_refusal(need) || known.asked_at >= asked_for)
}

fn request((conversation_id, user): &Key) -> AuthorizeMemberRequest {
    AuthorizeMemberRequest { conversation_id: conversation_id.to_string(), user_id: user.as_str().to_owned() }
}

fn standing(response: &AuthorizeMemberResponse) -> Standing {
    let mut standing = convert::standing(response);
    // Mutant `hidden_history_served`: whoever is a member sees everything.
    if fault::mutant("hidden_history_served") {
        standing.view = View::of(History::Shared, &[], 0);
    }
    // Mutant `block_ignored`: a block stops nothing.
    if fault::mutant("block_ignored") {
        standing.blocked = false;
    }
    // Mutant `removed_member_served`: who was a member once stays one.
    if fault::mutant("removed_member_served") && standing.role.is_none() && standing.was_member {
        return Standing { role: Some(Role::Member), joined: true, ..standing };
    }
    standing
}
