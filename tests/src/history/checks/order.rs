//! C4, C5, C6: one order, without a hole, that agrees with time.

use std::collections::BTreeMap;

use viberchat_kit::error::Reason;

use super::{Check, Found};
use crate::history::{
    record::{Action, Answer, Body, Call, Found as ReadFound, History, Nanos},
    truth::{Log, Truth, is_same},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        all_see_the_same(conversation, log, truth, found);
        log_is_whole(conversation, log, found);
    }
    reads_are_contiguous(history, truth, found);
    acked_before_comes_before(history, truth, found);
    pipelines_keep_their_order(history, truth, found);
}

fn all_see_the_same(conversation: &str, log: &Log<'_>, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (seq, seen) in &log.shown {
        let Some(entry) = log.entry(*seq) else { continue };
        for (observer, shown) in seen {
            if !is_same(entry, shown) {
                found.add(Check::C4, format!("{conversation} {seq} is {entry:?} to some, {shown:?} to {observer:?}"));
            }
            if let Body::Redacted { message_id, .. } = &shown.body {
                let deletion = truth.deletions.get(message_id.as_str());
                if deletion.is_none_or(|deletion| deletion.begun > observer.at) {
                    found.add(
                        Check::C4,
                        format!("{conversation} {seq} shows as erased to {observer:?}, nobody deleted it"),
                    );
                }
            }
        }
    }
}

fn log_is_whole(conversation: &str, log: &Log<'_>, found: &mut Found<'_>) {
    let Some(head) = log.head else { return };
    if let Some(beyond) = log.shown.keys().next_back().filter(|last| **last > head) {
        found.add(Check::C4, format!("{conversation}: {beyond} was seen, the log ends at {head}"));
    }
    let (mut message_no, mut version) = (0, 0);
    for seq in 1..=head {
        let Some(entry) = log.stored.get(&seq) else {
            found.add(Check::C5, format!("{conversation} has nothing at {seq}, the head is {head}"));
            continue;
        };
        match &entry.body {
            Body::Message { .. } | Body::Redacted { kind: crate::history::RedactedKind::Message, .. } => {
                message_no += 1;
            }
            Body::Created { .. } | Body::Added { .. } | Body::Removed { .. } | Body::Changed | Body::Closed => {
                version += 1;
            }
            _ => {}
        }
        if (entry.message_no, entry.version) != (message_no, version) {
            found.add(
                Check::C5,
                format!(
                    "{conversation} counts {message_no} messages and {version} changes at {seq}, where {entry:?} is"
                ),
            );
            (message_no, version) = (entry.message_no, entry.version);
        }
    }
}

fn reads_are_contiguous(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for read in &history.reads {
        match &read.found {
            ReadFound::Log { after, entries, head, .. } => {
                let mut next = after + 1;
                for entry in entries {
                    if entry.seq != next {
                        found.add(
                            Check::C5,
                            format!("{} read {}: {} follows {}", read.user, read.conversation, entry.seq, next - 1),
                        );
                    }
                    next = entry.last_seq() + 1;
                }
                if next <= *head && entries.is_empty() {
                    found.add(
                        Check::C5,
                        format!(
                            "{} read nothing of {} after {after}, the head is {head}",
                            read.user, read.conversation
                        ),
                    );
                }
            }
            ReadFound::Messages { messages, whole, .. } => {
                if messages.windows(2).any(|pair| pair[0].seq >= pair[1].seq) {
                    found.add(Check::C4, format!("{} read messages of {} out of order", read.user, read.conversation));
                }
                let counted = messages.iter().zip(1..).all(|(message, number)| message.message_no == number);
                // Who sees only a part of the messages is the subject of `visibility`.
                let shared = truth.logs.get(read.conversation.as_str()).is_none_or(|log| !log.since_joining);
                if *whole && shared && !counted {
                    found.add(
                        Check::C5,
                        format!("{} read all messages of {}, some are missing", read.user, read.conversation),
                    );
                }
            }
            _ => {}
        }
    }
}

/// A place, when its write began and when it was acknowledged.
struct Placed {
    seq: u64,
    begun: Nanos,
    acked: Option<Nanos>,
}

