use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::conversation::v1::{Membership, MembershipChangeKind};
use viberchat_proto::message::v1::{LogEntry, Position};
use viberchat_proto::types::v1::ConversationKind;

use super::*;
use crate::config::Config;
use crate::frames;
use crate::frames::Encoding;
use crate::session::{Identity, Session};

const ROOM: usize = 16;

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a good id")
}

pub(crate) fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn membership(number: u8, kind: ConversationKind) -> Membership {
    Membership { conversation_id: conversation(number).to_string(), kind: kind.into(), ..Membership::default() }
}

pub(crate) fn group(number: u8) -> Membership {
    membership(number, ConversationKind::Group)
}

fn entry(number: u8, seq: u64, actor: &str, request_id: &str) -> LogEntry {
    LogEntry {
        conversation_id: conversation(number).to_string(),
        seq,
        actor_user_id: actor.to_owned(),
        request_id: request_id.to_owned(),
        ..LogEntry::default()
    }
}

fn identity(session_id: &str) -> Identity {
    let empty = || Box::from("");
    Identity {
        session_id: session_id.into(),
        device_id: empty(),
        client: empty(),
        connected_at: Timestamp::from_millis(0),
    }
}

/// A session that has said hello.
pub(crate) fn join(registry: &Registry, name: &str) -> (Arc<User>, Arc<Member>) {
    let now = Instant::now();
    let config = Config { outbox_push_bytes_max: 64 * 1024 * 1024, ..Config::default() };
    let mut session = Session::new(Arc::new(config), Encoding::Json, now);
    let ends = (now + Duration::from_secs(3600), Timestamp::from_millis(0));
    session.welcome(now, &frames::reply(1, None), identity(name), false, ends, Duration::from_secs(1));
    session.pop_frame();
    session.frames_taken();
    let member = Member::new(session);
    let user = registry.join(&user(name), &member, ROOM);
    registry.attach(&user, &member);
    (user, member)
}

/// How many conversations the user is in.
pub(crate) fn conversations_of(user: &User) -> usize {
    user.state().by_conversation().len()
}

fn pushes(member: &Member) -> Vec<Value> {
    let mut session = member.session();
    session.advance(Instant::now());
    let next = || {
        session.frames_taken();
        session.pop_frame()
    };
    std::iter::from_fn(next)
        .map(|frame| serde_json::from_slice::<Value>(&frame).expect("JSON")["push"].clone())
        .collect()
}

fn seqs(pushes: &[Value]) -> Vec<u64> {
    let entries = pushes.iter().filter_map(|push| push.get("entry"));
    entries.map(|entry| entry["seq"].as_str().expect("a seq").parse().expect("a number")).collect()
}

#[test]
fn a_session_is_live_when_all_heads_are_known() {
    let registry = Registry::default();
    let (_, member) = join(&registry, "alice");
    assert!(pushes(&member).is_empty());
    registry.snapshot("alice", &[group(1), group(2)], Instant::now());
    registry.topic_is_live(conversation(1), 7);
    assert!(pushes(&member).is_empty(), "one head is missing");
    registry.topic_is_live(conversation(2), 0);
    assert!(pushes(&member)[0].get("ready").is_some());
    registry.deliver(conversation(1), vec![entry(1, 8, "bob", ""), entry(1, 9, "bob", "")]);
    assert_eq!(seqs(&pushes(&member)), [8, 9]);
    let (_, second) = join(&registry, "alice");
    assert!(pushes(&second)[0].get("ready").is_some(), "the next one has nothing to wait for");
}

#[test]
fn a_user_who_leaves_the_conversation_that_is_waited_for_waits_no_longer() {
    let registry = Registry::default();
    let (_, member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], Instant::now());
    assert!(pushes(&member).is_empty());
    registry.change("alice", MembershipChangeKind::Removed, &group(1), Instant::now());
    assert!(pushes(&member)[0].get("ready").is_some());
}

