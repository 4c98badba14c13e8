//! The session without a socket: what it says to which frames, and that no interleaving breaks the order of a log.

mod model;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;
use viberchat_proto::message::v1::Position;
use viberchat_proto::presence::v1::{Presence, SessionState, Status};

use super::*;
use crate::close::Close;
use model::{Model, Op, START};

fn session(config: Config) -> (Session, Instant) {
    let now = Instant::now();
    (Session::new(Arc::new(config), Encoding::Json, now), now)
}

fn identity() -> Identity {
    let (session_id, device_id, client) = ("s1".into(), "phone".into(), "a test".into());
    Identity { session_id, device_id, client, connected_at: Timestamp::from_millis(0) }
}

fn say(session: &mut Session, now: Instant, frame: &Value) -> Step {
    let text = frame.to_string();
    session.frame(now, Encoding::Json.decode(text.as_bytes()), text.len())
}

fn heard(session: &mut Session) -> Vec<Value> {
    let next = || {
        session.frames_taken();
        session.pop_frame()
    };
    std::iter::from_fn(next).map(|frame| serde_json::from_slice(&frame).expect("JSON")).collect()
}

fn welcome(session: &mut Session, now: Instant, resume: bool) -> Step {
    let ends = (now + Duration::from_secs(3600), Timestamp::from_millis(0));
    let step = session.welcome(now, &frames::reply(1, None), identity(), resume, ends, Duration::from_secs(1));
    heard(session);
    step
}

#[test]
fn the_first_frame_is_hello() {
    let (mut session, now) = session(Config::default());
    say(&mut session, now, &json!({"id": 7, "heartbeat": {}}));
    let said = heard(&mut session);
    assert_eq!(said[0]["id"], 7);
    assert_eq!(said[0]["error"]["reason"], "UNAUTHENTICATED");
    assert!(matches!(say(&mut session, now, &json!({"id": 8, "hello": {}})), Step::Hello { id: 8, .. }));
}

#[test]
fn a_second_hello_is_refused() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    say(&mut session, now, &json!({"id": 2, "hello": {}}));
    assert_eq!(heard(&mut session)[0]["error"]["reason"], "INVALID_ARGUMENT");
}

#[test]
fn ten_unreadable_frames_within_a_minute_end_the_session() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    for count in 1..=9u64 {
        say(&mut session, now + Duration::from_secs(count), &json!({"id": count, "dance": {}}));
        assert_eq!(session.closing(), None, "after {count}");
    }
    let answers = heard(&mut session);
    assert_eq!(answers.len(), 9);
    assert!(answers.iter().all(|answer| answer["error"]["reason"] == "INVALID_ARGUMENT"));
    // The first ones are more than a minute ago.
    say(&mut session, now + Duration::from_secs(63), &json!({"dance": {}}));
    assert_eq!(session.closing(), None);
    for _ in 0..4 {
        say(&mut session, now + Duration::from_secs(64), &json!({"dance": {}}));
    }
    assert_eq!(session.closing(), Some(Close::ProtocolError));
}

#[test]
fn without_hello_the_session_ends_after_ten_seconds() {
    let (mut session, now) = session(Config::default());
    let due = session.tick(now);
    assert_eq!(due, now + Duration::from_secs(10));
    session.tick(due);
    assert_eq!(session.closing(), Some(Close::ProtocolError));
}

#[test]
fn a_resume_that_never_ends_ends_the_session() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, true);
    session.heard(now + Duration::from_secs(29));
    session.tick(now + Duration::from_secs(29));
    assert_eq!(session.closing(), None);
    session.tick(now + Duration::from_secs(30));
    assert_eq!(session.closing(), Some(Close::ProtocolError));
}

#[test]
fn a_silent_client_is_closed_and_a_talking_one_is_not() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    session.tick(now + Duration::from_secs(40));
    say(&mut session, now + Duration::from_secs(44), &json!({"id": 3, "heartbeat": {}}));
    session.tick(now + Duration::from_secs(60));
    assert_eq!(session.closing(), None);
    session.tick(now + Duration::from_secs(90));
    assert_eq!(session.closing(), Some(Close::Silent));
}

