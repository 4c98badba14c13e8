//! C12: a block stops new messages of a direct, from both sides.

use std::collections::BTreeMap;

use super::{Check, Found};
use crate::history::{
    record::{Action, Answer, History, Nanos},
    truth::Truth,
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let directs: BTreeMap<&str, [&str; 2]> = history
        .directs
        .iter()
        .filter_map(|call| Some((call.conversation.as_deref()?, [call.user.as_str(), call.peer.as_str()])))
        .collect();
    for call in &history.calls {
        let (Action::Send { .. }, Answer::Stored { duplicate: false, .. }) = (&call.action, &call.answer) else {
            continue;
        };
        let (Some([one, other]), Some(ended)) = (directs.get(call.conversation.as_str()), call.ended) else { continue };
        // An earlier try of the id may have been stored before the block.
        let key = (call.conversation.as_str(), call.user.as_str(), call.request_id.as_str());
        let begun = truth.writes.get(&key).map_or(call.begun, |write| write.begun);
        let blocked = is_blocked(history, one, other, begun, ended) || is_blocked(history, other, one, begun, ended);
        if blocked {
            found.add(Check::C12, format!("{} was sent by {} though blocked", call.request_id, call.user));
        }
    }
}

/// Whether a block of one by the other holds for the whole time, a second after its ack.
fn is_blocked(history: &History, user: &str, peer: &str, begun: Nanos, ended: Nanos) -> bool {
    let theirs = || history.blocks.iter().filter(|block| block.user == user && block.peer == peer);
    theirs().filter(|block| block.blocked && block.ended.is_some_and(|at| history.known_by(at) < begun)).any(|block| {
        // Any try to take it away may have done so, answered or not.
        theirs().all(|other| other.blocked || other.begun > ended || other.ended.is_some_and(|at| at < block.begun))
    })
}
