//! Reactions, pins, replies, delivered positions, blocks, outages of the store.
//!
//! A group of ann and bob: 1 created, 2 ann's message, 3 bob's reaction to it, 4 it is pinned, 5 bob's answer to it.

use super::super::super::{
    Action, Answer, Block, Body, Call, Check, Delivery, DirectCall, Door, Entry, Found, History, MessageView, Outage,
    PositionView, Push, ReactionView, Read, Reply, Scan, Session, check, text_with,
};
use crate::history::example::{SECOND, pushed};

const GROUP: &str = "marked";
const DIRECT: &str = "direct of ann and bob";

fn reply() -> Reply {
    Reply { message_id: "m2".into(), seq: 2 }
}

fn entry(seq: u64) -> Entry {
    let (actor, message_no, body) = match seq {
        1 => ("ann", 0, Body::Created { members: vec!["ann".into(), "bob".into()], since_joining: false }),
        2 => ("ann", 1, Body::Message { message_id: "m2".into(), text: text_with(2, 20), reply_to: None }),
        3 => ("bob", 1, Body::Reacted { message_id: "m2".into(), message_seq: 2, emoji: "+".into() }),
        4 => ("ann", 1, Body::Pinned { message_id: "m2".into(), message_seq: 2 }),
        5 => ("bob", 2, Body::Message { message_id: "m5".into(), text: text_with(5, 20), reply_to: Some(reply()) }),
        _ => unreachable!("the group has five entries"),
    };
    let request_id = if seq == 1 { String::new() } else { format!("r{seq}") };
    Entry { conversation: GROUP.into(), seq, message_no, version: 1, actor: actor.into(), request_id, body }
}

fn messages(reader: &str) -> Vec<MessageView> {
    let reactions = vec![ReactionView { emoji: "+".into(), count: 1, reacted: reader == "bob" }];
    let message = |seq: u64, message_no, sender: &str| MessageView {
        message_id: format!("m{seq}"),
        seq,
        message_no,
        sender: sender.into(),
        text: text_with(seq, 20),
        deleted: false,
        reply_to: None,
        pinned: false,
        reactions: Vec::new(),
    };
    vec![
        MessageView { pinned: true, reactions, ..message(2, 1, "ann") },
        MessageView { reply_to: Some(reply()), ..message(5, 2, "bob") },
    ]
}

fn call(seq: u64, user: &str, action: Action, message_id: &str) -> Call {
    Call {
        user: user.into(),
        door: Door::Http,
        session: None,
        conversation: GROUP.into(),
        request_id: format!("r{seq}"),
        action,
        begun: seq * SECOND,
        ended: Some(seq * SECOND + 1),
        answer: Answer::Stored { seq, message_id: message_id.into(), duplicate: false },
    }
}

