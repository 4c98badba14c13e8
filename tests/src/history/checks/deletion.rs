//! C16: once a deletion is acknowledged, no door returns the text, and nothing changes the message any more.

use super::{Check, Found};
use crate::history::{
    record::{Body, History, Nanos},
    truth::Truth,
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let acked = |text: &u64| {
        let message = truth.message_of_text.get(text)?;
        truth.deletions.get(message)?.acked.map(|at| (*message, at))
    };
    let mut seen = |who: String, since: Nanos, texts: &std::collections::BTreeSet<u64>| {
        for text in texts {
            if let Some((message, _)) = acked(text).filter(|(_, at)| *at < since) {
                found.add(Check::C16, format!("{who} got text {text} of {message}, which was deleted before"));
            }
        }
    };
    for read in &history.reads {
        seen(format!("{} by {:?}", read.user, read.door), read.begun, &read.texts);
    }
    for (id, session) in history.sessions.iter().enumerate() {
        // What was queued on an open socket before the deletion may still arrive.
        for pushed in &session.pushes {
            seen(format!("session {id} of {}", session.user), session.opened, &pushed.texts);
        }
    }
    if let Some(scan) = history.scan.as_ref().filter(|scan| scan.checkpointed) {
        seen("the store's files".to_owned(), Nanos::MAX, &scan.texts);
    }
    nothing_follows_a_deletion(truth, found);
}

fn nothing_follows_a_deletion(truth: &Truth<'_>, found: &mut Found<'_>) {
    for (conversation, log) in &truth.logs {
        for (message, places) in &log.places {
            let deleted = places
                .iter()
                .find(|seq| log.entry(**seq).is_some_and(|entry| matches!(entry.body, Body::Deleted { .. })));
            if let Some(later) = deleted.and_then(|deleted| places.iter().find(|seq| *seq > deleted)) {
                found.add(Check::C16, format!("{message} in {conversation} changes at {later}, after its deletion"));
            }
        }
    }
}