#[test]
fn a_stalled_reader_is_closed() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    session.set_stalled(now, true);
    session.set_stalled(now + Duration::from_secs(20), true);
    session.heard(now + Duration::from_secs(29));
    session.tick(now + Duration::from_secs(29));
    assert_eq!(session.closing(), None);
    session.tick(now + Duration::from_secs(30));
    assert_eq!(session.closing(), Some(Close::SlowConsumer));
}

#[test]
fn the_end_of_the_token_is_announced_and_kept() {
    let (mut session, now) = session(Config::default());
    let ends = (now + Duration::from_secs(100), Timestamp::from_millis(5_000));
    session.welcome(now, &frames::reply(1, None), identity(), false, ends, Duration::from_secs(1));
    heard(&mut session);
    session.heard(now + Duration::from_secs(40));
    session.tick(now + Duration::from_secs(40));
    let said = heard(&mut session);
    let notices: Vec<_> = said.iter().filter(|frame| frame["push"].get("tokenExpires").is_some()).collect();
    assert_eq!(notices.len(), 1, "{said:?}");
    session.heard(now + Duration::from_secs(99));
    session.tick(now + Duration::from_secs(99));
    assert!(heard(&mut session).iter().all(|frame| frame["push"].get("tokenExpires").is_none()), "said once");
    assert_eq!(session.closing(), None);
    session.tick(now + Duration::from_secs(100));
    assert_eq!(session.closing(), Some(Close::TokenExpired));
}

#[test]
fn nothing_is_read_while_too_much_is_under_way() {
    let (mut session, now) = session(Config { frames_under_way_max: 2, ..Config::default() });
    welcome(&mut session, now, false);
    let mut under_way = Vec::new();
    for id in 1..=2 {
        assert!(session.may_read());
        let Step::Send { under_way: one, .. } = say(&mut session, now, &json!({"id": id, "send": {}})) else {
            panic!("a send is to be sent")
        };
        under_way.push(one);
    }
    assert!(!session.may_read());
    session.answer(&under_way.pop().expect("two"), Encoding::Json.encode(&frames::reply(2, None)));
    assert!(session.may_read());
}

#[test]
fn a_page_is_read_alone() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    assert!(matches!(say(&mut session, now, &json!({"id": 1, "listMessages": {}})), Step::Call { .. }));
    assert!(!session.may_read(), "two pages at once would be more than is allowed to wait");
}

#[test]
fn a_resume_part_with_a_bad_cursor_is_refused_whole() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, true);
    let cursors =
        json!([{"conversationId": "018f0000-0000-7000-8000-000000000000", "seq": "1"}, {"conversationId": "x"}]);
    say(&mut session, now, &json!({"id": 2, "resumePart": {"cursors": cursors}}));
    assert_eq!(heard(&mut session)[0]["error"]["reason"], "INVALID_ARGUMENT");
    let Phase::Resume { cursors, .. } = &session.phase else { panic!("the resume goes on") };
    assert!(cursors.is_empty());
    let many: Vec<_> = (0..501).map(|_| json!({"conversationId": "018f0000-0000-7000-8000-000000000000"})).collect();
    say(&mut session, now, &json!({"id": 3, "resumePart": {"cursors": many}}));
    assert_eq!(heard(&mut session)[0]["error"]["reason"], "INVALID_ARGUMENT");
}

#[test]
fn a_heartbeat_names_what_the_client_does_not_have() {
    let mut model = Model::new(&[START], None);
    model.drain();
    model.apply(Op::AppendUnheard(0));
    let due = model.now + Duration::from_secs(20);
    model.session.tick(due);
    let heads: Vec<_> = heard(&mut model.session)
        .into_iter()
        .filter_map(|frame| frame["push"].get("heartbeat").cloned())
        .flat_map(|heartbeat| heartbeat["heads"].as_array().cloned().unwrap_or_default())
        .collect();
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0]["headSeq"], (START + 1).to_string());
}

