//! C5, C12: where history is hidden, everybody sees exactly their stays: nothing more, and what is left out is said.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Found};
use crate::history::{
    record::{Answer, Body, Entry, Found as ReadFound, History, MessageView, Nanos, Push, Read, RedactedKind},
    truth::{Log, Truth, place_of_target},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        nothing_else_is_hidden(conversation, log, found);
    }
    let removals = Removals::of(history, truth);
    for session in &history.sessions {
        for pushed in &session.pushes {
            if let Push::Entry(entry) = &pushed.push {
                entry_is_theirs(&session.user, entry, pushed.at, truth, &removals, found);
            }
        }
    }
    for read in &history.reads {
        let theirs = |conversation: &str, messages: &[MessageView], found: &mut Found<'_>| {
            if let Some(log) = truth.logs.get(conversation) {
                messages_are_theirs(read, conversation, messages, log, &removals, found);
            }
        };
        match &read.found {
            ReadFound::Log { entries, .. } => {
                for entry in entries {
                    entry_is_theirs(&read.user, entry, read.begun, truth, &removals, found);
                }
            }
            ReadFound::Messages { messages, as_of, whole, .. } => {
                theirs(&read.conversation, messages, found);
                if let Some(log) = truth.logs.get(read.conversation.as_str()).filter(|_| *whole) {
                    none_is_left_out(read, messages, *as_of, log, found);
                }
            }
            ReadFound::Pinned { messages, .. } => theirs(&read.conversation, messages, found),
            ReadFound::Heads(heads) => {
                for head in heads {
                    theirs(&head.conversation, head.last_message.as_slice(), found);
                }
            }
            _ => {}
        }
    }
}

/// When the entries of removals were known to be committed. For another second a former member may still be answered.
struct Removals<'a>(BTreeMap<(&'a str, u64), Nanos>);

impl<'a> Removals<'a> {
    fn of(history: &'a History, truth: &Truth<'a>) -> Self {
        let mut known: BTreeMap<(&str, u64), Nanos> = BTreeMap::new();
        for (conversation, log) in &truth.logs {
            for (seq, seen) in &log.shown {
                if matches!(log.entry(*seq).map(|entry| &entry.body), Some(Body::Removed { .. })) {
                    let first = seen.iter().map(|(observer, _)| observer.at).min().unwrap_or(Nanos::MAX);
                    known.insert((*conversation, *seq), first);
                }
            }
        }
        for call in history.calls.iter().filter(|call| !call.action.is_log_write()) {
            if let (Answer::Stored { seq, .. }, Some(acked)) = (&call.answer, call.ended)
                && let Some(first) = known.get_mut(&(call.conversation.as_str(), *seq))
            {
                *first = acked.min(*first);
            }
        }
        known.values_mut().for_each(|first| *first = history.known_by(*first));
        Self(known)
    }

    /// Whether the user may be shown the place at this time.
    fn allow(&self, conversation: &str, log: &Log<'_>, user: &str, seq: u64, at: Nanos) -> bool {
        let stays = log.stays.get(user).map_or(&[][..], Vec::as_slice);
        let in_grace = || {
            let last = stays.iter().rev().find(|stay| stay.from <= seq)?.to?;
            self.0.get(&(conversation, last)).map(|known| at <= *known)
        };
        log.sees_seq(user, seq) || in_grace().unwrap_or(false)
    }
}

fn entry_is_theirs(
    user: &str,
    entry: &Entry,
    at: Nanos,
    truth: &Truth<'_>,
    removals: &Removals<'_>,
    found: &mut Found<'_>,
) {
    let Some(log) = truth.logs.get(entry.conversation.as_str()) else { return };
    if matches!(entry.body, Body::Hidden { .. }) {
        return;
    }
    let allowed = |seq| removals.allow(&entry.conversation, log, user, seq, at);
    if !allowed(entry.seq) || !allowed(place_of_target(entry)) {
        let (seq, conversation) = (entry.seq, &entry.conversation);
        found.add(Check::C12, format!("{user} saw {seq} of {conversation} at {at}, which is hidden from them"));
    }
}

fn nothing_else_is_hidden(conversation: &str, log: &Log<'_>, found: &mut Found<'_>) {
    for (observer, from, to) in &log.hidden {
        if to < from {
            found.add(Check::C5, format!("{} is told that {from} to {to} of {conversation} is hidden", observer.user));
        }
        let theirs = log.shown.range(*from..=(*to).max(*from)).find_map(|(seq, _)| {
            let entry = log.entry(*seq)?;
            log.sees(observer.user, entry).then_some(seq)
        });
        if let Some(seq) = theirs {
            let user = observer.user;
            found.add(
                Check::C5,
                format!("{user} is told that {from} to {to} of {conversation} is hidden, {seq} is theirs"),
            );
        }
    }
}

fn messages_are_theirs(
    read: &Read,
    conversation: &str,
    messages: &[MessageView],
    log: &Log<'_>,
    removals: &Removals<'_>,
    found: &mut Found<'_>,
) {
    let allowed = |message: &&MessageView| removals.allow(conversation, log, &read.user, message.seq, read.begun);
    for message in messages.iter().filter(|message| !allowed(message)) {
        let (user, seq, door) = (&read.user, message.seq, read.door);
        found.add(Check::C12, format!("{user} read message {seq} of {conversation} by {door:?}, hidden from them"));
    }
}

fn none_is_left_out(read: &Read, messages: &[MessageView], as_of: u64, log: &Log<'_>, found: &mut Found<'_>) {
    let shown: BTreeSet<u64> = messages.iter().map(|message| message.seq).collect();
    let missing = log.shown.range(1..=as_of).map(|(seq, _)| *seq).find(|seq| {
        let body = log.entry(*seq).map(|entry| &entry.body);
        let message = matches!(body, Some(Body::Message { .. } | Body::Redacted { kind: RedactedKind::Message, .. }));
        message && log.sees_seq(&read.user, *seq) && !shown.contains(seq)
    });
    if let Some(seq) = missing {
        let (user, conversation) = (&read.user, &read.conversation);
        found.add(Check::C5, format!("{user} read all messages of {conversation}, {seq} is missing"));
    }
}