fn acked_before_comes_before(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let mut placed: BTreeMap<&str, Vec<Placed>> = BTreeMap::new();
    for (key, write) in &truth.writes {
        if let Some(seq) = write.seq {
            placed.entry(key.0).or_default().push(Placed { seq, begun: write.begun, acked: write.acked });
        }
    }
    // A change of members may have been made by an earlier try of its id.
    let mut first_tries: BTreeMap<(&str, &str, &str), Nanos> = BTreeMap::new();
    for call in history.calls.iter().filter(|call| !call.action.is_log_write()) {
        let key = (call.conversation.as_str(), call.user.as_str(), call.request_id.as_str());
        let begun = *first_tries.entry(key).or_insert(call.begun);
        if let Answer::Stored { seq, .. } = call.answer {
            let write = Placed { seq, begun, acked: call.ended };
            placed.entry(&call.conversation).or_default().push(write);
        }
    }
    for (conversation, mut writes) in placed {
        let mut acks: Vec<(Nanos, u64)> = writes.iter().filter_map(|write| Some((write.acked?, write.seq))).collect();
        acks.sort_unstable();
        writes.sort_unstable_by_key(|write| write.begun);
        let (mut acked, mut highest) = (acks.into_iter().peekable(), 0);
        for write in writes {
            while let Some((_, seq)) = acked.next_if(|(at, _)| *at < write.begun) {
                highest = highest.max(seq);
            }
            if write.seq < highest {
                found.add(Check::C6, format!("{conversation}: {} began after {highest} was acknowledged", write.seq));
            }
        }
    }
}

/// A send that was answered with an error which does not say that it never will be stored.
struct Failed<'a> {
    ended: Nanos,
    /// Where a later try, or this one after all, was stored.
    stored: Option<u64>,
    request_id: &'a str,
}

/// Whether a send was refused for what is not a failure of the pipeline: a block, say. What came behind it may have arrived
/// after the refusal was told, and after the block had ended.
fn ends_nothing(reason: &str, failed: Option<&Vec<Failed<'_>>>, call: &Call) -> bool {
    if reason == Reason::PredecessorFailed.as_str() {
        return !failed.into_iter().flatten().any(|before| before.ended > call.begun);
    }
    Reason::parse(reason).is_some_and(|reason| !reason.retryable())
}

/// Sends of one session in one conversation stand in the order in which they were sent, each by its first attempt.
fn pipelines_keep_their_order(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let mut last: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    let mut failed: BTreeMap<(usize, &str), Vec<Failed<'_>>> = BTreeMap::new();
    for call in &history.calls {
        let (Some(session), Action::Send { .. }) = (call.session, &call.action) else { continue };
        let pipeline = (session, call.conversation.as_str());
        let write = &truth.writes[&(call.conversation.as_str(), call.user.as_str(), call.request_id.as_str())];
        match &call.answer {
            Answer::Stored { seq, duplicate: false, .. } => {
                if let Some(before) = last.get(&pipeline).filter(|before| *before > seq) {
                    found.add(Check::C6, format!("{pipeline:?}: {seq} was sent after {before}"));
                }
                last.insert(pipeline, *seq);
                for before in failed.get(&pipeline).into_iter().flatten() {
                    if before.ended > call.begun && before.stored.is_none_or(|stored| stored > *seq) {
                        found.add(
                            Check::C6,
                            format!("{pipeline:?}: {seq} overtook {}, which failed", before.request_id),
                        );
                    }
                }
            }
            Answer::NotAttempted(reason) if ends_nothing(reason, failed.get(&pipeline), call) => {}
            Answer::NotAttempted(_) | Answer::Unknown(_) => {
                let ended = call.ended.unwrap_or(Nanos::MAX);
                // Stored after all, though nobody was told: the log knows.
                let stored = write.seq.or_else(|| truth.logs.get(call.conversation.as_str())?.place_of(call));
                let call = Failed { ended, stored, request_id: &call.request_id };
                failed.entry(pipeline).or_default().push(call);
            }
            _ => {}
        }
    }
}