#[test]
fn each_cursor_gets_its_verdict() {
    // Up to date, behind, too far behind, past the head, and one that the resume does not name.
    let mut model = Model::new(&[10, 10, 600, 10, 10], Some(vec![Some(10), Some(7), Some(50), Some(11), None]));
    model.settle();
    let story = model.story();
    assert_eq!(story.verdicts, ["complete 10", "complete 10", "gap 601", "reset", ""]);
    assert_eq!(story.entries[1], [8, 9, 10]);
    assert_eq!(story.added, [4]);
    assert_eq!(story.ready, 1);
    assert!(story.entries[2].is_empty());
}

#[test]
fn a_conversation_of_somebody_else_is_reset() {
    let mut model = Model::new(&[3], Some(vec![None]));
    model.name_stranger();
    model.begin();
    model.settle();
    assert_eq!(model.story().strangers_reset, 1);
    assert_eq!(model.story().ready, 1);
}

#[test]
fn heartbeats_of_both_ends_go_together() {
    let (mut session, now) = session(Config::default());
    welcome(&mut session, now, false);
    let beats =
        |session: &mut Session| heard(session).iter().filter(|frame| frame["push"].get("heartbeat").is_some()).count();
    session.tick(now + Duration::from_secs(1));
    assert_eq!(beats(&mut session), 1);
    say(&mut session, now + Duration::from_secs(2), &json!({"id": 2, "heartbeat": {}}));
    assert_eq!(beats(&mut session), 0, "the last one was a moment ago");
    say(&mut session, now + Duration::from_secs(5), &json!({"id": 3, "heartbeat": {}}));
    assert_eq!(beats(&mut session), 1, "from here on both beat together");
    session.tick(now + Duration::from_secs(19));
    assert_eq!(beats(&mut session), 0);
    session.tick(now + Duration::from_secs(20));
    assert_eq!(beats(&mut session), 1);
}

/// A live session without conversations.
fn live(config: Config) -> (Session, Instant) {
    let (mut session, now) = session(config);
    welcome(&mut session, now, false);
    session.attach(std::iter::empty());
    heard(&mut session);
    (session, now)
}

fn typing() -> frames::Shared {
    frames::Shared::new(frames::typing(ConversationId::from_bytes([1; 16]), "bob".to_owned(), true))
}

#[test]
fn typing_is_shed_while_something_waits_and_counted() {
    let (mut session, now) = live(Config::default());
    assert!(session.typing(&typing()));
    session.set_stalled(now, true);
    assert!(!session.typing(&typing()), "the socket takes nothing");
    session.set_stalled(now, false);
    session.outbox.force_push(vec![0; Config::default().outbox_push_bytes_max as usize / 8].into());
    assert!(!session.typing(&typing()), "something waits");
    session.pop_frame();
    session.pop_frame();
    session.advance(now);
    assert_eq!(heard(&mut session), [json!({"push": {"shed": {"typingCount": 2}}})]);
    session.set_stalled(now, true);
    session.typing(&typing());
    session.set_stalled(now, false);
    session.advance(now + Duration::from_secs(1));
    assert!(heard(&mut session).is_empty(), "not so soon");
    session.advance(now + Duration::from_secs(2));
    assert_eq!(heard(&mut session).len(), 1);
}

#[test]
fn only_the_latest_presence_of_each_watched_user_waits() {
    let (mut session, now) = live(Config::default());
    let presence = |user: &str, status: Status| {
        Arc::new(Presence { user_id: user.to_owned(), status: status.into(), ..Presence::default() })
    };
    session.watch(&["a".to_owned(), "b".to_owned()], 2).expect("as many as allowed");
    assert!(session.watch(&["c".to_owned()], 2).is_err());
    session.presence(&presence("b", Status::Unspecified));
    for status in [Status::Online, Status::Away, Status::Offline] {
        session.presence(&presence("a", status));
        session.presence(&presence("c", status));
    }
    session.advance(now);
    let said = heard(&mut session);
    assert_eq!(said, [json!({"push": {"presence": {"presences": [{"userId": "a", "status": "STATUS_OFFLINE"}]}}})]);
    session.presence(&presence("a", Status::Online));
    assert_eq!(session.unwatch(&["a".to_owned(), "x".to_owned()]), ["a"]);
    session.advance(now);
    assert!(heard(&mut session).is_empty(), "what waits of an ended watch is dropped");
}

