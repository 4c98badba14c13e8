//! A history in which every promise is kept, for the checks' own tests: each of them breaks it in one place.
//!
//! A group of ann (owner), bob and cat, and a direct of ann and bob. In the group: 1 created, 2 ann's message, 3 bob's
//! message, 4 bob's edit of it, 5 bob's deletion of it, 6 cat is removed, 7 ann's message, 8 cat is added, 9 cat's message.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{
    Action, Answer, Body, Call, ConversationView, DirectCall, Door, Entry, Found, HeadView, History, Mark, MarkAnswer,
    MessageView, Nanos, PositionView, Push, Pushed, Read, RedactedKind, Scan, Session, Stop, Verdict,
};
use super::text::{text_with, texts_in};

pub(super) const GROUP: &str = "group";
pub(super) const DIRECT: &str = "direct";
pub(super) const SECOND: Nanos = 1_000_000_000;

/// When the calls of the group began, by seq; each takes a tenth of a second.
pub(super) fn at(seq: u64) -> Nanos {
    seq * 10 * SECOND
}

fn sent(message_id: &str, number: u64) -> Body {
    Body::Message { message_id: message_id.into(), text: text_with(number, 20), reply_to: None }
}

fn created() -> Body {
    Body::Created { members: vec!["ann".into(), "bob".into(), "cat".into()], since_joining: false }
}

pub(super) fn entry(seq: u64) -> Entry {
    let message = |number: u64| sent(&format!("m{number}"), number);
    let (actor, request_id, message_no, version, body) = match seq {
        1 => ("ann", "", 0, 1, created()),
        2 => ("ann", "r2", 1, 1, message(2)),
        3 => ("bob", "r3", 2, 1, message(3)),
        4 => ("bob", "r4", 2, 1, Body::Edited { message_id: "m3".into(), message_seq: 3, text: text_with(4, 20) }),
        5 => ("bob", "r5", 2, 1, Body::Deleted { message_id: "m3".into(), message_seq: 3 }),
        6 => ("ann", "", 2, 2, Body::Removed { member: "cat".into() }),
        7 => ("ann", "r7", 3, 2, message(7)),
        8 => ("ann", "", 3, 3, Body::Added { members: vec!["cat".into()] }),
        9 => ("cat", "r9", 4, 3, message(9)),
        _ => unreachable!("the group has nine entries"),
    };
    Entry {
        conversation: GROUP.into(),
        seq,
        message_no,
        version,
        actor: actor.into(),
        request_id: request_id.into(),
        body,
    }
}

/// The entry as a reader sees it after the deletion.
pub(super) fn erased(seq: u64) -> Entry {
    let mut entry = entry(seq);
    let kind = if seq == 3 { RedactedKind::Message } else { RedactedKind::Edited };
    if seq == 3 || seq == 4 {
        entry.body = Body::Redacted { kind, message_id: "m3".into(), message_seq: 3 };
    }
    entry
}

fn direct_entry() -> Entry {
    Entry {
        conversation: DIRECT.into(),
        seq: 1,
        message_no: 1,
        version: 0,
        actor: "bob".into(),
        request_id: "d1".into(),
        body: sent("d1", 101),
    }
}

fn call(seq: u64, user: &str, action: Action, message_id: &str) -> Call {
    Call {
        user: user.into(),
        door: Door::Socket,
        session: Some(0),
        conversation: GROUP.into(),
        request_id: format!("r{seq}"),
        action,
        begun: at(seq),
        ended: Some(at(seq) + SECOND / 10),
        answer: Answer::Stored { seq, message_id: message_id.into(), duplicate: false },
    }
}

fn send(seq: u64, user: &str) -> Call {
    call(seq, user, Action::send(text_with(seq, 20)), &format!("m{seq}"))
}

