//! One good history, and for each check histories that break it in one place.
//!
//! Map: `marks` reactions, pins, replies, delivered positions, blocks and outages; `hidden` what not everybody sees;
//! `soft` presence and typing.

mod hidden;
mod marks;
mod soft;

use std::collections::BTreeSet;

use crate::history::{
    Action, Answer, Body, Check, Closed, Counters, Door, Found, History, Push, Report, Verdict, check,
    example::{DIRECT, GROUP, SECOND, at, entry, good, pushed},
};

/// The one promise that the change breaks. A change may break others with it, where one fault shows in several ways.
#[track_caller]
fn breaks(promise: Check, change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    let report = check(&history);
    assert!(report.broken().contains(&promise), "{promise:?} should be broken: {report}");
}

/// Changes every entry at a seq of the group that anybody saw.
fn everywhere(history: &mut History, seq: u64, change: impl Fn(&mut crate::history::Entry)) {
    let apply = |entry: &mut crate::history::Entry| {
        if entry.conversation == GROUP && entry.seq == seq {
            change(entry);
        }
    };
    for pushed in history.sessions.iter_mut().flat_map(|session| &mut session.pushes) {
        if let Push::Entry(entry) = &mut pushed.push {
            apply(entry);
        }
    }
    for read in &mut history.reads {
        if let Found::Log { entries, .. } = &mut read.found {
            entries.iter_mut().for_each(apply);
        }
    }
    history.scan.as_mut().unwrap().entries.iter_mut().for_each(apply);
}

fn forget_stored(history: &mut History, seq: u64) {
    for read in &mut history.reads {
        if let Found::Log { entries, .. } = &mut read.found {
            entries.retain(|entry| entry.seq != seq);
        }
    }
    history.scan.as_mut().unwrap().entries.retain(|entry| entry.seq != seq);
}

#[test]
fn a_good_history_is_green() {
    let report = check(&good());
    assert_eq!(report.broken(), BTreeSet::new(), "{report}");
}

#[test]
fn c1_an_acked_write_that_is_not_stored() {
    breaks(Check::C1, |history| forget_stored(history, 9));
    breaks(Check::C1, |history| everywhere(history, 9, |entry| entry.request_id = "other".into()));
    breaks(Check::C1, |history| {
        everywhere(history, 9, |entry| {
            entry.body = Body::Message { message_id: "m9".into(), text: "other".into(), reply_to: None }
        });
    });
    breaks(Check::C1, |history| {
        everywhere(history, 8, |entry| entry.body = Body::Added { members: vec!["dan".into()] });
    });
}

#[test]
fn c1_a_read_that_lags_behind_an_ack() {
    breaks(Check::C1, |history| {
        let Found::Log { head, entries, .. } = &mut history.reads[0].found else { panic!("a log") };
        *head = 8;
        entries.pop();
    });
    breaks(Check::C1, |history| {
        let Found::Messages { messages, .. } = &mut history.reads[2].found else { panic!("messages") };
        messages[0].text = "never written".into();
    });
    breaks(Check::C1, |history| {
        let Found::Messages { messages, .. } = &mut history.reads[2].found else { panic!("messages") };
        messages[1].deleted = false;
    });
    breaks(Check::C1, |history| history.reads[0].found = Found::Refused("INTERNAL".into()));
}

#[test]
fn c2_twice() {
    breaks(Check::C2, |history| everywhere(history, 7, |entry| entry.request_id = "r2".into()));
    breaks(Check::C2, |history| {
        everywhere(history, 7, |seventh| seventh.body = entry(2).body);
    });
    breaks(Check::C2, |history| {
        history.calls[3].answer = Answer::Stored { seq: 7, message_id: "m7".into(), duplicate: true };
    });
    breaks(Check::C2, |history| {
        history.calls[3].answer = Answer::Stored { seq: 2, message_id: "m2".into(), duplicate: false };
    });
}

#[test]
fn c3_refused_and_yet_there() {
    breaks(Check::C3, |history| history.calls[2].answer = Answer::Rejected("TEXT_EMPTY".into()));
    breaks(Check::C3, |history| {
        for call in &mut history.calls[2..4] {
            call.answer = Answer::NotAttempted("DEADLINE_EXCEEDED".into());
        }
    });
}

#[test]
fn an_unknown_write_may_be_there_once() {
    let mut history = good();
    history.calls.last_mut().unwrap().answer = Answer::Unknown("connection lost".into());
    assert_eq!(check(&history).broken(), BTreeSet::new());
}

