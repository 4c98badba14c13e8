use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

#[test]
fn a_user_id_has_1_to_128_bytes() {
    assert_eq!(UserId::parse(""), Err(InvalidId::Empty));
    assert!(UserId::parse("7").is_ok());
    assert!(UserId::parse("x".repeat(128)).is_ok());
    assert_eq!(UserId::parse("x".repeat(129)), Err(InvalidId::TooLong(128)));
    // Bytes, not characters.
    assert!(UserId::parse("é".repeat(64)).is_ok());
    assert_eq!(UserId::parse("é".repeat(65)), Err(InvalidId::TooLong(128)));
}

#[test]
fn a_request_id_has_1_to_64_bytes() {
    assert_eq!(RequestId::parse(""), Err(InvalidId::Empty));
    assert!(RequestId::parse("x".repeat(64)).is_ok());
    assert_eq!(RequestId::parse("x".repeat(65)), Err(InvalidId::TooLong(64)));
}

#[test]
fn control_characters_make_no_id() {
    for text in ["a\0", "\n", "a\tb", "\u{7f}", "\u{85}", "\u{9f}b"] {
        assert_eq!(UserId::parse(text), Err(InvalidId::ControlCharacter), "{text:?}");
        assert_eq!(RequestId::parse(text), Err(InvalidId::ControlCharacter), "{text:?}");
    }
}

#[test]
fn user_ids_are_compared_by_bytes() {
    let composed = UserId::parse("\u{e9}").unwrap();
    let decomposed = UserId::parse("e\u{301}").unwrap();
    assert_ne!(composed, decomposed);
    assert_ne!(UserId::parse("Ann").unwrap(), UserId::parse("ann").unwrap());
    assert_ne!(UserId::parse("ann").unwrap(), UserId::parse(" ann").unwrap());
}

#[test]
fn only_the_hyphenated_form_is_a_uuid() {
    let lower = "0190163d-8694-739b-aea5-966c26f8ad91";
    assert_eq!(ConversationId::parse(lower).unwrap().to_string(), lower);
    assert_eq!(ConversationId::parse(&lower.to_uppercase()).unwrap().to_string(), lower);
    let others = [
        "".to_owned(),
        lower.replace('-', ""),
        format!("{{{lower}}}"),
        format!("urn:uuid:{lower}"),
        format!(" {}", &lower[1..]),
        "0190163d8-694-739b-aea5-966c26f8ad91".to_owned(),
        lower.replace('9', "g"),
    ];
    for text in others {
        assert_eq!(ConversationId::parse(&text), Err(InvalidId::NotAUuid), "{text}");
        assert_eq!(MessageId::parse(&text), Err(InvalidId::NotAUuid), "{text}");
    }
}

#[test]
fn a_new_conversation_id_is_version_7_and_begins_with_the_time() {
    let millis = 0x0123_4567_89ab;
    let clock = ManualClock::new(Timestamp::from_millis(millis));
    let entropy = SeededEntropy::new(1);
    let first = ConversationId::new(&clock, &entropy);
    let second = ConversationId::new(&clock, &entropy);
    assert!(first.to_string().starts_with("01234567-89ab-7"), "{first}");
    assert_eq!(first.as_bytes()[8] >> 6, 0b10);
    assert_ne!(first, second);
}

#[test]
fn other_versions_hold_no_seq() {
    let id = MessageId::for_seq(Timestamp::from_millis(1), 9, &SeededEntropy::new(1));
    for version in (0..16u8).filter(|version| *version != 8) {
        let mut bytes = *id.as_bytes();
        bytes[6] = (bytes[6] & 0x0f) | (version << 4);
        assert_eq!(MessageId::from_bytes(bytes).seq(), None, "version {version}");
    }
    for variant in [0b00, 0b01, 0b11u8] {
        let mut bytes = *id.as_bytes();
        bytes[8] = (bytes[8] & 0x3f) | (variant << 6);
        assert_eq!(MessageId::from_bytes(bytes).seq(), None, "variant {variant:b}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| {
        let mut bytes = [0; 13];
        SeededEntropy::new(seed).fill(&mut bytes);
        bytes
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
    assert_ne!(bytes(7)[8..], [0; 5], "the last, short chunk is filled too");
}

#[test]
fn the_system_gives_different_bytes_each_time() {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    SystemEntropy.fill(&mut first);
    SystemEntropy.fill(&mut second);
    assert_ne!(first, second);
}

#[test]
fn ids_travel_through_json_and_are_checked_there() {
    let user: UserId = serde_json::from_str("\"u1\"").unwrap();
    assert_eq!(serde_json::to_string(&user).unwrap(), "\"u1\"");
    assert!(serde_json::from_str::<UserId>("\"\"").is_err());
    assert!(serde_json::from_str::<ConversationId>("\"0190163d8694739baea5966c26f8ad91\"").is_err());
}

proptest! {
    #[test]
    fn a_message_id_gives_its_seq_back(millis in 0i64..1 << 48, seq in 0u64..1 << 40, seed: u64) {
        let id = MessageId::for_seq(Timestamp::from_millis(millis), seq, &SeededEntropy::new(seed));
        prop_assert_eq!(id.seq(), Some(seq));
        prop_assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
        prop_assert_eq!(MessageId::from_bytes(*id.as_bytes()), id);
        let text = id.to_string();
        prop_assert_eq!(text.as_bytes()[14], b'8');
        prop_assert_eq!(i64::from_str_radix(&text.replace('-', "")[..12], 16), Ok(millis));
    }

    #[test]
    fn message_ids_of_one_moment_and_seq_differ(seq in 0u64..1 << 40, seed: u64) {
        let entropy = SeededEntropy::new(seed);
        let at = Timestamp::from_millis(1);
        prop_assert_ne!(MessageId::for_seq(at, seq, &entropy), MessageId::for_seq(at, seq, &entropy));
    }

    #[test]
    fn what_is_a_user_id_is_kept_as_it_is(text in "\\PC{1,40}") {
        if let Ok(user) = UserId::parse(&text) {
            prop_assert_eq!(user.as_str(), &text);
        } else {
            prop_assert!(text.len() > 128 || text.chars().any(char::is_control));
        }
    }
}
