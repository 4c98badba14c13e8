//! C9: positions only move forward, never past the head, and count exactly.

mod delivered;

use std::collections::BTreeMap;

use super::{Check, Found, SECOND};
use crate::history::{
    record::{Action, Found as ReadFound, History, Nanos, Push},
    truth::{Log, Truth},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let moves = moves_of(history, truth);
    for mark in &history.marks {
        let (Some(answer), Some(log)) = (mark.answer, truth.logs.get(mark.conversation.as_str())) else { continue };
        let who = format!("{} in {}", mark.user, mark.conversation);
        if answer.read_seq < mark.seq {
            found.add(Check::C9, format!("{who} marked {}, the answer says {}", mark.seq, answer.read_seq));
        }
        let counted =
            Counted { user: &mark.user, read_seq: answer.read_seq, unread: answer.unread, as_of: answer.as_of };
        counts_exactly(&who, log, counted, found);
        is_not_behind(&who, &moves, (&mark.conversation, &mark.user), mark.begun, answer.read_seq, found);
        if log.message_no(answer.read_seq).is_some_and(|number| number != answer.read_message_no) {
            found.add(Check::C9, format!("{who}: {} is not message {}", answer.read_seq, answer.read_message_no));
        }
    }
    reads_are_exact(history, truth, &moves, found);
    sessions_see_forward_moves(history, truth, found);
    doors_agree_at_the_end(history, truth, found);
    delivered::check(history, truth, found);
}

/// When a position was known to be at least at a seq: by conversation and user, rising.
type Moves<'a> = BTreeMap<(&'a str, &'a str), Vec<(Nanos, u64)>>;

fn moves_of<'a>(history: &'a History, truth: &Truth<'a>) -> Moves<'a> {
    let mut moves: Moves<'_> = BTreeMap::new();
    for mark in &history.marks {
        if let (Some(at), Some(answer)) = (mark.ended, mark.answer) {
            moves.entry((&mark.conversation, &mark.user)).or_default().push((at, answer.read_seq));
        }
    }
    for (key, write) in &truth.writes {
        let sent = matches!(write.calls[0].action, Action::Send { .. });
        if let (true, Some(at), Some(seq)) = (sent, write.acked, write.seq) {
            moves.entry((key.0, key.1)).or_default().push((at, seq));
        }
    }
    for moves in moves.values_mut() {
        moves.sort_unstable();
        let mut highest = 0;
        for (_, seq) in moves {
            highest = highest.max(*seq);
            *seq = highest;
        }
    }
    moves
}

fn highest_before(moves: &Moves<'_>, key: (&str, &str), at: Nanos) -> u64 {
    let Some(moves) = moves.get(&key) else { return 0 };
    moves.partition_point(|(moved, _)| *moved < at).checked_sub(1).map_or(0, |last| moves[last].1)
}

fn is_not_behind(who: &str, moves: &Moves<'_>, key: (&str, &str), at: Nanos, read_seq: u64, found: &mut Found<'_>) {
    let must = highest_before(moves, key, at);
    if read_seq < must {
        found.add(Check::C9, format!("{who} is at {read_seq}, was at {must} before"));
    }
}

#[derive(Clone, Copy)]
struct Counted<'a> {
    user: &'a str,
    read_seq: u64,
    unread: u64,
    as_of: u64,
}

fn counts_exactly(who: &str, log: &Log<'_>, counted: Counted<'_>, found: &mut Found<'_>) {
    if counted.read_seq > counted.as_of {
        found.add(Check::C9, format!("{who} has read {}, past the head {}", counted.read_seq, counted.as_of));
    }
    let from = counted.read_seq.max(log.joined(counted.user, counted.as_of));
    if let (Some(all), Some(read)) = (log.message_no(counted.as_of), log.message_no(from))
        && counted.unread != all.saturating_sub(read)
    {
        found.add(
            Check::C9,
            format!("{who} has {} unread as of {}, read up to {from}: {all} - {read}", counted.unread, counted.as_of),
        );
    }
}

