//! C1, C16: reactions and pins are shown as the log makes them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Found};
use crate::history::{
    record::{Body, Found as ReadFound, History, MessageView},
    truth::{Log, Truth},
};

/// The reactions of a message, by kind, and whether it is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Marks<'a> {
    reactions: BTreeMap<&'a str, BTreeSet<&'a str>>,
    pinned: bool,
}

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for read in &history.reads {
        let (messages, as_of, pins) = match &read.found {
            ReadFound::Messages { messages, as_of, .. } => (messages, *as_of, false),
            ReadFound::Pinned { messages, as_of } => (messages, *as_of, true),
            _ => continue,
        };
        let Some(log) = truth.logs.get(read.conversation.as_str()) else { continue };
        for message in messages {
            marks_stand(log, message, as_of, &read.user, found);
            if pins && !message.pinned {
                found.add(Check::C1, format!("{} saw {message:?} among the pins", read.user));
            }
        }
        if pins && read.last {
            all_pins_are_there(&read.user, &read.conversation, log, messages, found);
        }
    }
    marks_change_something(truth, found);
}

/// What a message had at each of its places, the first one included.
fn states<'a>(log: &Log<'a>, message_id: &str) -> Vec<(u64, Marks<'a>)> {
    let mut states: Vec<(u64, Marks<'a>)> = Vec::new();
    let mut marks = Marks::default();
    for seq in log.places.get(message_id).into_iter().flatten() {
        let Some(entry) = log.entry(*seq) else { continue };
        match &entry.body {
            Body::Reacted { emoji, .. } => {
                marks.reactions.entry(emoji).or_default().insert(&entry.actor);
            }
            Body::Unreacted { emoji, .. } => {
                if let Some(actors) = marks.reactions.get_mut(emoji.as_str()) {
                    actors.remove(entry.actor.as_str());
                }
                marks.reactions.retain(|_, actors| !actors.is_empty());
            }
            Body::Pinned { .. } => marks.pinned = true,
            Body::Unpinned { .. } => marks.pinned = false,
            Body::Deleted { .. } => marks = Marks::default(),
            _ => {}
        }
        states.push((*seq, marks.clone()));
    }
    states
}

/// The marks are those as of the head that the answer names, or of a later one.
fn marks_stand(log: &Log<'_>, message: &MessageView, as_of: u64, reader: &str, found: &mut Found<'_>) {
    let states = states(log, &message.message_id);
    let first = states.iter().rposition(|(seq, _)| *seq <= as_of).unwrap_or(0);
    let fits = |marks: &Marks<'_>| {
        let reactions = message.reactions.len() == marks.reactions.len()
            && message.reactions.iter().all(|kind| {
                marks.reactions.get(kind.emoji.as_str()).is_some_and(|actors| {
                    actors.len() == kind.count as usize && actors.contains(reader) == kind.reacted
                })
            });
        reactions && message.pinned == marks.pinned
    };
    if !states.is_empty() && !states[first..].iter().any(|(_, marks)| fits(marks)) {
        found
            .add(Check::C1, format!("{reader} saw {message:?} as of {as_of}, the log makes it {:?}", &states[first..]));
    }
}

/// When all is quiet the list of pins is what the log makes it, the newest first, as far as the reader may see.
fn all_pins_are_there(reader: &str, conversation: &str, log: &Log<'_>, shown: &[MessageView], found: &mut Found<'_>) {
    let mut pins: Vec<(u64, u64)> = Vec::new();
    for seq in log.shown.keys() {
        match log.entry(*seq).map(|entry| &entry.body) {
            Some(Body::Pinned { message_seq, .. }) => pins.push((*seq, *message_seq)),
            Some(Body::Unpinned { message_seq, .. } | Body::Deleted { message_seq, .. }) => {
                pins.retain(|(_, pinned)| pinned != message_seq);
            }
            _ => {}
        }
    }
    let wanted: Vec<u64> =
        pins.into_iter().rev().map(|(_, message)| message).filter(|message| log.sees_seq(reader, *message)).collect();
    let listed: Vec<u64> = shown.iter().map(|message| message.seq).collect();
    if wanted != listed {
        found.add(Check::C1, format!("{reader} saw the pins {listed:?} in {conversation}, there are {wanted:?}"));
    }
}

/// An entry about a mark changes something: a reaction stands once, a pin too, and what is deleted has neither.
fn marks_change_something(truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        for message in log.places.keys() {
            let states = states(log, message);
            for (before, after) in states.iter().zip(states.iter().skip(1)) {
                let about_a_mark = log.entry(after.0).is_some_and(|entry| {
                    matches!(
                        entry.body,
                        Body::Reacted { .. } | Body::Unreacted { .. } | Body::Pinned { .. } | Body::Unpinned { .. }
                    )
                });
                if about_a_mark && before.1 == after.1 {
                    found.add(Check::C2, format!("{} of {conversation} changes nothing of {message}", after.0));
                }
            }
        }
        for (seq, entry) in log.shown.keys().filter_map(|seq| Some((*seq, log.entry(*seq)?))) {
            let Body::Message { reply_to: Some(reply), .. } = &entry.body else { continue };
            let places = log.places.get(reply.message_id.as_str()).map_or(&[][..], Vec::as_slice);
            let deleted = places
                .iter()
                .find(|place| log.entry(**place).is_some_and(|entry| matches!(entry.body, Body::Deleted { .. })));
            if deleted.is_some_and(|deleted| *deleted < seq) {
                found.add(Check::C16, format!("{seq} of {conversation} answers {}, deleted before", reply.message_id));
            }
        }
    }
}