fn calls() -> Vec<Call> {
    let mut again = send(2, "ann");
    again.begun += SECOND;
    again.ended = Some(again.begun + SECOND / 10);
    again.answer = Answer::Stored { seq: 2, message_id: "m2".into(), duplicate: true };
    let mut refused = call(5, "bob", Action::Edit { message_id: "m3".into(), text: text_with(50, 20) }, "");
    refused.request_id = "late edit".into();
    refused.begun += 2 * SECOND;
    refused.ended = Some(refused.begun + SECOND / 10);
    refused.answer = Answer::Rejected("ALREADY_DELETED".into());
    let mut lost = send(7, "ann");
    lost.request_id = "lost".into();
    lost.action = Action::send(text_with(70, 20));
    lost.begun += 2 * SECOND;
    lost.answer = Answer::Unknown("connection lost".into());
    lost.ended = Some(lost.begun + SECOND);
    let mut direct = send(1, "bob");
    direct.conversation = DIRECT.into();
    direct.request_id = "d1".into();
    direct.action = Action::send(text_with(101, 20));
    direct.answer = Answer::Stored { seq: 1, message_id: "d1".into(), duplicate: false };
    vec![
        call(1, "ann", Action::CreateGroup { members: vec!["bob".into(), "cat".into()] }, ""),
        direct,
        send(2, "ann"),
        again,
        send(3, "bob"),
        call(4, "bob", Action::Edit { message_id: "m3".into(), text: text_with(4, 20) }, "m3"),
        call(5, "bob", Action::Delete { message_id: "m3".into() }, "m3"),
        refused,
        call(6, "ann", Action::RemoveMember { member: "cat".into() }, ""),
        send(7, "ann"),
        lost,
        call(8, "ann", Action::AddMembers { members: vec!["cat".into()] }, ""),
        send(9, "cat"),
    ]
}

pub(super) fn pushed(at: Nanos, push: Push) -> Pushed {
    let texts = match &push {
        Push::Entry(entry) => texts_in(format!("{:?}", entry.body).as_bytes()),
        _ => BTreeSet::new(),
    };
    Pushed { at, texts, push }
}

fn session(user: &str, opened: Nanos, resume: Option<BTreeMap<String, u64>>) -> Session {
    Session {
        user: user.into(),
        opened,
        follows_all: true,
        resume,
        welcomed: Some(opened + 1),
        resume_entries_max: 500,
        pushes: Vec::new(),
        closed: None,
    }
}

/// Session 0 is ann's and lives through it all, 1 is bob's and resumes after the deletion, 2 is cat's.
fn sessions() -> Vec<Session> {
    let live = |seq: u64| pushed(at(seq) + SECOND / 20, Push::Entry(entry(seq)));
    let position = PositionView {
        conversation: GROUP.into(),
        user: "ann".into(),
        read_seq: 2,
        read_message_no: 1,
        delivered_seq: 0,
    };
    let later = PositionView { read_seq: 7, read_message_no: 3, ..position.clone() };
    let mut ann = session("ann", 0, None);
    ann.pushes.push(pushed(2, Push::Ready));
    ann.pushes.push(pushed(at(1), Push::Added { conversation: GROUP.into(), head: 0 }));
    ann.pushes.push(pushed(at(1), Push::Added { conversation: DIRECT.into(), head: 0 }));
    ann.pushes.push(pushed(at(1) + 1, Push::Entry(direct_entry())));
    ann.pushes.extend((1..=7).map(live));
    ann.pushes.push(pushed(at(7) + SECOND, Push::Positions(vec![position])));
    ann.pushes.push(pushed(at(7) + SECOND, Push::Positions(vec![later])));
    ann.pushes.extend((8..=9).map(live));
    let mut bob = session("bob", at(5) + SECOND, Some(BTreeMap::from([(GROUP.into(), 2), (DIRECT.into(), 1)])));
    bob.pushes.extend((3..=5).map(|seq| pushed(at(5) + SECOND + seq, Push::Entry(erased(seq)))));
    for (conversation, head) in [(GROUP, 5), (DIRECT, 1)] {
        let resumed = Push::Resumed { conversation: conversation.into(), verdict: Verdict::Complete { head } };
        bob.pushes.push(pushed(at(5) + 2 * SECOND, resumed));
    }
    bob.pushes.push(pushed(at(5) + 2 * SECOND, Push::Ready));
    bob.pushes.extend((6..=9).map(live));
    let mut cat = session("cat", at(2) + SECOND, None);
    cat.pushes.push(pushed(at(2) + 2 * SECOND, Push::Ready));
    cat.pushes.extend((3..=6).map(live));
    cat.pushes.push(pushed(at(6) + SECOND / 2, Push::Removed { conversation: GROUP.into() }));
    cat.pushes.push(pushed(at(8) + SECOND / 20, Push::Added { conversation: GROUP.into(), head: 8 }));
    cat.pushes.push(live(9));
    vec![ann, bob, cat]
}

