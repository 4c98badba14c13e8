use super::*;

const LIMITS: TypingLimits =
    TypingLimits { typists_max: 5, conversation_typists_max: 3, lifetime: Duration::from_secs(6) };

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn conversation(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn typing_ends_by_itself_six_seconds_after_the_last_word() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    assert_eq!(typing.start(conversation(1), &user("ann"), now), Noted::Changed);
    assert_eq!(typing.start(conversation(1), &user("ann"), now + seconds(1)), Noted::Same);
    assert_eq!(typing.start(conversation(1), &user("ann"), now + seconds(3)), Noted::Changed);
    assert!(typing.expire(now + seconds(8)).is_empty());
    assert_eq!(typing.typists(conversation(1)), [(user("ann"), now + seconds(3))].into());
    assert_eq!(typing.expire(now + seconds(9)), [conversation(1)]);
    assert!(typing.typists(conversation(1)).is_empty());
    assert_eq!(typing.len(), 0);
}

#[test]
fn repetitions_take_no_room() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    for count in 0..1_000 {
        typing.start(conversation(1), &user("ann"), now + Duration::from_millis(count));
    }
    assert_eq!(typing.len(), 1);
}

#[test]
fn who_finds_no_room_is_not_noted() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    for name in ["a", "b", "c"] {
        assert_eq!(typing.start(conversation(1), &user(name), now), Noted::Changed);
    }
    assert_eq!(typing.start(conversation(1), &user("d"), now), Noted::Shed);
    assert_eq!(typing.start(conversation(2), &user("d"), now), Noted::Changed);
    assert_eq!(typing.start(conversation(3), &user("d"), now), Noted::Changed);
    assert_eq!(typing.start(conversation(4), &user("d"), now), Noted::Shed);
    assert_eq!(typing.start(conversation(1), &user("a"), now), Noted::Same);
}

#[test]
fn a_user_stops_everywhere_at_once() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    typing.start(conversation(1), &user("ann"), now);
    typing.start(conversation(2), &user("ann"), now);
    typing.start(conversation(2), &user("bob"), now);
    let mut ended = typing.stop_everywhere(&user("ann"));
    ended.sort_unstable();
    assert_eq!(ended, [conversation(1), conversation(2)]);
    assert!(typing.typists(conversation(2)).into_keys().eq([user("bob")]));
    assert_eq!(typing.stop(conversation(1), &user("ann")), Noted::Same);
}

#[test]
fn what_is_left_of_a_word_counts_and_no_more_than_a_word_of_here() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    assert_eq!(typing.start_for(conversation(1), &user("ann"), seconds(2), now), Noted::Changed);
    assert_eq!(typing.start_for(conversation(2), &user("ann"), seconds(60), now), Noted::Changed);
    assert!(typing.types(&user("ann")) && !typing.types(&user("bob")));
    assert_eq!(typing.expire(now + seconds(2)), [conversation(1)]);
    assert_eq!(typing.expire(now + seconds(6)), [conversation(2)]);
    assert!(!typing.types(&user("ann")));
}

#[test]
fn a_shorter_word_ends_nothing_sooner() {
    let (mut typing, now) = (Typing::new(LIMITS), Instant::now());
    typing.start(conversation(1), &user("ann"), now);
    typing.start_for(conversation(1), &user("ann"), seconds(1), now);
    assert!(typing.expire(now + seconds(5)).is_empty());
    assert_eq!(typing.expire(now + seconds(6)), [conversation(1)]);
    assert_eq!(typing.len(), 0);
}