fn good() -> History {
    let read = |user: &str, found: Found| Read {
        user: user.into(),
        door: Door::Grpc,
        begun: 20 * SECOND,
        ended: 20 * SECOND + 1,
        last: true,
        texts: Default::default(),
        conversation: GROUP.into(),
        found,
    };
    let all = |user: &str| Found::Messages { limit: 50, messages: messages(user), as_of: 5, whole: true };
    let pins = |user: &str| Found::Pinned { messages: messages(user)[..1].to_vec(), as_of: 5 };
    let position = PositionView {
        conversation: GROUP.into(),
        user: "bob".into(),
        read_seq: 5,
        read_message_no: 2,
        delivered_seq: 4,
    };
    let lower = PositionView { delivered_seq: 3, ..position.clone() };
    let send = |number: u64, begun: u64, stored: bool| Call {
        conversation: DIRECT.into(),
        request_id: format!("d{number}"),
        begun,
        ended: Some(begun + 1),
        answer: match stored {
            true => Answer::Stored { seq: number, message_id: format!("d{number}"), duplicate: false },
            false => Answer::NotAttempted("BLOCKED".into()),
        },
        ..call(0, "ann", Action::send(text_with(100 + number, 20)), "")
    };
    let block =
        |blocked, begun| Block { user: "bob".into(), peer: "ann".into(), blocked, begun, ended: Some(begun + 1) };
    let direct = |number: u64| Entry {
        conversation: DIRECT.into(),
        seq: number,
        message_no: number,
        version: 0,
        actor: "ann".into(),
        request_id: format!("d{number}"),
        body: Body::Message { message_id: format!("d{number}"), text: text_with(100 + number, 20), reply_to: None },
    };
    History {
        calls: vec![
            call(2, "ann", Action::send(text_with(2, 20)), "m2"),
            call(3, "bob", Action::React { message_id: "m2".into(), emoji: "+".into() }, "m2"),
            call(4, "ann", Action::Pin { message_id: "m2".into() }, "m2"),
            call(5, "bob", Action::Send { text: text_with(5, 20), reply_to: Some("m2".into()) }, "m5"),
            Call {
                request_id: "nothing".into(),
                answer: Answer::Unchanged,
                ..call(6, "ann", Action::Pin { message_id: "m2".into() }, "m2")
            },
            send(1, SECOND, true),
            send(50, 5 * SECOND, false),
            send(2, 10 * SECOND, true),
        ],
        directs: vec![DirectCall {
            user: "ann".into(),
            peer: "bob".into(),
            begun: 0,
            conversation: Some(DIRECT.into()),
            created: true,
        }],
        blocks: vec![block(true, 2 * SECOND), block(false, 9 * SECOND)],
        deliveries: vec![Delivery {
            user: "bob".into(),
            conversation: GROUP.into(),
            seq: 4,
            begun: 7 * SECOND,
            ended: Some(7 * SECOND + 1),
            delivered_seq: Some(4),
        }],
        reads: vec![
            read("ann", all("ann")),
            read("bob", all("bob")),
            read("ann", pins("ann")),
            read("ann", Found::Positions { positions: vec![position.clone()], as_of: 5 }),
        ],
        sessions: vec![Session {
            user: "ann".into(),
            opened: 0,
            follows_all: false,
            resume: None,
            welcomed: Some(1),
            resume_entries_max: 500,
            pushes: vec![
                pushed(8 * SECOND, Push::Positions(vec![lower])),
                pushed(9 * SECOND, Push::Positions(vec![position])),
            ],
            closed: None,
        }],
        outages: vec![Outage { begun: 30 * SECOND, ended: 32 * SECOND }],
        scan: Some(Scan { entries: (1..=5).map(entry).chain([direct(1), direct(2)]).collect(), ..Scan::default() }),
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

fn stored(history: &mut History, seq: u64, change: impl FnOnce(&mut Entry)) {
    change(&mut history.scan.as_mut().unwrap().entries[seq as usize - 1]);
}

fn shown(history: &mut History, read: usize) -> &mut MessageView {
    match &mut history.reads[read].found {
        Found::Messages { messages, .. } | Found::Pinned { messages, .. } => &mut messages[0],
        other => panic!("no messages: {other:?}"),
    }
}

#[test]
fn the_good_one_is_green() {
    let report = check(&good());
    assert!(report.anomalies.is_empty(), "{report}");
}

#[test]
fn c1_marks_that_are_not_what_the_log_makes_them() {
    breaks(Check::C1, |history| shown(history, 0).reactions[0].count = 2);
    breaks(Check::C1, |history| shown(history, 0).reactions[0].reacted = true);
    breaks(Check::C1, |history| shown(history, 0).reactions.clear());
    breaks(Check::C1, |history| shown(history, 0).pinned = false);
    breaks(Check::C1, |history| shown(history, 2).pinned = false);
    breaks(Check::C1, |history| history.reads[2].found = Found::Pinned { messages: Vec::new(), as_of: 5 });
}

#[test]
fn c1_an_acked_mark_that_is_not_stored_as_asked() {
    let other = || Body::Reacted { message_id: "m2".into(), message_seq: 2, emoji: "-".into() };
    breaks(Check::C1, |history| stored(history, 3, |entry| entry.body = other()));
    breaks(Check::C1, |history| {
        stored(history, 4, |entry| entry.body = Body::Unpinned { message_id: "m2".into(), message_seq: 2 });
    });
    breaks(Check::C1, |history| {
        history.calls[3].action = Action::Send { text: text_with(5, 20), reply_to: Some("another".into()) };
    });
    breaks(Check::C1, |history| {
        let reply_to = Some(Reply { seq: 4, ..reply() });
        let body = Body::Message { message_id: "m5".into(), text: text_with(5, 20), reply_to };
        stored(history, 5, |entry| entry.body = body);
    });
}

#[test]
fn c2_a_mark_twice() {
    breaks(Check::C2, |history| {
        let body = entry(3).body;
        stored(history, 4, |entry| (entry.actor, entry.body) = ("bob".into(), body));
    });
    breaks(Check::C2, |history| {
        stored(history, 4, |entry| (entry.actor, entry.request_id) = ("bob".into(), "r3".into()));
    });
}

#[test]
fn c3_nothing_to_change_and_yet_stored() {
    breaks(Check::C3, |history| stored(history, 4, |entry| entry.request_id = "nothing".into()));
}

#[test]
fn c9_delivered_positions_that_fall() {
    breaks(Check::C9, |history| history.deliveries[0].delivered_seq = Some(3));
    breaks(Check::C9, |history| history.sessions[0].pushes.swap(0, 1));
    breaks(Check::C9, |history| {
        let Found::Positions { positions, .. } = &mut history.reads[3].found else { panic!("positions") };
        positions[0].delivered_seq = 3;
    });
    breaks(Check::C9, |history| {
        let Found::Positions { positions, .. } = &mut history.reads[3].found else { panic!("positions") };
        positions[0].delivered_seq = 6;
    });
}

#[test]
fn c12_a_send_through_a_block() {
    breaks(Check::C12, |history| {
        history.calls[7].begun = 5 * SECOND;
        history.calls[7].ended = Some(5 * SECOND + 1);
    });
    breaks(Check::C12, |history| {
        history.blocks.pop();
    });
    // What was tried before the block may have been stored then.
    let mut history = good();
    history.blocks.pop();
    let first = Call { begun: 1, ended: None, answer: Answer::Unknown("lost".into()), ..history.calls[7].clone() };
    history.calls.insert(0, first);
    assert!(!check(&history).broken().contains(&Check::C12));
}

#[test]
fn c14_an_ack_without_the_store() {
    breaks(Check::C14, |history| history.outages = vec![Outage { begun: 9 * SECOND, ended: 12 * SECOND }]);
    breaks(Check::C14, |history| {
        history.outages = vec![Outage { begun: 5 * SECOND - 1, ended: 100 * SECOND }];
        history.calls[6].ended = None;
    });
}

#[test]
fn c16_an_answer_to_what_was_deleted() {
    breaks(Check::C16, |history| {
        stored(history, 4, |entry| entry.body = Body::Deleted { message_id: "m2".into(), message_seq: 2 });
    });
    breaks(Check::C16, |history| {
        stored(history, 3, |entry| entry.body = Body::Deleted { message_id: "m2".into(), message_seq: 2 });
    });
}