#[test]
fn a_lost_ack_leaves_the_order_of_a_pipeline() {
    let mut history = good();
    for call in &mut history.calls[2..4] {
        (call.answer, call.ended) = (Answer::Unknown("the session ended".into()), Some(at(40)));
    }
    assert_eq!(check(&history).broken(), BTreeSet::new());
}

#[test]
fn c4_two_entries_at_one_place() {
    breaks(Check::C4, |history| {
        history.sessions[0].pushes.push(pushed(at(10), Push::Entry(entry(9))));
        let Push::Entry(last) = &mut history.sessions[0].pushes.last_mut().unwrap().push else { panic!("an entry") };
        last.actor = "bob".into();
    });
    breaks(Check::C4, |history| {
        let Found::Log { entries, .. } = &mut history.reads[1].found else { panic!("a log") };
        entries.swap(1, 6);
        entries[1].seq = 2;
        entries[6].seq = 7;
    });
}

#[test]
fn c4_erased_without_a_deletion() {
    breaks(Check::C4, |history| {
        history.calls.retain(|call| !matches!(call.action, Action::Delete { .. }));
    });
}

#[test]
fn c5_a_hole() {
    breaks(Check::C5, |history| {
        forget_stored(history, 4);
    });
    breaks(Check::C5, |history| everywhere(history, 7, |entry| entry.message_no = 9));
    breaks(Check::C5, |history| {
        let Found::Messages { messages, .. } = &mut history.reads[2].found else { panic!("messages") };
        messages.remove(2);
    });
}

#[test]
fn c6_order_against_time() {
    breaks(Check::C6, |history| {
        history.calls[2].begun = at(8);
        history.calls[3].begun = at(8) + SECOND;
        history.calls[2].ended = Some(at(8) + SECOND);
    });
    breaks(Check::C6, |history| {
        // Both of one session and at the same time: only the order in which they were sent is left.
        let (first, second) = (9, 2);
        history.calls.swap(first, second);
        for call in [first, second] {
            (history.calls[call].begun, history.calls[call].ended) = (0, Some(at(40)));
        }
    });
}

#[test]
fn c6_a_send_that_overtakes_a_failed_one() {
    breaks(Check::C6, |history| {
        let mut failed = history.calls[9].clone();
        failed.request_id = "first".into();
        failed.action = Action::send("first");
        failed.answer = Answer::NotAttempted("STORE_UNAVAILABLE".into());
        failed.begun -= 1;
        history.calls.insert(9, failed);
    });
}

#[test]
fn c6_what_came_behind_a_block_may_be_stored_once_it_has_ended() {
    let mut history = good();
    for (reason, place) in [("BLOCKED", 9), ("PREDECESSOR_FAILED", 10)] {
        let mut refused = history.calls[place].clone();
        refused.request_id = reason.to_lowercase();
        refused.action = Action::send(reason);
        refused.answer = Answer::NotAttempted(reason.into());
        refused.begun -= 1;
        history.calls.insert(place, refused);
    }
    assert_eq!(check(&history).broken(), BTreeSet::new());
}

#[test]
fn c7_a_stream_with_a_gap() {
    breaks(Check::C7, |history| {
        history.sessions[0].pushes.remove(6);
    });
    breaks(Check::C7, |history| history.sessions[0].pushes.swap(6, 7));
    breaks(Check::C7, |history| {
        history.sessions[1].pushes.pop();
    });
    breaks(Check::C7, |history| {
        let direct = |pushed: &crate::history::Pushed| match &pushed.push {
            Push::Entry(entry) => entry.conversation == DIRECT,
            Push::Added { conversation, .. } => conversation == DIRECT,
            _ => false,
        };
        history.sessions[0].pushes.retain(|pushed| !direct(pushed));
        history.reads[7].user = "ann".into();
    });
}

#[test]
fn c8_two_directs_of_a_pair() {
    breaks(Check::C8, |history| history.directs[1].conversation = Some("other".into()));
    breaks(Check::C8, |history| history.directs[1].created = true);
    breaks(Check::C8, |history| history.directs[1].peer = "cat".into());
}

#[test]
fn c9_positions_that_fall_or_count_wrong() {
    breaks(Check::C9, |history| history.marks[1].answer.as_mut().unwrap().read_seq = 1);
    breaks(Check::C9, |history| history.marks[0].answer.as_mut().unwrap().unread = 2);
    breaks(Check::C9, |history| history.marks[0].answer.as_mut().unwrap().read_message_no = 2);
    breaks(Check::C9, |history| history.marks[0].answer.as_mut().unwrap().as_of = 1);
    breaks(Check::C9, |history| {
        let pushes = &mut history.sessions[0].pushes;
        let place = pushes.iter().position(|pushed| matches!(pushed.push, Push::Positions(_))).unwrap();
        pushes.swap(place, place + 1);
    });
}