#[test]
fn only_the_actor_sees_the_request_id() {
    let registry = Registry::default();
    let members = ["alice", "bob"].map(|name| join(&registry, name).1);
    for name in ["alice", "bob"] {
        registry.snapshot(name, &[group(1)], Instant::now());
    }
    registry.topic_is_live(conversation(1), 0);
    registry.deliver(conversation(1), vec![entry(1, 1, "alice", "r1")]);
    let [alice, bob] = members.map(|member| pushes(&member).pop().expect("an entry"));
    assert_eq!(alice["entry"]["requestId"], "r1");
    assert!(bob["entry"].get("requestId").is_none());
}

#[test]
fn a_snapshot_replaces_what_was_known() {
    let registry = Registry::default();
    let (_, member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1), group(2)], Instant::now());
    registry.topic_is_live(conversation(1), 0);
    registry.topic_is_live(conversation(2), 0);
    pushes(&member);
    registry.snapshot("alice", &[group(2)], Instant::now());
    let said = pushes(&member);
    let about = |number: u8, kind: &str| {
        let id = conversation(number).to_string();
        said.iter().any(|push| push["conversation"]["conversationId"] == id && push["conversation"].get(kind).is_some())
    };
    assert!(about(1, "removed"), "{said:?}");
    assert!(about(2, "changed"), "it may have changed unheard: {said:?}");
    registry.deliver(conversation(1), vec![entry(1, 1, "bob", "")]);
    assert!(pushes(&member).is_empty());
}

#[test]
fn without_trust_nothing_is_pushed() {
    let registry = Registry::default();
    let (_, member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], Instant::now());
    registry.topic_is_live(conversation(1), 0);
    pushes(&member);
    registry.set_trusted(false);
    registry.deliver(conversation(1), vec![entry(1, 1, "bob", "")]);
    assert!(pushes(&member).is_empty());
    registry.set_trusted(true);
    registry.deliver(conversation(1), vec![entry(1, 2, "bob", "")]);
    assert!(pushes(&member).is_empty(), "the first one has to be read before");
}

#[test]
fn positions_of_a_direct_go_to_both_and_those_of_a_group_to_their_user() {
    let registry = Registry::default();
    let [alice, bob] = ["alice", "bob"].map(|name| join(&registry, name).1);
    for name in ["alice", "bob"] {
        registry.snapshot(name, &[group(1), membership(2, ConversationKind::Direct)], Instant::now());
    }
    registry.topic_is_live(conversation(1), 0);
    registry.topic_is_live(conversation(2), 0);
    for number in [1, 2] {
        let conversation_id = conversation(number).to_string();
        registry.position(Position { conversation_id, user_id: "alice".into(), read_seq: 1, ..Position::default() });
    }
    let count = |member: &Member| {
        pushes(member).iter().flat_map(|p| p["positions"]["positions"].as_array().cloned()).flatten().count()
    };
    assert_eq!((count(&alice), count(&bob)), (2, 1));
}

#[test]
fn what_nobody_needs_is_swept_and_what_came_back_is_not() {
    let registry = Registry::default();
    let now = Instant::now();
    let linger = Duration::from_secs(10);
    let (alice, member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], now);
    registry.leave(&alice, &member, now);
    registry.sweep(now + Duration::from_secs(9), linger);
    assert_eq!(registry.sizes(), (1, 1));
    let (again, member) = join(&registry, "alice");
    registry.sweep(now + Duration::from_secs(30), linger);
    assert_eq!(registry.sizes(), (1, 1), "a session came back");
    registry.leave(&again, &member, now);
    registry.sweep(now + linger, linger);
    assert_eq!(registry.sizes(), (0, 1));
    registry.sweep(now + linger * 2, linger);
    assert_eq!(registry.sizes(), (0, 0));
}

