//! The decision about a batch, on one state of the log.

use viberchat_kit::error::Error;
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;

use super::Tools;
use super::chain::Link;
use super::driver::Attempt;
use super::prepare::Prepared;
use crate::domain::dedup::Found;
use crate::domain::head::LogState;
use crate::domain::membership::Standing;
use crate::domain::rules::{Check, Draft, Drafted, Intent, Refusal};
use crate::error;

/// What is to be appended, and what each attempt will hear once that is stored.
pub(super) struct Decision {
    pub(super) entries: Vec<Drafted>,
    /// In the order of the attempts. Told only after the append: a refusal or a duplicate may rest on an entry of the
    /// same batch, and waits until that entry is stored.
    pub(super) verdicts: Vec<Verdict>,
}

pub(super) enum Verdict {
    /// The entry at this index of the batch.
    Append {
        index: usize,
    },
    /// In the log already.
    Before {
        seq: u64,
    },
    /// It holds already.
    Unchanged,
    Refused(Error),
}

impl Decision {
    /// The append after `head` may or may not have been stored.
    pub(super) fn doubt(&self, attempts: &mut [Attempt], head: u64) {
        for (attempt, verdict) in attempts.iter_mut().zip(&self.verdicts) {
            if matches!(verdict, Verdict::Append { .. }) {
                attempt.in_doubt_at = Some(head);
            }
        }
    }
}

/// Ids first, then rules, each attempt on the state after the batch's earlier ones.
pub(super) fn decide(
    conversation_id: ConversationId,
    state: &LogState,
    attempts: &[Attempt],
    prepared: &Prepared,
    tools: &Tools,
    lost: bool,
) -> Decision {
    let targets = prepared.targets.clone();
    let mut draft = Draft::new(conversation_id, state, targets, tools.clock.now(), tools.entropy.as_ref());
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(attempts.len());
    let mut broken: Vec<Link> = Vec::new();
    for attempt in attempts {
        let verdict = if is_broken(attempt, &broken) {
            Verdict::Refused(error::predecessor_failed())
        } else {
            decide_one(&mut draft, attempt, prepared, lost)
        };
        if let (Verdict::Refused(_), Some(link)) = (&verdict, &attempt.request.link) {
            broken.push(link.clone());
        }
        verdicts.push(doubted(verdict, attempt, state.head.seq));
    }
    Decision { entries: draft.into_entries(), verdicts }
}

/// Whether an earlier send of the same chain has failed, in this batch or before.
fn is_broken(attempt: &Attempt, broken: &[Link]) -> bool {
    let Some(link) = &attempt.request.link else { return false };
    link.is_broken() || broken.iter().any(|failed| failed.is_with(link))
}

/// A refusal, or that nothing is to do, on the very head at which an append may still be under way says nothing for sure.
fn doubted(verdict: Verdict, attempt: &Attempt, head: u64) -> Verdict {
    match verdict {
        Verdict::Refused(_) | Verdict::Unchanged if attempt.in_doubt_at == Some(head) => {
            Verdict::Refused(error::outcome_unknown())
        }
        verdict => verdict,
    }
}

fn decide_one(draft: &mut Draft<'_>, attempt: &Attempt, prepared: &Prepared, lost: bool) -> Verdict {
    let proposal = &attempt.request.proposal;
    if let Some(verdict) = find(draft, attempt, prepared, lost) {
        return verdict;
    }
    match check(draft, attempt, prepared, lost) {
        Check::Accepted => {
            draft.add(proposal);
            Verdict::Append { index: draft.len() - 1 }
        }
        Check::Nothing => Verdict::Unchanged,
        Check::Refused(refusal) => Verdict::Refused(error::refused(refusal)),
        Check::StandingTooOld => Verdict::Refused(error::membership_unavailable()),
    }
}

/// The first result of the same write, if the log has it.
fn find(draft: &Draft<'_>, attempt: &Attempt, prepared: &Prepared, lost: bool) -> Option<Verdict> {
    if let Intent::System { version, .. } = attempt.request.proposal.intent {
        return (version <= draft.conversation_version()).then(|| match prepared.version_seq(draft, version) {
            Some(seq) => Verdict::Before { seq },
            None => Verdict::Refused(error::outcome_unknown()),
        });
    }
    // Mutants: `dedup_off` never looks whether an id is in the log, `conflict_ids_not_redecided` not after a lost
    // condition.
    if fault::mutant("dedup_off") || (lost && fault::mutant("conflict_ids_not_redecided")) {
        return None;
    }
    let (id, fingerprint) = attempt.request.proposal.id.as_ref()?;
    let Found { seq, fingerprint: first } = draft.find(id).or(attempt.found)?;
    Some(if first == *fingerprint {
        Verdict::Before { seq }
    } else {
        Verdict::Refused(error::refused(Refusal::KeyReused))
    })
}

fn check(draft: &Draft<'_>, attempt: &Attempt, prepared: &Prepared, lost: bool) -> Check {
    // Mutant `rules_not_redecided`: what was allowed at the lost head is taken to be allowed at the new one.
    if lost && fault::mutant("rules_not_redecided") && !matches!(attempt.request.proposal.intent, Intent::System { .. })
    {
        return Check::Accepted;
    }
    let standing = prepared.standing(attempt);
    // Mutant `removed_member_served`: what the log says about members is not looked at.
    if fault::mutant("removed_member_served") {
        let deaf = standing.map(|standing| Standing { version: u64::MAX, ..standing.clone() });
        return draft.check(&attempt.request.proposal, deaf.as_ref());
    }
    draft.check(&attempt.request.proposal, standing)
}
