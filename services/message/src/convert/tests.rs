use viberchat_kit::clock::Timestamp;

use super::*;
use crate::domain::entry::{Body, Entry, MemberRole, MessageSent, RedactedKind, SystemBody};

const MESSAGE: &str = "0190a5e6-7b1c-8000-8000-000400000000";

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn message_id() -> MessageId {
    MessageId::parse(MESSAGE).unwrap()
}

/// Every kind that was ever stored, with the bytes that a release wrote. Bytes are added here and never change.
fn released() -> Vec<(Body, &'static str)> {
    let members = || vec![MemberRole { user: user("bob"), role: Role::Admin }];
    vec![
        (
            Body::Message(MessageSent {
                message_id: message_id(),
                text: "hé".to_owned(),
                acting_service: "shop".to_owned(),
                door: Door::Socket,
            }),
            "0a330a2430313930613565362d376231632d383030302d383030302d303030343030303030303030120368c3a91a0473686f702003",
        ),
        (
            Body::Edited { message_id: message_id(), message_seq: 1, text: "x".to_owned() },
            "122b0a2430313930613565362d376231632d383030302d383030302d30303034303030303030303010011a0178",
        ),
        (
            Body::Deleted { message_id: message_id(), message_seq: 1 },
            "1a280a2430313930613565362d376231632d383030302d383030302d3030303430303030303030301001",
        ),
        (
            Body::System(SystemBody::Created { name: "g".to_owned(), members: members() }),
            "520c0a016712070a03626f621002",
        ),
        (
            Body::System(SystemBody::Updated {
                name: Some("n".to_owned()),
                description: None,
                avatar_url: Some(String::new()),
            }),
            "5a050a016e1a00",
        ),
        (Body::System(SystemBody::MembersAdded(members())), "62090a070a03626f621002"),
        (
            Body::System(SystemBody::MemberRemoved { user: user("bob"), left: true, new_owner: Some(user("carol")) }),
            "6a0e0a03626f6210011a056361726f6c",
        ),
        (
            Body::System(SystemBody::RoleChanged(MemberRole { user: user("bob"), role: Role::Owner })),
            "72070a03626f621003",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_body_ever_released_is_decoded() {
    for (body, released) in released() {
        assert_eq!(decode_body(&bytes(released)).unwrap(), body);
        assert_eq!(hex(&encode_body(&body)), released, "{body:?}");
    }
}

#[test]
fn the_kind_of_a_body_is_the_number_of_its_field() {
    for (body, released) in released() {
        let field = u32::from(bytes(released)[0] >> 3);
        assert_eq!(body.kind().0, field, "{body:?}");
    }
}

#[test]
fn a_kind_of_a_later_release_has_no_body_and_keeps_its_place() {
    // Field 15, a message with one field.
    assert_eq!(decode_body(&[0x7a, 2, 8, 1]).unwrap(), Body::Unknown);
    let shown = entry_to_proto(&entry_of(Body::Unknown), &Viewer::Relay);
    assert_eq!((shown.seq, shown.body), (9, None));
    assert!(decode_body(&[0xff]).is_err());
}

#[test]
fn what_is_left_of_an_erased_body_is_shorter_and_has_no_text() {
    for (body, released) in released().into_iter().take(2) {
        let left = encode_body(&body.erased());
        assert!(left.len() < released.len() / 2, "a row must never grow");
        let shown = format!("{:?} {:?}", decode_body(&left).unwrap(), body.redacted(9));
        assert!(!shown.contains("hé") && !shown.contains("\"x\""), "{shown}");
    }
    let redacted = Body::Redacted { kind: RedactedKind::Edited, message_id: message_id(), message_seq: 1 };
    assert_eq!(released()[1].0.redacted(9), redacted);
}

fn entry_of(body: Body) -> Entry {
    Entry {
        conversation_id: ConversationId::from_bytes([1; 16]),
        seq: 9,
        message_no: 4,
        conversation_version: 2,
        actor: user("alice"),
        request_id: Some(RequestId::parse("m1").unwrap()),
        create_time: Timestamp::from_millis(1_500),
        body,
    }
}

#[test]
fn request_ids_are_shown_to_their_actor_and_to_gateways() {
    let entry = entry_of(Body::Unknown);
    let shown = |viewer| entry_to_proto(&entry, &viewer).request_id;
    assert_eq!(shown(Viewer::User(user("alice"))), "m1");
    assert_eq!(shown(Viewer::User(user("bob"))), "");
    assert_eq!(shown(Viewer::Relay), "m1");
}

#[test]
fn system_bodies_with_malformed_members_are_refused() {
    let role_missing = proto::MembersAdded { members: vec![types::MemberRole { user_id: "bob".to_owned(), role: 0 }] };
    let nobody = proto::MemberRemoved::default();
    for body in [
        proto::entry_body::Body::MembersAdded(role_missing),
        proto::entry_body::Body::MemberRemoved(nobody),
        proto::entry_body::Body::Redacted(proto::Redacted::default()),
    ] {
        assert!(system_body(proto::EntryBody { body: Some(body) }).is_err());
    }
}