fn read(user: &str, door: Door, found: Found) -> Read {
    let begun = at(20);
    let texts = texts_in(format!("{found:?}").as_bytes());
    Read { user: user.into(), door, begun, ended: begun + 1, last: true, texts, conversation: GROUP.into(), found }
}

pub(super) fn message(number: u64, message_no: u64, sender: &str, deleted: bool) -> MessageView {
    let text = if deleted { String::new() } else { text_with(number, 20) };
    MessageView {
        message_id: format!("m{number}"),
        seq: number,
        message_no,
        sender: sender.into(),
        text,
        deleted,
        reply_to: None,
        pinned: false,
        reactions: Vec::new(),
    }
}

fn reads() -> Vec<Read> {
    let entries: Vec<Entry> = (1..=9).map(erased).collect();
    let log = Found::Log { after: 0, limit: 50, entries, head: 9 };
    let direct = Found::Log { after: 0, limit: 50, entries: vec![direct_entry()], head: 1 };
    let messages = Found::Messages {
        limit: 50,
        messages: vec![
            message(2, 1, "ann", false),
            message(3, 2, "bob", true),
            message(7, 3, "ann", false),
            message(9, 4, "cat", false),
        ],
        as_of: 9,
        whole: true,
    };
    let head = HeadView {
        conversation: GROUP.into(),
        head: 9,
        message_no: 4,
        read_seq: 7,
        unread: 1,
        as_of: 9,
        last_message: Some(message(9, 4, "cat", false)),
    };
    let position = PositionView {
        conversation: GROUP.into(),
        user: "cat".into(),
        read_seq: 9,
        read_message_no: 4,
        delivered_seq: 0,
    };
    let listed = ConversationView { conversation: DIRECT.into(), peer: "bob".into() };
    let mut reads = vec![
        read("ann", Door::Socket, log.clone()),
        read("bob", Door::Http, log),
        read("ann", Door::Socket, messages),
        read("ann", Door::Socket, Found::Heads(vec![head.clone()])),
        read("ann", Door::Grpc, Found::Heads(vec![head])),
        read("bob", Door::Http, Found::Positions { positions: vec![position], as_of: 9 }),
        read("ann", Door::Http, Found::Conversations(vec![listed])),
        read("bob", Door::Http, direct),
    ];
    reads[7].conversation = DIRECT.into();
    let mut refused = read("cat", Door::Http, Found::Refused("CONVERSATION_NOT_FOUND".into()));
    (refused.begun, refused.ended, refused.last) = (at(7), at(7) + 1, false);
    reads.push(refused);
    reads
}

/// The history.
pub(super) fn good() -> History {
    let mark = |seq, read_message_no, unread, as_of, at: Nanos| Mark {
        user: "ann".into(),
        conversation: GROUP.into(),
        seq,
        begun: at,
        ended: Some(at + 1),
        answer: Some(MarkAnswer { read_seq: seq.max(2), read_message_no, unread, as_of }),
    };
    let direct = |user: &str, peer: &str, created| DirectCall {
        user: user.into(),
        peer: peer.into(),
        begun: 0,
        conversation: Some(DIRECT.into()),
        created,
    };
    let scanned: Vec<Entry> = (1..=9).map(erased).chain([direct_entry()]).collect();
    History {
        calls: calls(),
        directs: vec![direct("ann", "bob", true), direct("bob", "ann", false)],
        marks: vec![mark(2, 1, 1, 5, at(5) + SECOND), mark(1, 1, 1, 5, at(5) + 2 * SECOND)],
        reads: reads(),
        sessions: sessions(),
        stops: vec![Stop { begun: at(30), ended: at(31), graceful: true }],
        scan: Some(Scan { texts: texts_in(format!("{scanned:?}").as_bytes()), entries: scanned, checkpointed: true }),
        ..History::default()
    }
}
