use serde_json::{Value, json};
use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{EntryBody, MessageSent};

use super::*;

fn parsed(frame: &Bytes) -> Value {
    serde_json::from_slice(frame).expect("frames are JSON")
}

fn id() -> ConversationId {
    ConversationId::parse("018f0000-0000-7000-8000-000000000001").expect("a good id")
}

#[test]
fn both_spellings_and_unknown_fields_are_read() {
    for text in [
        r#"{"id":1,"markRead":{"conversationId":"c","seq":"7"}}"#,
        r#"{"id":1,"mark_read":{"conversation_id":"c","seq":7,"new":1},"x":[]}"#,
    ] {
        let (id, request) = decode(text.as_bytes()).expect("readable");
        assert_eq!(id, 1);
        let Request::MarkRead(request) = request else { panic!("a mark_read") };
        assert_eq!((request.conversation_id.as_str(), request.seq), ("c", 7));
    }
}

#[test]
fn what_cannot_be_read_keeps_its_id_if_that_can() {
    let id = |text: &str| decode(text.as_bytes()).expect_err("unreadable").id;
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
    let c = id().to_string();
    assert_eq!(
        parsed(&resumed_gap(id(), 601)),
        json!({"push": {"resumed": {"conversationId": c, "gap": {"fromSeq": "601"}}}})
    );
    assert_eq!(
        parsed(&conversation_added(id(), 7, 2)),
        json!({"push": {"conversation": {"conversationId": c, "added": {"headSeq": "7", "unreadCount": "2"}}}})
    );
    assert_eq!(
        parsed(&heartbeat([(id(), 9)])),
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
