use viberchat_kit::clock::Timestamp;

use super::*;
use crate::domain::content::Metadata;
use crate::domain::entry::{Body, Entry, MemberRole, MessageSent, Reaction, RedactedKind, ReplyTo, SystemBody};
use crate::domain::head::Head;
use crate::domain::visibility::History;

const MESSAGE: &str = "0190a5e6-7b1c-8000-8000-000400000000";

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn message_id() -> MessageId {
    MessageId::parse(MESSAGE).unwrap()
}

/// What was ever stored, by name: a kind, and `kind/fields` where later releases added some. Rows are added to the file
/// and never change.
const GOLDEN: &str = include_str!("../../tests/golden/entry_bodies.txt");

/// What the rows mean.
fn released() -> Vec<(&'static str, Body)> {
    let members = || vec![MemberRole { user: user("bob"), role: Role::Admin }];
    let (message_id, message_seq) = (message_id(), 1);
    let first = || MessageSent {
        message_id,
        text: "hé".to_owned(),
        acting_service: "shop".to_owned(),
        door: Door::Socket,
        reply_to: None,
        mentions: Vec::new(),
        metadata: Metadata::new(),
    };
    let full = MessageSent {
        reply_to: Some(ReplyTo { message_id, seq: 300 }),
        mentions: vec![user("carol"), user("bob")],
        metadata: Metadata::from([("order".to_owned(), "7".to_owned()), ("a".to_owned(), String::new())]),
        ..first()
    };
    let reaction = || Reaction { message_id, message_seq, emoji: "👍".to_owned() };
    let created = |history| SystemBody::Created { name: "g".to_owned(), members: members(), history };
    let updated = SystemBody::Updated {
        name: Some("n".to_owned()),
        description: None,
        avatar_url: Some(String::new()),
        history: None,
        metadata: None,
    };
    let metadata_updated = SystemBody::Updated {
        name: None,
        description: None,
        avatar_url: None,
        history: Some(History::Shared),
        metadata: Some(Metadata::new()),
    };
    let edited = |mentions| Body::Edited { message_id, message_seq, text: "x".to_owned(), mentions };
    let removed = SystemBody::MemberRemoved { user: user("bob"), left: true, new_owner: Some(user("carol")) };
    vec![
        ("message", Body::Message(first())),
        ("message/reply_mentions_metadata", Body::Message(full)),
        ("edited", edited(Vec::new())),
        ("edited/mentions", edited(vec![user("bob")])),
        ("deleted", Body::Deleted { message_id, message_seq }),
        ("reaction_added", Body::ReactionAdded(reaction())),
        ("reaction_removed", Body::ReactionRemoved(reaction())),
        ("pinned", Body::Pinned { message_id, message_seq }),
        ("unpinned", Body::Unpinned { message_id, message_seq }),
        ("conversation_created", Body::System(created(None))),
        ("conversation_created/history", Body::System(created(Some(History::SinceJoining)))),
        ("conversation_updated", Body::System(updated)),
        ("conversation_updated/history_metadata", Body::System(metadata_updated)),
        ("members_added", Body::System(SystemBody::MembersAdded(members()))),
        ("member_removed", Body::System(removed)),
        ("role_changed", Body::System(SystemBody::RoleChanged(MemberRole { user: user("bob"), role: Role::Owner }))),
        ("conversation_closed", Body::System(SystemBody::Closed)),
    ]
}

fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let rows = GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| row.split_once(' ').unwrap()).map(|(name, hex)| (name, bytes(hex))).collect()
}

/// The kinds that this release knows: the fields that an `EntryBody` may have, found by decoding each as an empty message.
fn known_kinds() -> Vec<u32> {
    use prost::Message as _;
    let is_known = |number: &u32| {
        let mut encoded = Vec::new();
        prost::encoding::encode_key(*number, prost::encoding::WireType::LengthDelimited, &mut encoded);
        encoded.push(0);
        proto::EntryBody::decode(encoded.as_slice()).is_ok_and(|body| body.body.is_some())
    };
    (1..1_000).filter(is_known).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_body_ever_released_is_decoded() {
    let (golden, released) = (golden(), released());
    let mut missing = Vec::new();
    for (name, body) in &released {
        let encoded = hex(&encode_body(body));
        let Some((_, stored)) = golden.iter().find(|(listed, _)| listed == name) else {
            missing.push(format!("{name} {encoded}"));
            continue;
        };
        assert_eq!(&decode_body(stored).unwrap(), body, "{name}");
        assert_eq!(encoded, hex(stored), "{name} has another encoding now");
    }
    assert!(missing.is_empty(), "no golden rows:\n{}", missing.join("\n"));
    assert_eq!(golden.len(), released.len(), "a row has no meaning");
}

#[test]
fn every_kind_that_is_stored_has_a_golden_row() {
    const NEVER_STORED: [u32; 2] = [30, 31];
    let rows: Vec<u32> = golden().iter().map(|(_, stored)| u32::from(stored[0] >> 3)).collect();
    let kinds = known_kinds();
    assert!(kinds.len() > 14, "{kinds:?}");
    for kind in kinds.iter().filter(|kind| !NEVER_STORED.contains(kind)) {
        assert!(rows.contains(kind), "kind {kind} has no row in tests/golden/entry_bodies.txt");
    }
}

#[test]
fn the_kind_of_a_body_is_the_number_of_its_field() {
    for (name, body) in released() {
        let field = u32::from(encode_body(&body)[0] >> 3);
        assert_eq!(body.kind().0, field, "{name}");
    }
}

#[test]
fn a_kind_of_a_later_release_has_no_body_and_keeps_its_place() {
    // Field 29, a message with one field.
    assert_eq!(decode_body(&[0xea, 1, 2, 8, 1]).unwrap(), Body::Unknown);
    let shown = entry_to_proto(&entry_of(Body::Unknown), &Viewer::Relay);
    assert_eq!((shown.seq, shown.body), (9, None));
    assert!(decode_body(&[0xff]).is_err());
}

#[test]
fn what_is_left_of_an_erased_body_is_shorter_and_says_nothing() {
    let texts = released().into_iter().filter(|(name, _)| name.starts_with("message") || name.starts_with("edited"));
    for (name, body) in texts {
        let left = encode_body(&body.erased());
        assert!(left.len() <= encode_body(&body).len(), "a row must never grow: {name}");
        let shown = format!("{:?} {:?}", decode_body(&left).unwrap(), body.redacted(9));
        for said in ["hé", "\"x\"", "carol", "bob", "order", "7\""] {
            assert!(!shown.contains(said), "{name}: {shown}");
        }
    }
    let redacted = Body::Redacted { kind: RedactedKind::Edited, message_id: message_id(), message_seq: 1 };
    assert_eq!(released()[2].1.redacted(9), redacted);
    assert_eq!(redacted.target_seq(), Some(1), "it is about the message, erased or not");
}

#[test]
fn a_hidden_run_tells_its_numbers_only() {
    let last = Head { seq: 7, message_no: 5, conversation_version: 2, ..Head::default() };
    let hidden = hidden_to_proto(ConversationId::from_bytes([1; 16]), 3, &last);
    assert_eq!((hidden.seq, hidden.message_no, hidden.conversation_version), (3, 5, 2));
    assert_eq!((hidden.actor_user_id.as_str(), hidden.create_time, hidden.request_id.as_str()), ("", None, ""));
    let to_seq = match hidden.body.unwrap().body.unwrap() {
        proto::entry_body::Body::Hidden(hidden) => hidden.to_seq,
        other => panic!("{other:?}"),
    };
    assert_eq!(to_seq, 7);
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
