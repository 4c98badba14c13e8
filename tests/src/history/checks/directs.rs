//! C8: exactly one direct per pair.

use std::collections::BTreeMap;

use super::{Check, Found};
use crate::history::record::{Found as ReadFound, History};

pub(super) fn check(history: &History, found: &mut Found<'_>) {
    let mut of_pair: BTreeMap<[&str; 2], &str> = BTreeMap::new();
    let mut pair_of: BTreeMap<&str, [&str; 2]> = BTreeMap::new();
    let mut created: BTreeMap<[&str; 2], u32> = BTreeMap::new();
    let answers = history.directs.iter().filter_map(|call| {
        let conversation = call.conversation.as_deref()?;
        Some((pair(&call.user, &call.peer), conversation, call.created))
    });
    let listed = history.reads.iter().flat_map(|read| {
        let conversations = match &read.found {
            ReadFound::Conversations(conversations) => conversations.as_slice(),
            _ => &[],
        };
        conversations
            .iter()
            .filter(|view| !view.peer.is_empty())
            .map(|view| (pair(&read.user, &view.peer), view.conversation.as_str(), false))
    });
    for (pair, conversation, new) in answers.chain(listed) {
        let first = *of_pair.entry(pair).or_insert(conversation);
        if first != conversation {
            found.add(Check::C8, format!("{pair:?} have {first} and {conversation}"));
        }
        let owner = *pair_of.entry(conversation).or_insert(pair);
        if owner != pair {
            found.add(Check::C8, format!("{conversation} belongs to {owner:?} and to {pair:?}"));
        }
        *created.entry(pair).or_default() += u32::from(new);
    }
    for (pair, times) in created.into_iter().filter(|(_, times)| *times > 1) {
        found.add(Check::C8, format!("the direct of {pair:?} was created {times} times"));
    }
}

fn pair<'a>(one: &'a str, other: &'a str) -> [&'a str; 2] {
    if one <= other { [one, other] } else { [other, one] }
}
