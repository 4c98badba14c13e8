//! C5, C12: where history is hidden, everybody sees exactly their stays: nothing more, and what is left out is said.

use std::collections::BTreeSet;

use super::{Check, Found};
use crate::history::{
    record::{Body, Found as ReadFound, History, MessageView, Read, RedactedKind},
    truth::{Log, Truth},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        only_own_stays_are_shown(conversation, log, found);
        nothing_else_is_hidden(conversation, log, found);
    }
    for read in &history.reads {
        match &read.found {
            ReadFound::Messages { messages, as_of, whole, .. } => {
                let Some(log) = truth.logs.get(read.conversation.as_str()) else { continue };
                messages_are_theirs(read, &read.conversation, messages, log, found);
                if *whole {
                    none_is_left_out(read, messages, *as_of, log, found);
                }
            }
            ReadFound::Pinned { messages, .. } => {
                let Some(log) = truth.logs.get(read.conversation.as_str()) else { continue };
                messages_are_theirs(read, &read.conversation, messages, log, found);
            }
            ReadFound::Heads(heads) => {
                for head in heads {
                    let Some(log) = truth.logs.get(head.conversation.as_str()) else { continue };
                    messages_are_theirs(read, &head.conversation, head.last_message.as_slice(), log, found);
                }
            }
            _ => {}
        }
    }
}

fn only_own_stays_are_shown(conversation: &str, log: &Log<'_>, found: &mut Found<'_>) {
    for (seq, seen) in &log.shown {
        for (observer, entry) in seen {
            // The file is no reader.
            if observer.at != u64::MAX && !log.sees(observer.user, entry) {
                found.add(
                    Check::C12,
                    format!("{} saw {seq} of {conversation}, which is hidden from them", observer.user),
                );
            }
        }
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
    found: &mut Found<'_>,
) {
    for message in messages.iter().filter(|message| !log.sees_seq(&read.user, message.seq)) {
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
