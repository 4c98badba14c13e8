//! Gets what a decision needs: the head, the ids that memory cannot tell, fresh answers about members, and the messages
//! that writes are about. For most batches of messages nothing has to be asked.

use std::collections::HashMap;

use futures::future::join_all;
use tokio::time::Instant;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::fault;
use viberchat_kit::id::UserId;

use super::driver::{Attempt, Driver};
use crate::authorize::{Answer, Need};
use crate::convert;
use crate::domain::dedup::WriteId;
use crate::domain::entry::{Body, SystemBody};
use crate::domain::head::{Head, LogState};
use crate::domain::membership::Standing;
use crate::domain::rules::{Draft, Intent, Proposal};
use crate::domain::target::{Target, Targets};
use crate::error;
use crate::store::{MessageRecord, ReactionKey, ReadLimit, Record, StoreError};

/// A delta longer than this is not read; the lane loads anew.
const DELTA_ENTRIES_MAX: usize = 256;
/// How often reads may find that the log has moved on, before the batch is given up for now.
const READS_MAX: usize = 8;

/// What was asked for a batch.
#[derive(Default)]
pub(super) struct Prepared {
    /// What the writes are about, as it stands at the head.
    pub(super) targets: Targets,
    /// Places of system entries that came again.
    versions: HashMap<u64, u64>,
    /// Answers that replace those that the attempts came with. `None`: it could not be found out.
    answers: HashMap<UserId, Option<Answer>>,
}

impl Prepared {
    /// What the actor may do.
    pub(super) fn standing<'a>(&'a self, attempt: &'a Attempt) -> Option<&'a Standing> {
        self.answer(attempt).map(|answer| answer.standing.as_ref())
    }

    fn answer<'a>(&'a self, attempt: &'a Attempt) -> Option<&'a Answer> {
        match self.answers.get(&attempt.request.proposal.actor) {
            Some(asked_again) => asked_again.as_ref(),
            None => attempt.request.answer.as_ref(),
        }
    }

    /// The place of the system entry with this version.
    pub(super) fn version_seq(&self, draft: &Draft<'_>, version: u64) -> Option<u64> {
        draft.version_seq(version).or_else(|| self.versions.get(&version).copied())
    }
}

/// Prepares a round. On success `driver.state` is the head at which everything in `prepared` holds.
pub(super) async fn run(
    driver: &mut Driver,
    attempts: &mut [Attempt],
    prepared: &mut Prepared,
    lost: bool,
) -> Result<()> {
    for _ in 0..READS_MAX {
        if driver.state.is_none() {
            load(driver).await?;
        }
        let head = known_head(driver);
        look_up_ids(driver, attempts).await?;
        look_up_versions(driver, attempts, prepared).await?;
        read_targets(driver, attempts, prepared, lost).await?;
        // A read that found a later head has moved the lane there: what was read before it is too old.
        if known_head(driver) == head {
            return refresh_answers(driver, attempts, prepared).await;
        }
    }
    Err(error::overloaded())
}

fn known_head(driver: &Driver) -> Option<u64> {
    driver.state.as_ref().map(|state| state.head.seq)
}

/// Reads the end of the log.
async fn load(driver: &mut Driver) -> Result<()> {
    let conversation_id = driver.lane.conversation_id;
    let slice = driver.tools.store.tail(conversation_id, driver.memory.ids_max).await?;
    let below = slice.records.first().map_or_else(Head::default, head_below);
    let mut state = LogState::above(below, driver.memory);
    apply(&mut state, slice.records)?;
    driver.state = Some(state);
    Ok(())
}

/// The head before this entry, as far as the entry tells.
fn head_below(record: &Record) -> Head {
    let is_system = record.id.is_none();
    Head {
        seq: record.head.seq - 1,
        conversation_version: record.head.conversation_version - u64::from(is_system),
        ..Head::default()
    }
}

