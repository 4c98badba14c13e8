use prost::Message as _;
use serde_json::{Value, json};
use tokio_websockets::Message;
use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{EntryBody, MarkReadRequest, MessageSent};

use super::*;

fn parsed(frame: &ServerFrame) -> Value {
    serde_json::from_slice(&Encoding::Json.encode(frame)).expect("frames are JSON")
}

fn id_of_a_conversation() -> ConversationId {
    ConversationId::parse("018f0000-0000-7000-8000-000000000001").expect("a good id")
}

#[test]
fn both_spellings_and_unknown_fields_are_read() {
    for text in [
        r#"{"id":1,"markRead":{"conversationId":"c","seq":"7"}}"#,
        r#"{"id":1,"mark_read":{"conversation_id":"c","seq":7,"new":1},"x":[]}"#,
    ] {
        let (id, request) = Encoding::Json.decode(text.as_bytes()).expect("readable");
        assert_eq!(id, 1);
        let Request::MarkRead(request) = request else { panic!("a mark_read") };
        assert_eq!((request.conversation_id.as_str(), request.seq), ("c", 7));
    }
}

#[test]
fn what_cannot_be_read_keeps_its_id_if_that_can() {
    let id = |text: &str| Encoding::Json.decode(text.as_bytes()).expect_err("unreadable").id;
    assert_eq!(id(""), 0);
    assert_eq!(id("{"), 0);
    assert_eq!(id(r#"{"id":5}"#), 5);
    assert_eq!(id(r#"{"id":5,"send":[]}"#), 5);
    assert_eq!(id(r#"{"id":5,"send":{},"edit":{}}"#), 5, "one request a frame");
    assert_eq!(id(r#"{"id":-5,"send":{}}"#), 0);
    assert_eq!(id(r#"{"send":{}}"#), 0);
    assert_eq!(id(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))), 0);
}

#[test]
fn a_frame_is_what_the_protocol_says() {
    assert_eq!(parsed(&reply(3, None)), json!({"id": 3, "reply": {}}));
    let refusal = error(4, &Error::new(Reason::TextEmpty, "blank"));
    assert_eq!(
        parsed(&refusal),
        json!({"id": 4, "error": {"reason": "TEXT_EMPTY", "message": "blank", "outcome": "OUTCOME_REJECTED", "code": 3}})
    );
    assert_eq!(parsed(&ready()), json!({"push": {"ready": {}}}));
    let c = id_of_a_conversation().to_string();
    assert_eq!(
        parsed(&resumed_gap(id_of_a_conversation(), 601)),
        json!({"push": {"resumed": {"conversationId": c, "gap": {"fromSeq": "601"}}}})
    );
    assert_eq!(
        parsed(&conversation_added(id_of_a_conversation(), 7, 2)),
        json!({"push": {"conversation": {"conversationId": c, "added": {"headSeq": "7", "unreadCount": "2"}}}})
    );
    assert_eq!(
        parsed(&heartbeat([(id_of_a_conversation(), 9)])),
        json!({"push": {"heartbeat": {"heads": [{"conversationId": c, "headSeq": "9"}]}}})
    );
    assert_eq!(
        parsed(&goaway(100, "DRAINING")),
        json!({"push": {"goaway": {"reconnectAfterMs": 100, "reason": "DRAINING"}}})
    );
}

#[test]
fn an_entry_carries_its_body_and_an_unknown_kind_its_seq() {
    let sent = MessageSent { message_id: "m".into(), text: "ä\n\u{1}".into(), ..MessageSent::default() };
    let known = LogEntry { seq: 2, body: Some(EntryBody { body: Some(Body::Message(sent)) }), ..LogEntry::default() };
    assert_eq!(parsed(&entry(known))["push"]["entry"]["body"]["message"]["text"], "ä\n\u{1}");
    let unknown = LogEntry { seq: 3, body: None, ..LogEntry::default() };
    assert_eq!(parsed(&entry(unknown)), json!({"push": {"entry": {"seq": "3"}}}));
}

#[test]
fn binary_frames_say_the_same() {
    let mark = MarkReadRequest { conversation_id: "c".into(), seq: 7 };
    let frame = proto::ClientFrame { id: 3, request: Some(Request::MarkRead(mark)) };
    let (id, request) = Encoding::Proto.decode(&frame.encode_to_vec()).expect("readable");
    assert!(id == 3 && matches!(request, Request::MarkRead(mark) if mark.seq == 7));
    let frame = resumed_gap(id_of_a_conversation(), 601);
    assert_eq!(ServerFrame::decode(Encoding::Proto.encode(&frame)), Ok(frame));
}

#[test]
fn what_cannot_be_read_in_binary_keeps_its_id_if_that_can() {
    let id = |bytes: &[u8]| Encoding::Proto.decode(bytes).expect_err("unreadable").id;
    assert_eq!(id(&[]), 0);
    assert_eq!(id(&[0x08, 0x05]), 5, "asks for nothing");
    assert_eq!(id(&[0x08, 0x05, 0xfa, 0x3f, 0x00]), 5, "asks for something unknown");
    assert_eq!(id(&[0x08, 0x05, 0x52, 0x02, 0xff, 0xff]), 5, "what it asks is broken");
    assert_eq!(id(&[0x08, 0x05, 0x52, 0x7f]), 0, "the frame itself is broken");
    assert_eq!(id(&[0xff; 40]), 0);
}

#[test]
fn a_message_of_the_other_kind_is_no_frame() {
    let text = Message::text(r#"{"id":1,"heartbeat":{}}"#);
    let binary = Message::binary(
        proto::ClientFrame { id: 1, request: Some(Request::Heartbeat(<_>::default())) }.encode_to_vec(),
    );
    assert!(matches!(Encoding::Json.read(&text), Some(Ok((1, Request::Heartbeat(_))))));
    assert!(matches!(Encoding::Proto.read(&binary), Some(Ok((1, Request::Heartbeat(_))))));
    assert!(matches!(Encoding::Json.read(&binary), Some(Err(Unreadable { id: 0, .. }))));
    assert!(matches!(Encoding::Proto.read(&text), Some(Err(Unreadable { id: 0, .. }))));
    assert!(Encoding::Json.read(&Message::ping("x")).is_none());
}

#[test]
fn a_shared_frame_is_written_once_in_each_encoding_that_is_used() {
    let shared = Shared::new(ready());
    let first = shared.bytes(Encoding::Json).as_ptr();
    assert_eq!(shared.bytes(Encoding::Json).as_ptr(), first);
    assert_eq!(shared.bytes(Encoding::Proto), &Encoding::Proto.encode(&ready()));
}