#[test]
fn who_comes_and_goes_waits_to_be_swept_once() {
    let registry = Registry::default();
    let (begin, linger) = (Instant::now(), Duration::from_secs(10));
    let mut now = begin;
    for _ in 0..1_000 {
        now += Duration::from_millis(5);
        let (alice, member) = join(&registry, "alice");
        registry.snapshot("alice", &[group(1)], now);
        registry.change("alice", MembershipChangeKind::Removed, &group(1), now);
        registry.leave(&alice, &member, now);
    }
    let waiting = |registry: &Registry| (registry.idle_users.lock().len(), registry.idle_topics.lock().len());
    assert_eq!(waiting(&registry), (1, 1));
    // The time counts from when they were there last.
    registry.sweep(begin + linger + Duration::from_secs(1), linger);
    assert_eq!((registry.sizes(), waiting(&registry)), ((1, 1), (1, 1)));
    registry.sweep(now + linger, linger);
    assert_eq!((registry.sizes(), waiting(&registry)), ((0, 0), (0, 0)));
    // Afterwards they are as new.
    let (alice, member) = join(&registry, "alice");
    registry.leave(&alice, &member, now);
    assert_eq!(waiting(&registry), (1, 0));
}

#[test]
fn a_topic_that_was_replaced_is_not_swept_with_the_old_one() {
    let registry = Registry::default();
    let (now, linger) = (Instant::now(), Duration::from_secs(10));
    let (_, _member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], now);
    registry.change("alice", MembershipChangeKind::Removed, &group(1), now);
    // As if the old one had been swept and another had taken its place.
    registry.topics.lock().clear();
    registry.snapshot("alice", &[group(1)], now);
    registry.sweep(now + linger, linger);
    assert_eq!(registry.sizes(), (1, 1));
}

#[test]
fn sessions_that_begin_while_entries_flow_miss_none() {
    const ENTRIES: u64 = 20_000;
    let registry = Registry::default();
    let (_, first) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], Instant::now());
    registry.topic_is_live(conversation(1), 0);
    let joined = std::thread::scope(|scope| {
        let joining = scope.spawn(|| {
            (0..ROOM - 1)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(1));
                    join(&registry, "alice").1
                })
                .collect::<Vec<_>>()
        });
        for seq in 1..=ENTRIES {
            registry.deliver(conversation(1), vec![entry(1, seq, "bob", "")]);
        }
        joining.join().expect("it does not panic")
    });
    registry.deliver(conversation(1), vec![entry(1, ENTRIES + 1, "bob", "")]);
    for member in joined.iter().chain([&first]) {
        let seen = seqs(&pushes(member));
        assert_eq!(seen.last(), Some(&(ENTRIES + 1)));
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "a hole");
    }
}

#[test]
fn typing_of_a_direct_is_followed_until_it_is_quiet() {
    let registry = Registry::default();
    let (alice, member) = join(&registry, "alice");
    registry.snapshot("alice", &[membership(1, ConversationKind::Direct), group(2)], Instant::now());
    registry.topic_is_live(conversation(1), 0);
    registry.topic_is_live(conversation(2), 0);
    assert!(registry.typing_topics().is_empty());
    registry.deliver(conversation(1), vec![entry(1, 1, "bob", "")]);
    registry.deliver(conversation(2), vec![entry(2, 1, "bob", "")]);
    assert_eq!(registry.typing_topics(), [conversation(1)]);
    let later = Instant::now() + Duration::from_secs(601);
    registry.focus(&alice, &member, &[conversation(1), conversation(2)]);
    registry.end_quiet_directs(later);
    assert_eq!(registry.typing_topics().len(), 2, "both are on the screen");
    registry.focus(&alice, &member, &[]);
    registry.end_quiet_directs(later);
    assert!(registry.typing_topics().is_empty());
}

#[test]
fn a_session_that_leaves_focuses_nothing() {
    let registry = Registry::default();
    let (alice, member) = join(&registry, "alice");
    registry.snapshot("alice", &[group(1)], Instant::now());
    registry.topic_is_live(conversation(1), 0);
    registry.focus(&alice, &member, &[conversation(1)]);
    assert_eq!(registry.typing_topics(), [conversation(1)]);
    registry.leave(&alice, &member, Instant::now());
    assert!(registry.typing_topics().is_empty());
}