fn reads_are_exact(history: &History, truth: &Truth<'_>, moves: &Moves<'_>, found: &mut Found<'_>) {
    for read in &history.reads {
        match &read.found {
            ReadFound::Heads(heads) => {
                for head in heads {
                    let Some(log) = truth.logs.get(head.conversation.as_str()) else { continue };
                    // For a second after the removal a former member may still be answered; nothing counts for them.
                    if !log.is_member_at(&read.user, head.as_of) {
                        continue;
                    }
                    let who = format!("{} in {} by {:?}", read.user, head.conversation, read.door);
                    let counted =
                        Counted { user: &read.user, read_seq: head.read_seq, unread: head.unread, as_of: head.as_of };
                    counts_exactly(&who, log, counted, found);
                    let settled = read.begun.saturating_sub(SECOND);
                    is_not_behind(&who, moves, (&head.conversation, &read.user), settled, head.read_seq, found);
                    if log.message_no(head.as_of).is_some_and(|number| number != head.message_no) {
                        found.add(Check::C9, format!("{who}: {} messages as of {}", head.message_no, head.as_of));
                    }
                }
            }
            ReadFound::Positions { positions, as_of } => {
                for position in positions {
                    let who = format!("{} in {}, as {} saw it", position.user, position.conversation, read.user);
                    if position.read_seq > *as_of {
                        found.add(Check::C9, format!("{who} has read {}, past the head {as_of}", position.read_seq));
                    }
                    let settled = read.begun.saturating_sub(SECOND);
                    let key = (position.conversation.as_str(), position.user.as_str());
                    is_not_behind(&who, moves, key, settled, position.read_seq, found);
                }
            }
            _ => {}
        }
    }
}

fn sessions_see_forward_moves(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (id, session) in history.sessions.iter().enumerate() {
        let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for pushed in &session.pushes {
            let Push::Positions(positions) = &pushed.push else { continue };
            for position in positions {
                let last = seen.entry((&position.conversation, &position.user)).or_default();
                if position.read_seq < *last {
                    found.add(
                        Check::C9,
                        format!(
                            "session {id} saw {} of {} fall from {last} to {}",
                            position.user, position.conversation, position.read_seq
                        ),
                    );
                }
                *last = position.read_seq;
                let head = truth.logs.get(position.conversation.as_str()).and_then(|log| log.head);
                if head.is_some_and(|head| position.read_seq > head) {
                    found.add(
                        Check::C9,
                        format!("session {id} saw {} at {}, past {head:?}", position.user, position.read_seq),
                    );
                }
            }
        }
    }
}

fn doors_agree_at_the_end(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let mut first: BTreeMap<(&str, &str), (u64, u64, u64)> = BTreeMap::new();
    for read in history.reads.iter().filter(|read| read.last) {
        let ReadFound::Heads(heads) = &read.found else { continue };
        for head in heads {
            let key = (head.conversation.as_str(), read.user.as_str());
            let said = (head.head, head.read_seq, head.unread);
            let before = *first.entry(key).or_insert(said);
            if before != said {
                found.add(
                    Check::C9,
                    format!("{key:?}: one door says head, read, unread {before:?}, {:?} says {said:?}", read.door),
                );
            }
            let highest = highest_possible(history, truth, key);
            if head.read_seq > highest {
                found.add(
                    Check::C9,
                    format!("{key:?} is read up to {}, nobody asked for more than {highest}", head.read_seq),
                );
            }
        }
    }
}

/// The furthest place to which the user's own calls may have moved the position.
fn highest_possible(history: &History, truth: &Truth<'_>, (conversation, user): (&str, &str)) -> u64 {
    let Some(log) = truth.logs.get(conversation) else { return u64::MAX };
    let marked =
        history.marks.iter().filter(|mark| mark.user == user && mark.conversation == conversation).map(|mark| mark.seq);
    let sent = log.shown.keys().rev().find(|seq| log.entry(**seq).is_some_and(|entry| entry.actor == user)).copied();
    let joined = log.joined(user, u64::MAX);
    marked.chain(sent).chain([joined]).max().unwrap_or(0)
}
