//! C1, C2, C3: what was acknowledged is there, once; what was refused is not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Found};
use crate::history::{
    record::{Action, Answer, Body, Call, Found as ReadFound, History, Nanos, Reply},
    text::texts_in,
    truth::{Log, Truth, Write},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (key, write) in &truth.writes {
        match truth.logs.get(key.0) {
            Some(log) => {
                acked_writes_are_stored(key, write, log, found);
                answers_agree(key, write, found);
            }
            None if write.acked.is_some() => {
                found.add(Check::C1, format!("{key:?} was acknowledged, its log is empty"));
            }
            None => {}
        }
    }
    membership_acks_are_stored(history, truth, found);
    nothing_is_stored_twice(truth, found);
    refused_writes_are_absent(truth, found);
    reads_see_earlier_acks(history, truth, found);
    last_reads_succeed(history, found);
}

type Key<'a> = (&'a str, &'a str, &'a str);

fn acked_writes_are_stored(key: &Key<'_>, write: &Write<'_>, log: &Log<'_>, found: &mut Found<'_>) {
    let Some(seq) = write.seq else { return };
    let Some(entry) = log.stored.get(&seq) else {
        return found.add(Check::C1, format!("{key:?} was acknowledged at {seq}, where nothing is stored"));
    };
    let asked = &write.calls[0].action;
    let fits = match (&entry.body, asked) {
        (Body::Message { text, reply_to, .. }, Action::Send { text: sent, reply_to: asked }) => {
            let fits = |reply: &Reply| asked.as_ref() == Some(&reply.message_id) && is_at(log, reply);
            text == sent && reply_to.as_ref().map_or(asked.is_none(), fits)
        }
        (Body::Edited { text, message_id, .. }, Action::Edit { text: sent, message_id: edited }) => {
            text == sent && message_id == edited
        }
        (Body::Deleted { message_id, .. }, Action::Delete { message_id: deleted }) => message_id == deleted,
        (Body::Reacted { message_id, emoji, .. }, Action::React { message_id: asked, emoji: given })
        | (Body::Unreacted { message_id, emoji, .. }, Action::Unreact { message_id: asked, emoji: given }) => {
            message_id == asked && emoji == given
        }
        (Body::Pinned { message_id, .. }, Action::Pin { message_id: asked })
        | (Body::Unpinned { message_id, .. }, Action::Unpin { message_id: asked }) => message_id == asked,
        (Body::Redacted { .. }, Action::Send { .. } | Action::Edit { .. }) => true,
        _ => false,
    };
    let is_hers = entry.actor == key.1 && (entry.request_id.is_empty() || entry.request_id == key.2);
    if !fits || !is_hers {
        found.add(Check::C1, format!("{key:?} was acknowledged at {seq}, where {entry:?} is stored"));
    }
}

/// True unless another message is known to stand at the place that a reply names.
fn is_at(log: &Log<'_>, reply: &Reply) -> bool {
    log.places.get(reply.message_id.as_str()).is_none_or(|places| places.first() == Some(&reply.seq))
}

fn answers_agree(key: &Key<'_>, write: &Write<'_>, found: &mut Found<'_>) {
    let results: BTreeSet<(u64, &str)> = write
        .calls
        .iter()
        .filter_map(|call| match &call.answer {
            Answer::Stored { seq, message_id, .. } => Some((*seq, message_id.as_str())),
            _ => None,
        })
        .collect();
    if results.len() > 1 {
        found.add(Check::C2, format!("{key:?} was acknowledged with different results: {results:?}"));
    }
    let fresh =
        write.calls.iter().filter(|call| matches!(call.answer, Answer::Stored { duplicate: false, .. })).count();
    if fresh > 1 {
        found.add(Check::C2, format!("{key:?} was acknowledged {fresh} times as new"));
    }
    let rejected = write.calls.iter().any(|call| matches!(call.answer, Answer::Rejected(_)));
    if rejected && !results.is_empty() {
        found.add(Check::C3, format!("{key:?} was both rejected and acknowledged: {results:?}"));
    }
}

fn membership_acks_are_stored(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for call in history.calls.iter().filter(|call| !call.action.is_log_write()) {
        let Answer::Stored { seq, .. } = call.answer else { continue };
        let entry = truth.logs.get(call.conversation.as_str()).and_then(|log| log.stored.get(&seq));
        let fits = entry.is_some_and(|entry| match (&entry.body, &call.action) {
            (Body::Created { .. }, Action::CreateGroup { .. }) | (Body::Changed, Action::Update) => true,
            (Body::Added { members }, Action::AddMembers { members: asked }) => {
                members.iter().collect::<BTreeSet<_>>() == asked.iter().collect()
            }
            (Body::Removed { member }, Action::RemoveMember { member: asked }) => member == asked,
            _ => false,
        });
        if !fits {
            found.add(Check::C1, format!("{call:?} was acknowledged, stored is {entry:?}"));
        }
    }
}

fn nothing_is_stored_twice(truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        let mut places: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (seq, actor, request_id) in log.request_ids() {
            if let Some(first) = places.insert((actor, request_id), seq) {
                found
                    .add(Check::C2, format!("{actor}'s {request_id} stands at {first} and at {seq} in {conversation}"));
            }
        }
        let mut texts: BTreeMap<u64, u64> = BTreeMap::new();
        for seq in log.shown.keys() {
            let Some(Body::Message { text, .. } | Body::Edited { text, .. }) = log.entry(*seq).map(|entry| &entry.body)
            else {
                continue;
            };
            for number in texts_in(text.as_bytes()) {
                if let Some(first) = texts.insert(number, *seq) {
                    found.add(Check::C2, format!("text {number} stands at {first} and at {seq} in {conversation}"));
                }
            }
        }
    }
}

