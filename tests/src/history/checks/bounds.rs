//! C13: nothing is larger than it may be, and nobody is closed without a reason that is documented.

use super::{Check, Found};
use crate::history::record::{Found as ReadFound, History, Push, Verdict};

/// The items of a page, when none or too many are asked for.
const PAGE_ITEMS_MAX: usize = 200;

/// What the gateway may close with: what the protocol documents, and a frame that is too large.
const CLOSE_CODES: [u16; 8] = [1009, 4000, 4001, 4008, 4010, 4501, 4503, 4504];

pub(super) fn check(history: &History, found: &mut Found<'_>) {
    for read in &history.reads {
        let (limit, items) = match &read.found {
            ReadFound::Log { limit, entries, .. } => (*limit, entries.len()),
            ReadFound::Messages { limit, messages, whole: false, .. } => (*limit, messages.len()),
            _ => continue,
        };
        if items > limit.min(PAGE_ITEMS_MAX) {
            found.add(Check::C13, format!("{} asked {:?} for {limit} and got {items}", read.user, read.door));
        }
    }
    for (id, session) in history.sessions.iter().enumerate() {
        if let Some(code) = session.closed.and_then(|closed| closed.code)
            && !CLOSE_CODES.contains(&code)
        {
            found.add(Check::C13, format!("session {id} of {} was closed with {code}", session.user));
        }
        for pushed in &session.pushes {
            let Push::Resumed { conversation, verdict: Verdict::Complete { head } } = &pushed.push else { continue };
            let cursor = session.resume.as_ref().and_then(|cursors| cursors.get(conversation)).copied().unwrap_or(0);
            if head.saturating_sub(cursor) > session.resume_entries_max {
                found.add(Check::C13, format!("session {id} was filled from {cursor} to {head} in {conversation}"));
            }
        }
    }
}
