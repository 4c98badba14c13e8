use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::SeededEntropy;

type Cursor = (u64, String);

fn keys(seed: u64) -> Keys {
    Keys::generate(&SeededEntropy::new(seed))
}

fn sealer(keys: &Keys) -> PageSealer {
    PageSealer::new(keys, Arc::new(SeededEntropy::new(9)))
}

fn cursor() -> Cursor {
    (42, "name".to_owned())
}

fn refused(result: Result<Cursor>) -> bool {
    matches!(result, Err(error) if error.reason == Reason::PageTokenInvalid)
}

#[test]
fn a_token_opens_on_another_instance_for_the_same_call() {
    let keys = keys(1);
    let token = sealer(&keys).seal("u1", &("direct", 5), &cursor()).unwrap();
    assert_eq!(sealer(&keys).open::<Cursor>("u1", &("direct", 5), &token), Ok(cursor()));
}

#[test]
fn a_token_is_bound_to_method_caller_and_filters() {
    let sealer = sealer(&keys(1)).for_method("ListMessages");
    let token = sealer.seal("u1", &"direct", &cursor()).unwrap();
    assert!(refused(sealer.open("u2", &"direct", &token)));
    assert!(refused(sealer.open("u1", &"group", &token)));
    assert!(refused(sealer.for_method("ListMembers").open("u1", &"direct", &token)));
    assert_eq!(sealer.open::<Cursor>("u1", &"direct", &token), Ok(cursor()));
}

#[test]
fn parts_do_not_run_into_each_other() {
    let sealer = sealer(&keys(1));
    let token = sealer.seal("u1\",\"x", &"y", &cursor()).unwrap();
    assert!(refused(sealer.open("u1", &"x\",\"y", &token)));
}

#[test]
fn another_key_does_not_open_it_and_a_predecessor_does() {
    let (old, new) = (keys(1), keys(2));
    let token = sealer(&old).seal("u1", &(), &cursor()).unwrap();
    assert!(refused(sealer(&new).open("u1", &(), &token)));
    let rotated = Keys { pages_previous: Some(old.pages), ..new.clone() };
    assert_eq!(sealer(&rotated).open::<Cursor>("u1", &(), &token), Ok(cursor()));
    let token = sealer(&rotated).seal("u1", &(), &cursor()).unwrap();
    assert_eq!(sealer(&new).open::<Cursor>("u1", &(), &token), Ok(cursor()), "the present key seals");
}

#[test]
fn the_same_cursor_is_sealed_differently_each_time() {
    let sealer = sealer(&keys(1));
    assert_ne!(sealer.seal("u1", &(), &cursor()), sealer.seal("u1", &(), &cursor()));
}

#[test]
fn the_cursor_cannot_be_read_from_the_token() {
    let token = sealer(&keys(1)).seal("u1", &(), &(1u64, "secret name")).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
}

#[test]
fn nonsense_is_refused() {
    let sealer = sealer(&keys(1));
    for token in ["", "x", "!!!!", "AAAA", &"A".repeat(54), &"A".repeat(TOKEN_BYTES_MAX + 1)] {
        assert!(refused(sealer.open("u1", &(), token)), "{token}");
    }
}

#[test]
fn a_cursor_of_another_shape_is_refused() {
    let sealer = sealer(&keys(1));
    let token = sealer.seal("u1", &(), &"another release").unwrap();
    assert!(refused(sealer.open("u1", &(), &token)));
}

#[test]
fn a_cursor_that_is_too_long_is_an_error_and_no_token() {
    let sealer = sealer(&keys(1));
    let longest = "\u{10ffff}".repeat(255);
    let token = sealer.seal("u1", &(), &(1u64, &longest)).unwrap();
    assert_eq!(sealer.open::<Cursor>("u1", &(), &token), Ok((1, longest)));
    assert!(sealer.seal("u1", &(), &"x".repeat(TOKEN_BYTES_MAX)).is_err());
}

#[test]
fn page_sizes_are_clamped() {
    assert_eq!(PageSize::clamp(0u32).get(), 50);
    assert_eq!(PageSize::clamp(-1i32).get(), 50);
    assert_eq!(PageSize::clamp(1u32).get(), 1);
    assert_eq!(PageSize::clamp(200u32).get(), 200);
    assert_eq!(PageSize::clamp(201u32).get(), 200);
    assert_eq!(PageSize::clamp(u32::MAX).get(), 200);
    assert_eq!(PageSize::clamp(i64::MAX).get(), 200);
}

proptest! {
    #[test]
    fn a_changed_token_is_refused(at: prop::sample::Index, bit in 0u8..8) {
        let sealer = sealer(&keys(1));
        let token = sealer.seal("u1", &(), &cursor()).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        prop_assert!(refused(sealer.open("u1", &(), &URL_SAFE_NO_PAD.encode(bytes))));
    }

    #[test]
    fn no_text_makes_it_panic(token in "\\PC{0,80}") {
        prop_assert!(refused(sealer(&keys(1)).open("u1", &(), &token)));
    }
}
