//! C7, C15: after n comes n + 1, nothing is missing when all is quiet, and a stop is said.

use std::collections::BTreeMap;

use super::{Check, Found};
use crate::history::{
    record::{Answer, History, Push, Session, Verdict},
    truth::Truth,
};

/// The close code of a gateway that stops.
const DRAINING: u16 = 4001;

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (id, session) in history.sessions.iter().enumerate() {
        let reached = follow(id, session, found);
        if session.closed.is_none() {
            nothing_is_missing(id, session, &reached, history, truth, found);
        }
    }
    stops_are_said(history, found);
}

/// How far a session was brought in a conversation.
#[derive(Clone, Copy)]
struct Reached {
    /// The last seq, if one is known.
    seq: Option<u64>,
    /// After a gap: entries may go on anywhere from here.
    at_least: u64,
    removed: bool,
}

/// Reads the pushes in order and says where each conversation ended.
fn follow<'a>(id: usize, session: &'a Session, found: &mut Found<'_>) -> BTreeMap<&'a str, Reached> {
    let mut reached: BTreeMap<&str, Reached> = BTreeMap::new();
    for (conversation, seq) in session.resume.iter().flatten() {
        reached.insert(conversation, Reached { seq: Some(*seq), at_least: 0, removed: false });
    }
    for pushed in &session.pushes {
        match &pushed.push {
            Push::Entry(entry) => {
                let at =
                    reached.entry(&entry.conversation).or_insert(Reached { seq: None, at_least: 0, removed: false });
                let follows = match at.seq {
                    Some(seq) => entry.seq == seq + 1,
                    None => entry.seq >= at.at_least,
                };
                if !follows || at.removed {
                    let before = if at.removed { "the removal".to_owned() } else { format!("{:?}", at.seq) };
                    let (user, conversation) = (&session.user, &entry.conversation);
                    found.add(
                        Check::C7,
                        format!("session {id} of {user}: {} follows {before} in {conversation}", entry.seq),
                    );
                }
                at.seq = Some(entry.last_seq());
            }
            Push::Added { conversation, head } => {
                reached.insert(conversation, Reached { seq: Some(*head), at_least: 0, removed: false });
            }
            Push::Removed { conversation } => {
                let seq = reached.get(conversation.as_str()).and_then(|at| at.seq);
                reached.insert(conversation, Reached { seq, at_least: 0, removed: true });
            }
            Push::Resumed { conversation, verdict } => match verdict {
                Verdict::Complete { .. } => {}
                Verdict::Gap { from } => {
                    reached.insert(conversation, Reached { seq: None, at_least: *from, removed: false });
                }
                Verdict::Reset { removed } => {
                    reached.insert(conversation, Reached { seq: None, at_least: 0, removed: *removed });
                }
            },
            _ => {}
        }
    }
    reached
}

/// An open session has every entry up to the head when all is quiet, and every one that was written after it was ready.
fn nothing_is_missing(
    id: usize,
    session: &Session,
    reached: &BTreeMap<&str, Reached>,
    history: &History,
    truth: &Truth<'_>,
    found: &mut Found<'_>,
) {
    let ready = session.pushes.iter().find(|pushed| matches!(pushed.push, Push::Ready));
    let Some(since) = ready.map(|pushed| pushed.at).or(session.welcomed) else { return };
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for call in &history.calls {
        if let Answer::Stored { seq, duplicate: false, .. } = call.answer
            && call.begun > since
        {
            let first = wanted.entry(&call.conversation).or_insert(seq);
            *first = seq.min(*first);
        }
    }
    for (conversation, log) in &truth.logs {
        let Some(head) = log.head.filter(|_| follows(log, &session.user)) else { continue };
        let at = reached.get(conversation);
        if let Some(Reached { seq: Some(seq), removed: false, .. }) = at {
            if *seq < head {
                found.add(
                    Check::C7,
                    format!("session {id} of {} has {conversation} up to {seq} of {head}", session.user),
                );
            }
        } else if session.follows_all && wanted.contains_key(conversation) {
            found.add(Check::C7, format!("session {id} of {} was never given {conversation}", session.user));
        }
        // What the session followed from the beginning starts at a head of before it was ready.
        let first = session.pushes.iter().find_map(|pushed| match &pushed.push {
            Push::Entry(entry) if entry.conversation == **conversation => Some(Some(entry.seq)),
            Push::Added { conversation: added, .. } if added == conversation => Some(None),
            _ => None,
        });
        let resumed = session.resume.as_ref().is_some_and(|cursors| cursors.contains_key(*conversation));
        if let (false, Some(Some(first)), Some(wanted)) = (resumed, first, wanted.get(conversation))
            && first > *wanted
        {
            let user = &session.user;
            found.add(Check::C7, format!("session {id} of {user}: {conversation} began at {first}, not at {wanted}"));
        }
    }
}

fn follows(log: &crate::history::truth::Log<'_>, user: &str) -> bool {
    if log.stays.is_empty() {
        // A direct: whoever took part in it by a write or a read follows it.
        return log.shown.values().flatten().any(|(observer, entry)| observer.user == user || entry.actor == user);
    }
    log.is_member_at_the_end(user)
}

fn stops_are_said(history: &History, found: &mut Found<'_>) {
    for stop in history.stops.iter().filter(|stop| stop.graceful) {
        for (id, session) in history.sessions.iter().enumerate() {
            let open = session.welcomed.is_some_and(|at| at < stop.begun);
            let Some(closed) = session.closed.filter(|closed| open && !closed.by_client && closed.at >= stop.begun)
            else {
                continue;
            };
            let warned = session.pushes.iter().any(|pushed| matches!(pushed.push, Push::Goaway));
            if !warned || closed.code != Some(DRAINING) {
                found.add(
                    Check::C15,
                    format!("session {id} of {} was stopped with {closed:?}, warned: {warned}", session.user),
                );
            }
        }
    }
}
