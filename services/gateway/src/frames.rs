//! The frames of the client protocol: JSON text in, JSON text out. Each pushed frame is encoded once and shared.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Outcome};
use viberchat_kit::id::ConversationId;
use viberchat_proto::gateway::v1 as proto;
use viberchat_proto::gateway::v1::conversation_event::Event;
use viberchat_proto::gateway::v1::push::Kind as Push;
use viberchat_proto::gateway::v1::resumed::Verdict;
use viberchat_proto::gateway::v1::server_frame::Kind;
use viberchat_proto::message::v1::{LogEntry, Position};

pub(crate) use proto::client_frame::Request;
pub(crate) use proto::reply::Result as Answer;

/// A frame that asks for nothing known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Its id, if that much could be read; else 0.
    pub(crate) id: u32,
    /// What is wrong with it, for people.
    pub(crate) problem: &'static str,
}

/// Reads a frame of a client.
pub(crate) fn decode(text: &[u8]) -> Result<(u32, Request), Unreadable> {
    let frame: proto::ClientFrame = serde_json::from_slice(text)
        .map_err(|_| Unreadable { id: id_of(text), problem: "the frame is not JSON of a ClientFrame" })?;
    if frame.id == 0 {
        return Err(Unreadable { id: 0, problem: "the frame has no id greater than 0" });
    }
    match frame.request {
        Some(request) => Ok((frame.id, request)),
        None => Err(Unreadable { id: frame.id, problem: "the frame asks for nothing that is known" }),
    }
}

/// The id of a frame whose rest is wrong, so that its sender learns which one it was.
fn id_of(text: &[u8]) -> u32 {
    #[derive(Deserialize)]
    struct IdOnly {
        id: u32,
    }
    serde_json::from_slice::<IdOnly>(text).map_or(0, |frame| frame.id)
}

/// A reply. `None`: the empty one.
pub(crate) fn reply(id: u32, result: Option<Answer>) -> Bytes {
    server_frame(id, Kind::Reply(proto::Reply { result }))
}

/// A refusal.
pub(crate) fn error(id: u32, error: &Error) -> Bytes {
    server_frame(id, Kind::Error(error.to_proto()))
}

/// The refusal of a frame that could not be read: nothing was done.
pub(crate) fn unreadable(frame: &Unreadable) -> Bytes {
    let refusal = Error::invalid_argument("frame", frame.problem).with_outcome(Outcome::NotAttempted);
    error(frame.id, &refusal)
}

/// The next entry of a conversation.
pub(crate) fn entry(entry: LogEntry) -> Bytes {
    push(Push::Entry(entry))
}

/// Nothing is missing up to `head_seq`.
pub(crate) fn resumed_complete(conversation: ConversationId, head_seq: u64) -> Bytes {
    resumed(conversation, Verdict::Complete(proto::ResumeComplete { head_seq }))
}

/// Too much is missing; pushes go on at `from_seq`.
pub(crate) fn resumed_gap(conversation: ConversationId, from_seq: u64) -> Bytes {
    resumed(conversation, Verdict::Gap(proto::ResumeGap { from_seq }))
}

/// What the client knows of the conversation is void.
pub(crate) fn resumed_reset(conversation: ConversationId, removed: bool) -> Bytes {
    resumed(conversation, Verdict::Reset(proto::ResumeReset { removed }))
}

/// The conversation is new to the session.
pub(crate) fn conversation_added(conversation: ConversationId, head_seq: u64, unread_count: u64) -> Bytes {
    conversation_event(conversation, Event::Added(proto::ConversationAdded { head_seq, unread_count }))
}

/// The conversation is to be asked for again.
pub(crate) fn conversation_changed(conversation: ConversationId) -> Bytes {
    conversation_event(conversation, Event::Changed(proto::ConversationChanged {}))
}

/// The user is no member any more.
pub(crate) fn conversation_removed(conversation: ConversationId) -> Bytes {
    conversation_event(conversation, Event::Removed(proto::ConversationRemoved {}))
}

/// The resume is over.
pub(crate) fn ready() -> Bytes {
    push(Push::Ready(proto::Ready {}))
}

/// The latest of each user and conversation.
pub(crate) fn positions(positions: Vec<Position>) -> Bytes {
    push(Push::Positions(proto::PositionsMoved { positions }))
}

/// The gateway lives; `heads` are on their way.
pub(crate) fn heartbeat(heads: impl IntoIterator<Item = (ConversationId, u64)>) -> Bytes {
    let heads = heads
        .into_iter()
        .map(|(id, head_seq)| proto::ConversationHead { conversation_id: id.to_string(), head_seq })
        .collect();
    push(Push::Heartbeat(proto::ServerHeartbeat { heads }))
}

/// The token ends soon.
pub(crate) fn token_expires(at: Timestamp) -> Bytes {
    push(Push::TokenExpires(proto::TokenExpires { expire_time: Some(at.to_proto()) }))
}

/// The gateway stops.
pub(crate) fn goaway(reconnect_after_ms: u32, reason: &str) -> Bytes {
    push(Push::Goaway(proto::Goaway { reconnect_after_ms, reason: reason.to_owned() }))
}

fn resumed(conversation: ConversationId, verdict: Verdict) -> Bytes {
    push(Push::Resumed(proto::Resumed { conversation_id: conversation.to_string(), verdict: Some(verdict) }))
}

fn conversation_event(conversation: ConversationId, event: Event) -> Bytes {
    push(Push::Conversation(proto::ConversationEvent { conversation_id: conversation.to_string(), event: Some(event) }))
}

fn push(kind: Push) -> Bytes {
    server_frame(0, Kind::Push(proto::Push { kind: Some(kind) }))
}

fn server_frame(id: u32, kind: Kind) -> Bytes {
    encode(&proto::ServerFrame { id, kind: Some(kind) })
}

fn encode(frame: &impl Serialize) -> Bytes {
    serde_json::to_vec(frame).expect("a protobuf message always has a JSON form").into()
}

#[cfg(test)]
mod tests;
