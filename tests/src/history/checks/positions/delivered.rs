//! The same of delivered positions.

use std::collections::BTreeMap;

use super::{Check, Found, SECOND};
use crate::history::{
    record::{Found as ReadFound, History, Nanos, PositionView, Push},
    truth::Truth,
};

/// Directs and groups of up to so many members have delivered positions.
const MEMBERS_MAX: usize = 32;

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for delivery in &history.deliveries {
        let Some(delivered) = delivery.delivered_seq else { continue };
        let who = format!("{} in {}", delivery.user, delivery.conversation);
        let kept = truth.logs.get(delivery.conversation.as_str()).is_some_and(|log| log.stays.len() <= MEMBERS_MAX);
        if kept && delivered < delivery.seq {
            found.add(Check::C9, format!("{who}: {} was delivered, the answer says {delivered}", delivery.seq));
        }
        let must = highest_before(history, &delivery.conversation, &delivery.user, delivery.begun);
        if delivered < must {
            found.add(Check::C9, format!("{who}: delivered up to {delivered}, up to {must} before"));
        }
    }
    for (id, session) in history.sessions.iter().enumerate() {
        let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for pushed in &session.pushes {
            let Push::Positions(positions) = &pushed.push else { continue };
            for position in positions {
                let last = seen.entry((&position.conversation, &position.user)).or_default();
                if position.delivered_seq < *last {
                    found.add(
                        Check::C9,
                        format!("session {id} saw a delivered position fall from {last}: {position:?}"),
                    );
                }
                *last = position.delivered_seq;
                is_not_past_the_head(position, truth, found);
            }
        }
    }
    for read in &history.reads {
        let ReadFound::Positions { positions, .. } = &read.found else { continue };
        for position in positions {
            let settled = read.begun.saturating_sub(SECOND);
            let must = highest_before(history, &position.conversation, &position.user, settled);
            if position.delivered_seq < must {
                found.add(Check::C9, format!("{} saw {position:?}, {must} was delivered before", read.user));
            }
            is_not_past_the_head(position, truth, found);
        }
    }
}

fn highest_before(history: &History, conversation: &str, user: &str, at: Nanos) -> u64 {
    let theirs = history.deliveries.iter().filter(|delivery| {
        delivery.conversation == conversation && delivery.user == user && delivery.ended.is_some_and(|ended| ended < at)
    });
    theirs.filter_map(|delivery| delivery.delivered_seq).max().unwrap_or(0)
}

fn is_not_past_the_head(position: &PositionView, truth: &Truth<'_>, found: &mut Found<'_>) {
    let head = truth.logs.get(position.conversation.as_str()).and_then(|log| log.head);
    if head.is_some_and(|head| position.delivered_seq > head) {
        found.add(Check::C9, format!("{position:?} is past the head {head:?}"));
    }
}
