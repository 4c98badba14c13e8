//! A group whose history is hidden from who joins: 1 created with cat, 2 ann's message, 3 cat is removed, 4 ann's message,
//! 5 ann's edit of the first message, 6 cat is added, 7 ann's edit of the second message, 8 ann's message.

use super::super::super::{
    Body, Check, Door, Entry, Found, HeadView, History, MessageView, Push, Read, Scan, Session, check, text_with,
};
use crate::history::example::{SECOND, pushed};

const GROUP: &str = "hidden";

fn entry(seq: u64) -> Entry {
    let message = |id: u64| Body::Message { message_id: format!("m{id}"), text: text_with(id, 20), reply_to: None };
    let edited = |id: u64| Body::Edited { message_id: format!("m{id}"), message_seq: id, text: text_with(seq, 20) };
    let (message_no, version, body) = match seq {
        1 => (0, 1, Body::Created { members: vec!["ann".into(), "cat".into()], since_joining: true }),
        2 => (1, 1, message(2)),
        3 => (1, 2, Body::Removed { member: "cat".into() }),
        4 => (2, 2, message(4)),
        5 => (2, 2, edited(2)),
        6 => (2, 3, Body::Added { members: vec!["cat".into()] }),
        7 => (2, 3, edited(4)),
        8 => (3, 3, message(8)),
        _ => unreachable!("the group has eight entries"),
    };
    Entry { conversation: GROUP.into(), seq, message_no, version, actor: "ann".into(), request_id: String::new(), body }
}

fn hidden(from: u64, to: u64) -> Entry {
    Entry { message_no: 0, version: 0, actor: String::new(), body: Body::Hidden { to_seq: to }, ..entry(from) }
}

/// What cat sees of the log.
fn cats() -> Vec<Entry> {
    vec![entry(1), entry(2), entry(3), hidden(4, 5), entry(6), hidden(7, 7), entry(8)]
}

fn message(seq: u64, message_no: u64, text: u64) -> MessageView {
    MessageView {
        message_id: format!("m{seq}"),
        seq,
        message_no,
        sender: "ann".into(),
        text: text_with(text, 20),
        deleted: false,
        reply_to: None,
        pinned: false,
        reactions: Vec::new(),
    }
}

fn good() -> History {
    let read = |found: Found| Read {
        user: "cat".into(),
        door: Door::Http,
        begun: 20 * SECOND,
        ended: 20 * SECOND + 1,
        last: true,
        texts: Default::default(),
        conversation: GROUP.into(),
        found,
    };
    let messages = vec![message(2, 1, 5), message(8, 3, 8)];
    let head = HeadView {
        conversation: GROUP.into(),
        head: 8,
        message_no: 3,
        read_seq: 6,
        unread: 1,
        as_of: 8,
        last_message: Some(message(8, 3, 8)),
    };
    History {
        reads: vec![
            read(Found::Log { after: 0, limit: 50, entries: cats(), head: 8 }),
            read(Found::Messages { limit: 50, messages, as_of: 8, whole: true }),
            read(Found::Heads(vec![head])),
        ],
        sessions: vec![Session {
            user: "cat".into(),
            opened: SECOND,
            follows_all: false,
            resume: Some([(GROUP.to_owned(), 2)].into()),
            welcomed: Some(SECOND + 1),
            resume_entries_max: 500,
            pushes: cats().into_iter().skip(2).map(|entry| pushed(2 * SECOND, Push::Entry(entry))).collect(),
            closed: None,
        }],
        scan: Some(Scan { entries: (1..=8).map(entry).collect(), ..Scan::default() }),
        ..History::default()
    }
}

#[track_caller]
fn breaks(promise: Check, change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    let report = check(&history);
    assert!(report.broken().contains(&promise), "{promise:?} should be broken: {report}");
}

fn log(history: &mut History) -> &mut Vec<Entry> {
    let Found::Log { entries, .. } = &mut history.reads[0].found else { panic!("a log") };
    entries
}

#[test]
fn the_good_one_is_green() {
    let report = check(&good());
    assert!(report.anomalies.is_empty(), "{report}");
}

#[test]
fn c5_a_hidden_run_counts_as_seen_and_leaves_nothing_out() {
    breaks(Check::C5, |history| {
        log(history).remove(3);
    });
    breaks(Check::C5, |history| log(history)[3] = hidden(4, 4));
    // What is theirs is not hidden.
    breaks(Check::C5, |history| {
        log(history)[3] = hidden(4, 6);
        log(history).remove(4);
    });
    breaks(Check::C5, |history| {
        let Found::Messages { messages, .. } = &mut history.reads[1].found else { panic!("messages") };
        messages.pop();
    });
}

#[test]
fn c7_a_stream_goes_on_behind_a_hidden_run() {
    breaks(Check::C7, |history| {
        history.sessions[0].pushes.remove(1);
    });
    breaks(Check::C10, |history| {
        history.sessions[0].pushes.remove(1);
    });
}

#[test]
fn c12_somebody_sees_what_is_hidden() {
    // What was said while they were out, and an edit of it; within a second of the removal it is not told yet.
    breaks(Check::C12, |history| {
        log(history).splice(3..4, [entry(4), hidden(5, 5)]);
    });
    breaks(Check::C12, |history| log(history)[5] = entry(7));
    breaks(Check::C12, |history| {
        history.sessions[0].pushes[1] = pushed(4 * SECOND, Push::Entry(entry(4)));
    });
    breaks(Check::C12, |history| {
        let Found::Messages { messages, .. } = &mut history.reads[1].found else { panic!("messages") };
        messages.insert(1, message(4, 2, 7));
    });
    breaks(Check::C12, |history| {
        let messages = vec![message(4, 2, 7)];
        history.reads[1].found = Found::Pinned { messages, as_of: 8 };
    });
    breaks(Check::C12, |history| {
        let Found::Heads(heads) = &mut history.reads[2].found else { panic!("heads") };
        heads[0].last_message = Some(message(4, 2, 7));
    });
}