#[test]
fn only_the_latest_position_of_each_user_waits_and_none_moves_back() {
    let (mut session, now) = live(Config::default());
    let position = |user: &str, read_seq: u64, delivered_seq: u64| {
        let conversation_id = ConversationId::from_bytes([1; 16]).to_string();
        let user_id = user.to_owned();
        Arc::new(Position { conversation_id, user_id, read_seq, delivered_seq, ..Position::default() })
    };
    for (read, delivered) in [(3, 5), (4, 4), (2, 9)] {
        session.position(&position("a", read, delivered));
    }
    session.position(&position("b", 1, 0));
    session.advance(now);
    let said = heard(&mut session);
    let mut positions = said[0]["push"]["positions"]["positions"].as_array().expect("positions").clone();
    assert_eq!(positions.len(), 2);
    positions.sort_by_key(|position| position["userId"].to_string());
    assert_eq!((&positions[0]["readSeq"], &positions[0]["deliveredSeq"]), (&json!("4"), &json!("9")));
}

#[test]
fn positions_of_a_whole_group_wait_and_no_more() {
    let (mut session, now) = live(Config::default());
    for number in 0..6_000 {
        let (user_id, conversation_id) = (number.to_string(), "c".to_owned());
        session.position(&Arc::new(Position { conversation_id, user_id, read_seq: 1, ..Position::default() }));
    }
    let mut count = 0;
    loop {
        session.advance(now);
        let said = heard(&mut session);
        if said.is_empty() {
            break;
        }
        count += said.iter().filter_map(|frame| frame["push"]["positions"]["positions"].as_array()).flatten().count();
    }
    assert_eq!(count, 5_000);
}

#[test]
fn a_session_that_nobody_uses_is_idle_until_somebody_does() {
    let (mut session, now) = live(Config::default());
    let user = UserId::parse("alice").expect("a good id");
    let state = |session: &Session| session.report(&user).expect("welcomed").state();
    let later = now + Duration::from_secs(299);
    say(&mut session, later, &json!({"id": 2, "heartbeat": {}}));
    session.tick(later);
    assert!(!session.take_activity_change());
    let idle_at = now + Duration::from_secs(300);
    say(&mut session, idle_at, &json!({"id": 3, "heartbeat": {}}));
    session.tick(idle_at);
    assert!(session.take_activity_change() && !session.take_activity_change(), "told once");
    assert_eq!(state(&session), SessionState::Idle);
    say(&mut session, idle_at, &json!({"id": 4, "markRead": {}}));
    assert!(session.take_activity_change());
    assert_eq!(state(&session), SessionState::Active);
}

#[test]
fn signals_pass_in_a_burst_and_then_at_their_rate() {
    let (mut session, now) = live(Config { signals_per_second_max: 2, signals_burst_max: 4, ..Config::default() });
    let mut passed = |at: Instant| {
        let frame = json!({"id": 5, "setTyping": {}});
        match say(&mut session, at, &frame) {
            Step::Call { under_way, .. } => {
                session.answer(&under_way, Encoding::Json.encode(&frames::reply(5, None)));
                heard(&mut session);
                true
            }
            _ => {
                assert_eq!(heard(&mut session)[0]["error"]["reason"], "RATE_LIMITED");
                false
            }
        }
    };
    let burst = (0..10).filter(|_| passed(now)).count();
    assert_eq!(burst, 4);
    let later = (1..=100).filter(|step| passed(now + Duration::from_millis(100) * *step)).count();
    assert_eq!(later, 20, "in ten seconds");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_breaks_a_log(
        cursors in proptest::option::of(proptest::collection::vec(proptest::option::of(0u64..=START + 2), 3)),
        ops in proptest::collection::vec(model::op(3), 0..200),
    ) {
        let mut model = Model::new(&[START, START, START], cursors);
        for op in ops {
            model.apply(op);
        }
        model.settle();
        model.check();
    }
}
