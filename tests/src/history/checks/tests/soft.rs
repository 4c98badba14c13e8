//! Presence and typing. Ann has a session from 1 s on, is busy from 30 s, invisible from 40 s, online from 50 s, and leaves at
//! 60 s. Bob, who shares a group with her, watches from 20 s on, and a stranger too.

use super::super::super::{
    Body, Check, Closed, Door, Entry, Found, History, PresenceView, Push, Pushed, Read, Session, Status, StatusSet,
    Stop, check,
};
use crate::history::example::{SECOND, pushed};

const BOB: usize = 1;
const STRANGER: usize = 2;

fn shown(at: u64, status: Status) -> Pushed {
    let presence = PresenceView { user: "ann".into(), status, last_seen: false };
    pushed(at, Push::Presence(vec![presence]))
}

fn typing(at: u64, typing: bool) -> Pushed {
    pushed(at, Push::Typing { conversation: "group".into(), user: "ann".into(), typing })
}

fn good() -> History {
    let tenth = SECOND / 10;
    let session = |user: &str, opened: u64, pushes: Vec<Pushed>| Session {
        user: user.into(),
        opened,
        follows_all: true,
        resume: None,
        welcomed: Some(opened + tenth),
        resume_entries_max: 500,
        pushes,
        closed: None,
    };
    let set = |status, second: u64| StatusSet {
        user: "ann".into(),
        status,
        begun: second * SECOND,
        ended: Some(second * SECOND + tenth),
    };
    let bobs = vec![
        shown(20 * SECOND + 2 * tenth, Status::Online),
        shown(30 * SECOND + 5 * tenth, Status::Busy),
        typing(33 * SECOND, true),
        typing(39 * SECOND, false),
        shown(40 * SECOND + 5 * tenth, Status::Offline),
        shown(50 * SECOND + 5 * tenth, Status::Online),
        shown(62 * SECOND, Status::Offline),
    ];
    let mut ann = session("ann", SECOND, Vec::new());
    ann.closed = Some(Closed { at: 60 * SECOND, code: None, by_client: true });
    let members = vec!["ann".into(), "bob".into()];
    let entries = vec![Entry {
        conversation: "group".into(),
        seq: 1,
        message_no: 0,
        version: 1,
        actor: "ann".into(),
        request_id: String::new(),
        body: Body::Created { members, since_joining: false },
    }];
    History {
        sessions: vec![
            ann,
            session("bob", 20 * SECOND, bobs),
            session("stranger", 20 * SECOND, vec![shown(21 * SECOND, Status::Unknown)]),
        ],
        statuses: vec![set(Status::Busy, 30), set(Status::Invisible, 40), set(Status::Online, 50)],
        reads: vec![Read {
            user: "bob".into(),
            door: Door::Http,
            begun: 90 * SECOND,
            ended: 90 * SECOND + 1,
            last: true,
            texts: Default::default(),
            conversation: "group".into(),
            found: Found::Log { after: 0, limit: 50, entries, head: 1 },
        }],
        ..History::default()
    }
}

#[track_caller]
fn breaks(change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    let report = check(&history);
    assert!(report.broken().contains(&Check::C11), "C11 should be broken: {report}");
}

#[track_caller]
fn keeps(change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    let report = check(&history);
    assert!(!report.broken().contains(&Check::C11), "{report}");
}

#[test]
fn the_good_one_is_green() {
    let report = check(&good());
    assert!(report.anomalies.is_empty(), "{report}");
}

#[test]
fn c11_what_is_not_heard_of_in_time() {
    for place in [1, 4, 5, 6] {
        breaks(|history| {
            history.sessions[BOB].pushes.remove(place);
        });
    }
    breaks(|history| history.sessions[BOB].pushes[1].at = 32 * SECOND);
    // A crash may take ten seconds to show.
    keeps(|history| history.sessions[BOB].pushes[6].at = 69 * SECOND);
    breaks(|history| history.sessions[BOB].pushes[6].at = 71 * SECOND);
}

#[test]
fn c11_wrongly_offline() {
    breaks(|history| history.sessions[BOB].pushes[0] = shown(22 * SECOND, Status::Offline));
    breaks(|history| history.sessions[BOB].pushes.insert(1, shown(25 * SECOND, Status::Offline)));
    // Unknown for a moment after a start, never later.
    breaks(|history| history.sessions[BOB].pushes.insert(1, shown(25 * SECOND, Status::Unknown)));
    keeps(|history| {
        history.stops.push(Stop { begun: 18 * SECOND, ended: 19 * SECOND, graceful: false });
        history.stops.push(Stop { begun: 91 * SECOND, ended: 92 * SECOND, graceful: true });
        history.sessions[BOB].pushes.insert(1, shown(25 * SECOND, Status::Unknown));
    });
}

#[test]
fn c11_invisible_is_shown() {
    breaks(|history| history.sessions[BOB].pushes[4] = shown(40 * SECOND + SECOND / 2, Status::Invisible));
    breaks(|history| history.sessions[BOB].pushes.insert(5, shown(45 * SECOND, Status::Online)));
    breaks(|history| {
        history.sessions[BOB].pushes.insert(5, typing(45 * SECOND, true));
        history.sessions[BOB].pushes.insert(6, typing(46 * SECOND, false));
    });
}

#[test]
fn c11_a_stranger_sees() {
    for status in [Status::Online, Status::Offline] {
        breaks(|history| history.sessions[STRANGER].pushes.push(shown(22 * SECOND, status)));
    }
    breaks(|history| history.sessions[STRANGER].pushes.push(typing(33 * SECOND, true)));
}

#[test]
fn c11_typing_without_an_end() {
    breaks(|history| {
        history.sessions[BOB].pushes.remove(3);
    });
    // Typing that is repeated ends after the last time.
    keeps(|history| history.sessions[BOB].pushes.insert(3, typing(36 * SECOND, true)));
    // What was left out for a slow reader may have been the end.
    keeps(|history| history.sessions[BOB].pushes[3] = pushed(39 * SECOND, Push::Shed(1)));
}
