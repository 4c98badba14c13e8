use proptest::prelude::*;

use super::*;

#[test]
fn times_before_the_epoch_have_positive_nanos() {
    let proto = Timestamp::from_millis(-1).to_proto();
    assert_eq!((proto.seconds, proto.nanos), (-1, 999_000_000));
}

#[test]
fn what_is_no_time_is_not_read() {
    let read = |seconds, nanos| Timestamp::from_proto(&pbjson_types::Timestamp { seconds, nanos });
    assert_eq!(read(0, -1), None);
    assert_eq!(read(0, 1_000_000_000), None);
    assert_eq!(read(i64::MAX, 0), None);
    assert_eq!(read(i64::MIN, 0), None);
    assert_eq!(read(1, 999_999_999), Some(Timestamp::from_millis(1_999)));
}

#[test]
fn a_manual_clock_moves_only_when_told() {
    let clock = ManualClock::new(Timestamp::from_millis(10));
    assert_eq!(clock.now(), clock.now());
    clock.advance(Duration::from_secs(1));
    assert_eq!(clock.now().millis(), 1_010);
    clock.set(Timestamp::from_millis(5));
    assert_eq!(clock.now().millis(), 5);
}

#[test]
fn the_system_clock_stands_after_this_was_written() {
    assert!(SystemClock.now() > Timestamp::from_millis(1_700_000_000_000));
}

#[test]
fn arithmetic_stops_at_the_ends_of_time() {
    let last = Timestamp::from_millis(i64::MAX);
    assert_eq!(last.saturating_add(Duration::MAX), last);
    assert_eq!(Timestamp::from_millis(i64::MIN).saturating_sub(Duration::from_secs(1)).millis(), i64::MIN);
    assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    assert_eq!(Timestamp::from_millis(9).since(Timestamp::from_millis(5)), Duration::from_millis(4));
}

proptest! {
    #[test]
    fn the_protobuf_form_gives_the_time_back(millis in -(1i64 << 52)..1i64 << 52) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(Timestamp::from_proto(&at.to_proto()), Some(at));
    }
}