/// Reads what came after the known head and applies it.
pub(super) async fn catch_up(driver: &mut Driver) -> Result<()> {
    let Some(state) = &mut driver.state else { return load(driver).await };
    let limit = ReadLimit { items: DELTA_ENTRIES_MAX, bytes: usize::MAX };
    let slice = driver.tools.store.read_log(driver.lane.conversation_id, state.head.seq, limit).await?;
    let last = slice.records.last().map_or(state.head.seq, |record| record.head.seq);
    if last < slice.head.seq {
        return load(driver).await;
    }
    apply(state, slice.records)
}

fn apply(state: &mut LogState, records: Vec<Record>) -> Result<()> {
    for record in records {
        state.apply(convert::step(record)?);
    }
    Ok(())
}

/// Asks the store for the ids that the window does not reach back to. Not found means: not up to the head of that
/// snapshot.
async fn look_up_ids(driver: &mut Driver, attempts: &mut [Attempt]) -> Result<()> {
    let Some(state) = &driver.state else { return Ok(()) };
    let unsure: Vec<(usize, WriteId)> = attempts
        .iter()
        .enumerate()
        .filter(|(_, attempt)| attempt.found.is_none())
        .filter(|(_, attempt)| !attempt.clear_to.is_some_and(|clear_to| state.window.is_exact_for(clear_to)))
        .filter_map(|(index, attempt)| Some((index, attempt.request.proposal.id.as_ref()?.0.clone())))
        // What the window has is found without asking.
        .filter(|(_, id)| state.window.find(id).is_none())
        .collect();
    if unsure.is_empty() {
        return Ok(());
    }
    driver.tools.metrics.id_look_ups.inc_by(unsure.len() as u64);
    let ids = unsure.iter().map(|(_, id)| id.clone()).collect();
    // Below this none of them stands.
    let after = unsure.iter().map(|(index, _)| attempts[*index].clear_to.unwrap_or(0)).min().unwrap_or(0);
    let (head, found) = driver.tools.store.find_ids(driver.lane.conversation_id, ids, after).await?;
    for ((index, _), found) in unsure.into_iter().zip(found) {
        attempts[index].found = found;
        attempts[index].clear_to = Some(head.seq);
    }
    // What was found may lie beyond the known head: the log is read up to it first.
    catch_up_to(driver, head.seq).await
}

async fn look_up_versions(driver: &mut Driver, attempts: &[Attempt], prepared: &mut Prepared) -> Result<()> {
    let Some(state) = &driver.state else { return Ok(()) };
    let current = state.head.conversation_version;
    for attempt in attempts {
        let Intent::System { version, body } = &attempt.request.proposal.intent else { continue };
        if *version > current || prepared.versions.contains_key(version) {
            continue;
        }
        if let Some(seq) = driver.tools.store.find_version(driver.lane.conversation_id, *version).await? {
            prepared.versions.insert(*version, seq);
            say_if_another(driver, *version, body, seq).await?;
        }
    }
    Ok(())
}

/// A version is a duplicate for ever, whatever comes with it. Another change than the first one is told to nobody else: it
/// comes from a conversation store that is older than the log, and who runs it has to know.
async fn say_if_another(driver: &Driver, version: u64, body: &SystemBody, seq: u64) -> Result<()> {
    let conversation_id = driver.lane.conversation_id;
    let Some(first) = record_at(driver, seq).await? else { return Ok(()) };
    if convert::decode_body(&first.body)? != Body::System(body.clone()) {
        driver.tools.metrics.versions_reused.inc();
        tracing::error!(%conversation_id, version, seq, "a change is not in the log, which has another one of its version: was the conversation store restored?");
    }
    Ok(())
}

/// One entry of the log.
pub(super) async fn record_at(driver: &Driver, seq: u64) -> std::result::Result<Option<Record>, StoreError> {
    let limit = ReadLimit { items: 1, bytes: usize::MAX };
    let slice = driver.tools.store.read_log(driver.lane.conversation_id, seq - 1, limit).await?;
    Ok(slice.records.into_iter().next())
}

