//! C12: only members write and see.

use std::collections::BTreeMap;

use super::{Check, Found};
use crate::history::{
    record::{Action, Answer, Body, Found as ReadFound, History, Nanos, Push},
    truth::{Log, Truth},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        if !log.stays.is_empty() {
            only_members_write(conversation, log, found);
        }
    }
    let outs = outs_of(history);
    for (id, session) in history.sessions.iter().enumerate() {
        for pushed in &session.pushes {
            let Push::Entry(entry) = &pushed.push else { continue };
            if let Some(out) = find(&outs, &entry.conversation, &session.user, pushed.at, pushed.at) {
                found.add(
                    Check::C12,
                    format!(
                        "session {id}: {} was pushed {} at {}, out since {}",
                        session.user, entry.seq, pushed.at, out.from
                    ),
                );
            }
        }
    }
    for read in &history.reads {
        let sees = match &read.found {
            ReadFound::Log { .. }
            | ReadFound::Messages { .. }
            | ReadFound::Pinned { .. }
            | ReadFound::Positions { .. } => {
                vec![read.conversation.as_str()]
            }
            ReadFound::Heads(heads) => heads.iter().map(|head| head.conversation.as_str()).collect(),
            ReadFound::Conversations(listed) => listed.iter().map(|view| view.conversation.as_str()).collect(),
            ReadFound::Refused(_) => Vec::new(),
        };
        for conversation in sees {
            if find(&outs, conversation, &read.user, read.begun, read.ended).is_some() {
                found.add(Check::C12, format!("{} read {conversation} by {:?} when out", read.user, read.door));
            }
        }
    }
    removed_members_are_told(history, &outs, found);
}

/// Nobody's entry stands outside of their stays.
fn only_members_write(conversation: &str, log: &Log<'_>, found: &mut Found<'_>) {
    for seq in log.shown.keys() {
        let Some(entry) = log.entry(*seq) else { continue };
        let writes = matches!(
            entry.body,
            Body::Message { .. }
                | Body::Edited { .. }
                | Body::Deleted { .. }
                | Body::Reacted { .. }
                | Body::Unreacted { .. }
                | Body::Pinned { .. }
                | Body::Unpinned { .. }
                | Body::Redacted { .. }
        );
        let stays = log.stays.get(entry.actor.as_str()).map_or(&[][..], Vec::as_slice);
        let within = stays.iter().any(|stay| stay.from <= *seq && stay.to.is_none_or(|to| *seq < to));
        if writes && !within {
            found.add(Check::C12, format!("{} wrote {seq} in {conversation}, member in {stays:?}", entry.actor));
        }
    }
}

/// A time in which a user is certainly out, with a second's grace.
struct Out {
    /// The removal was acknowledged a second before.
    from: Nanos,
    /// The next adding began.
    to: Nanos,
    /// When the removal began.
    begun: Nanos,
}

type Outs<'a> = BTreeMap<(&'a str, &'a str), Vec<Out>>;

fn outs_of(history: &History) -> Outs<'_> {
    let mut outs: Outs<'_> = BTreeMap::new();
    for removal in &history.calls {
        let (Action::RemoveMember { member }, Some(acked)) = (&removal.action, removal.ended) else { continue };
        if !matches!(removal.answer, Answer::Stored { .. } | Answer::Pending) {
            continue;
        }
        let adds = history.calls.iter().filter(|call| {
            call.conversation == removal.conversation
                && matches!(&call.action, Action::AddMembers { members } if members.contains(member))
                && call.ended.is_none_or(|ended| ended > removal.begun)
        });
        let to = adds.map(|call| call.begun).min().unwrap_or(Nanos::MAX);
        // What an earlier try has done is told then.
        let tries = history.calls.iter().filter(|call| {
            (&call.conversation, &call.request_id) == (&removal.conversation, &removal.request_id)
                && call.user == removal.user
        });
        let begun = tries.map(|call| call.begun).min().unwrap_or(removal.begun);
        let out = Out { from: history.known_by(acked), to, begun };
        outs.entry((&removal.conversation, member)).or_default().push(out);
    }
    outs
}

fn find<'a>(outs: &'a Outs<'a>, conversation: &'a str, user: &'a str, begun: Nanos, ended: Nanos) -> Option<&'a Out> {
    outs.get(&(conversation, user))?.iter().find(|out| out.from < begun && ended < out.to)
}

/// A session that is open through a removal hears of it within a second.
fn removed_members_are_told(history: &History, outs: &Outs<'_>, found: &mut Found<'_>) {
    for ((conversation, user), outs) in outs {
        for out in outs {
            for (id, session) in
                history.sessions.iter().enumerate().filter(|(_, session)| session.follows_all && session.user == **user)
            {
                let ready =
                    session.pushes.iter().any(|pushed| pushed.at < out.begun && matches!(pushed.push, Push::Ready));
                let closed = session.closed.map_or(Nanos::MAX, |closed| closed.at);
                // The run must have gone on for long enough to hear it.
                let listened = session.pushes.last().is_some_and(|pushed| pushed.at > out.from);
                if !ready || !listened || closed < out.from || out.to < out.from {
                    continue;
                }
                let told = session.pushes.iter().any(|pushed| {
                    (out.begun..=out.from).contains(&pushed.at)
                        && matches!(&pushed.push, Push::Removed { conversation: gone } if gone == *conversation)
                });
                if !told {
                    found.add(
                        Check::C12,
                        format!("session {id} of {user} was not told of the removal from {conversation}"),
                    );
                }
            }
        }
    }
}