#[test]
fn c9_doors_that_disagree() {
    type Change = fn(&mut crate::history::HeadView);
    let changes: [Change; 3] = [|head| head.unread = 2, |head| head.read_seq = 5, |head| head.message_no = 5];
    for change in changes {
        breaks(Check::C9, |history| {
            let Found::Heads(heads) = &mut history.reads[4].found else { panic!("heads") };
            change(&mut heads[0]);
        });
    }
}

#[test]
fn c10_a_resume_that_is_not_complete() {
    // The first missing entry is skipped.
    breaks(Check::C10, |history| {
        history.sessions[1].pushes.remove(0);
    });
    // The verdict comes too early.
    breaks(Check::C10, |history| {
        history.sessions[1].pushes.swap(2, 3);
    });
    // It names a head that is too low.
    breaks(Check::C10, |history| {
        let Push::Resumed { verdict, .. } = &mut history.sessions[1].pushes[3].push else { panic!("a verdict") };
        *verdict = Verdict::Complete { head: 3 };
    });
    // A conversation has none.
    breaks(Check::C10, |history| {
        history.sessions[1].pushes.remove(4);
    });
    for verdict in [Verdict::Gap { from: 5 }, Verdict::Reset { removed: false }, Verdict::Reset { removed: true }] {
        breaks(Check::C10, |history| {
            let Push::Resumed { verdict: given, .. } = &mut history.sessions[1].pushes[3].push else {
                panic!("a verdict")
            };
            *given = verdict;
        });
    }
}

#[test]
fn c12_a_removed_member_writes_or_sees() {
    breaks(Check::C12, |history| everywhere(history, 7, |entry| entry.actor = "cat".into()));
    breaks(Check::C12, |history| {
        let read = history.reads[0].clone();
        let refused = history.reads.last_mut().unwrap();
        refused.found = read.found;
    });
    breaks(Check::C12, |history| {
        history.sessions[2].pushes.insert(6, pushed(at(7) + SECOND, Push::Entry(entry(7))));
    });
    breaks(Check::C12, |history| {
        history.sessions[2].pushes.retain(|pushed| !matches!(pushed.push, Push::Removed { .. }));
    });
}

#[test]
fn c13_more_than_asked_for() {
    breaks(Check::C13, |history| {
        let Found::Log { limit, .. } = &mut history.reads[0].found else { panic!("a log") };
        *limit = 5;
    });
    breaks(Check::C13, |history| {
        history.sessions[1].closed = Some(Closed { at: at(25), code: Some(1006), by_client: false });
    });
    breaks(Check::C13, |history| history.sessions[1].resume_entries_max = 2);
}

#[test]
fn c15_a_stop_that_is_not_said() {
    breaks(Check::C15, |history| {
        history.sessions[0].closed = Some(Closed { at: at(30) + 1, code: None, by_client: false });
    });
    let mut history = good();
    history.sessions[0].closed = Some(Closed { at: at(30) + 1, code: Some(4001), by_client: false });
    history.sessions[0].pushes.push(pushed(at(30), Push::Goaway));
    assert_eq!(check(&history).broken(), BTreeSet::new());
}

#[test]
fn c16_deleted_text() {
    breaks(Check::C16, |history| {
        history.reads[3].texts.insert(3);
    });
    breaks(Check::C16, |history| {
        history.sessions[1].pushes[0].texts.insert(4);
    });
    breaks(Check::C16, |history| {
        history.scan.as_mut().unwrap().texts.insert(4);
    });
    breaks(Check::C16, |history| {
        everywhere(history, 7, |entry| {
            entry.body = Body::Edited { message_id: "m3".into(), message_seq: 3, text: "again".into() };
        });
    });
}

#[test]
fn a_run_without_what_it_must_show_does_not_count() {
    let shown = Counters { duplicates: 1, conditions_lost: 2, resumed: 3, filled: 4 };
    let report = Report { anomalies: Vec::new(), counters: shown };
    assert_eq!(report.lacking(shown), Vec::<String>::new());
    let wanted = Counters { filled: 5, ..shown };
    assert_eq!(report.lacking(wanted), ["gaps filled: 4, at least 5 wanted"]);
}

#[test]
fn another_door_is_another_reader() {
    let doors: BTreeSet<Door> = good().reads.iter().map(|read| read.door).collect();
    assert_eq!(doors.len(), 3, "the good history reads by every door");
}