/// Reads the messages that writes are about, as they stand at the head.
async fn read_targets(driver: &mut Driver, attempts: &[Attempt], prepared: &mut Prepared, lost: bool) -> Result<()> {
    // Mutant `rules_not_redecided`: the messages as they stood at the lost head.
    if lost && fault::mutant("rules_not_redecided") {
        return Ok(());
    }
    let intents = || attempts.iter().map(|attempt| &attempt.request.proposal.intent);
    let mut seqs: Vec<u64> = intents().filter_map(Intent::target).filter_map(|target| target.seq()).collect();
    seqs.sort_unstable();
    seqs.dedup();
    if seqs.is_empty() {
        return Ok(());
    }
    prepared.targets = Targets::default();
    let conversation_id = driver.lane.conversation_id;
    let slice = driver.tools.store.messages_at(conversation_id, None, seqs).await?;
    for message in slice.messages {
        prepared.targets.messages.insert(message.record.head.seq, target(message)?);
    }
    catch_up_to(driver, slice.head.seq).await?;
    if intents().any(|intent| matches!(intent, Intent::Pin { .. })) {
        let (head, pins) = driver.tools.store.pin_count(conversation_id).await?;
        prepared.targets.pins = pins;
        catch_up_to(driver, head.seq).await?;
    }
    read_reactions(driver, attempts, prepared).await
}

fn target(message: MessageRecord) -> Result<Target> {
    let MessageRecord { record, delete_time, pin, reactions, .. } = message;
    let Body::Message(sent) = convert::decode_body(&record.body)? else {
        return Err(Error::internal("a message's entry is something else"));
    };
    Ok(Target {
        deleted: delete_time.is_some(),
        pinned: pin.is_some(),
        reactions: reactions.into_iter().map(|reaction| (reaction.emoji, reaction.count)).collect(),
        ..Target::new(record.actor, sent)
    })
}

/// Which of the reactions that are given or taken back are there.
async fn read_reactions(driver: &mut Driver, attempts: &[Attempt], prepared: &mut Prepared) -> Result<()> {
    let keys: Vec<ReactionKey> = attempts.iter().filter_map(|attempt| reaction(&attempt.request.proposal)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let (head, given) = driver.tools.store.find_reactions(driver.lane.conversation_id, keys.clone()).await?;
    let given = keys.into_iter().zip(given).filter_map(|(key, given)| given.then_some(key));
    for ReactionKey { message_seq, emoji, user } in given {
        if let Some(target) = prepared.targets.messages.get_mut(&message_seq) {
            target.reacted.insert((user, emoji));
        }
    }
    catch_up_to(driver, head.seq).await
}

fn reaction(proposal: &Proposal) -> Option<ReactionKey> {
    match &proposal.intent {
        Intent::React { message_id, emoji } | Intent::Unreact { message_id, emoji } => {
            Some(ReactionKey { message_seq: message_id.seq()?, emoji: emoji.clone(), user: proposal.actor.clone() })
        }
        _ => None,
    }
}

async fn catch_up_to(driver: &mut Driver, head: u64) -> Result<()> {
    match known_head(driver) {
        Some(known) if known >= head => Ok(()),
        _ => catch_up(driver).await,
    }
}

/// Asks again where an answer is too old by time, or older than what the lane knows of the members' changes.
async fn refresh_answers(driver: &Driver, attempts: &[Attempt], prepared: &mut Prepared) -> Result<()> {
    let Some(state) = &driver.state else { return Ok(()) };
    let now = Instant::now();
    let mut stale: Vec<(UserId, Instant)> = Vec::new();
    for attempt in attempts {
        let Some(answer) = prepared.answer(attempt) else { continue };
        let usable = now <= answer.valid_until && state.changes.cover(answer.standing.version);
        let user = &attempt.request.proposal.actor;
        if !usable && !stale.iter().any(|(known, _)| known == user) {
            stale.push((user.clone(), attempt.request.deadline));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let need = Need::version(state.changes.lower());
    let conversation_id = driver.lane.conversation_id;
    let questions = stale
        .iter()
        .map(|(user, deadline)| driver.tools.authorizer.answer(conversation_id, user, need, Some(*deadline)));
    let answers = join_all(questions).await;
    for ((user, _), answer) in stale.into_iter().zip(answers) {
        prepared.answers.insert(user, answer.ok());
    }
    Ok(())
}