fn refused_writes_are_absent(truth: &Truth<'_>, found: &mut Found<'_>) {
    let mut absent: BTreeMap<Key<'_>, &Write<'_>> = BTreeMap::new();
    let mut absent_texts: BTreeMap<u64, Key<'_>> = BTreeMap::new();
    for (key, write) in &truth.writes {
        let rejected = write.calls.iter().any(|call| matches!(call.answer, Answer::Rejected(_)));
        let stored_nothing = |call: &&Call| matches!(call.answer, Answer::NotAttempted(_) | Answer::Unchanged);
        let untried = write.calls.iter().all(stored_nothing);
        if !rejected && !untried {
            continue;
        }
        absent.insert(*key, write);
        if let Action::Send { text, .. } | Action::Edit { text, .. } = &write.calls[0].action {
            absent_texts.extend(texts_in(text.as_bytes()).into_iter().map(|number| (number, *key)));
        }
    }
    for (conversation, log) in &truth.logs {
        for (seq, actor, request_id) in log.request_ids() {
            if let Some(write) = absent.get(&(*conversation, actor, request_id)) {
                found.add(Check::C3, format!("refused, but stored at {seq} in {conversation}: {:?}", write.calls));
            }
        }
        for seq in log.shown.keys() {
            if let Some(Body::Message { text, .. } | Body::Edited { text, .. }) =
                log.entry(*seq).map(|entry| &entry.body)
            {
                for key in texts_in(text.as_bytes()).iter().filter_map(|number| absent_texts.get(number)) {
                    found.add(Check::C3, format!("{key:?} was refused, but its text stands at {seq}"));
                }
            }
        }
    }
}

/// A read that began after an ack names a head that has it, and shows each message with what was acknowledged before.
fn reads_see_earlier_acks(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let acked = acked_heads(history, truth);
    for read in &history.reads {
        let (as_of, messages) = match &read.found {
            ReadFound::Log { head, .. } => (*head, &[][..]),
            ReadFound::Messages { as_of, messages, .. } | ReadFound::Pinned { as_of, messages } => {
                (*as_of, messages.as_slice())
            }
            _ => continue,
        };
        let must = acked.get(read.conversation.as_str()).map_or(0, |acks| highest_before(acks, read.begun));
        if as_of < must {
            found.add(
                Check::C1,
                format!(
                    "{} read {} by {:?} up to {as_of}, though {must} was acknowledged before",
                    read.user, read.conversation, read.door
                ),
            );
        }
        let Some(log) = truth.logs.get(read.conversation.as_str()) else { continue };
        for message in messages {
            message_stands(log, message, as_of, &read.user, found);
        }
    }
}

/// The message is as the log up to `as_of` makes it, or as a later entry does.
fn message_stands(
    log: &Log<'_>,
    message: &crate::history::MessageView,
    as_of: u64,
    reader: &str,
    found: &mut Found<'_>,
) {
    let (mut texts, mut erased, mut deletable, mut deleted) = (Vec::new(), false, false, false);
    for seq in log.places.get(message.message_id.as_str()).into_iter().flatten() {
        match log.entry(*seq).map(|entry| &entry.body) {
            Some(Body::Message { text, .. }) => texts.push(text),
            Some(Body::Edited { text, .. }) => {
                if *seq <= as_of {
                    texts.clear();
                }
                texts.push(text);
            }
            Some(Body::Deleted { .. }) => {
                deletable = true;
                deleted |= *seq <= as_of;
            }
            // Nobody saw the text before it was erased: the message may have had it.
            Some(Body::Redacted { .. }) => erased = true,
            _ => {}
        }
    }
    let text_fits = message.deleted || erased || texts.is_empty() || texts.contains(&&message.text);
    if !text_fits || (deleted && !message.deleted) || (message.deleted && !deletable) {
        found.add(
            Check::C1,
            format!("{reader} saw {message:?} as of {as_of}; the log allows {texts:?}, deleted: {deleted}"),
        );
    }
}

type Acks = Vec<(Nanos, u64)>;

/// For each conversation: when which head was known to be acknowledged, rising.
fn acked_heads<'a>(history: &'a History, truth: &Truth<'a>) -> BTreeMap<&'a str, Acks> {
    let mut acks: BTreeMap<&str, Acks> = BTreeMap::new();
    for (key, write) in &truth.writes {
        if let (Some(at), Some(seq)) = (write.acked, write.seq) {
            acks.entry(key.0).or_default().push((at, seq));
        }
    }
    for call in history.calls.iter().filter(|call| !call.action.is_log_write()) {
        if let (Some(at), Answer::Stored { seq, .. }) = (call.ended, &call.answer) {
            acks.entry(&call.conversation).or_default().push((at, *seq));
        }
    }
    for acks in acks.values_mut() {
        acks.sort_unstable();
        let mut highest = 0;
        for (_, seq) in acks {
            highest = highest.max(*seq);
            *seq = highest;
        }
    }
    acks
}

fn highest_before(acks: &Acks, at: Nanos) -> u64 {
    let count = acks.partition_point(|(acked, _)| *acked < at);
    count.checked_sub(1).map_or(0, |last| acks[last].1)
}

fn last_reads_succeed(history: &History, found: &mut Found<'_>) {
    for read in history.reads.iter().filter(|read| read.last) {
        if let ReadFound::Refused(reason) = &read.found {
            found.add(Check::C1, format!("{} could not read {} at the end: {reason}", read.user, read.conversation));
        }
    }
}
