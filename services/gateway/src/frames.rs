//! The frames of the client protocol, and their two encodings. A pushed frame that many get is encoded once for each
//! encoding that somebody uses, and shared.

mod encoding;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Outcome};
use viberchat_kit::id::ConversationId;
use viberchat_proto::gateway::v1 as proto;
use viberchat_proto::gateway::v1::conversation_event::Event;
use viberchat_proto::gateway::v1::push::Kind as Push;
use viberchat_proto::gateway::v1::resumed::Verdict;
use viberchat_proto::gateway::v1::server_frame::Kind;
use viberchat_proto::message::v1::{LogEntry, Position};
use viberchat_proto::presence::v1::Presence;

pub(crate) use encoding::{Encoding, Shared, Unreadable};
pub(crate) use proto::ServerFrame;
pub(crate) use proto::client_frame::Request;
pub(crate) use proto::reply::Result as Answer;

/// A reply. `None`: the empty one.
pub(crate) fn reply(id: u32, result: Option<Answer>) -> ServerFrame {
    server_frame(id, Kind::Reply(proto::Reply { result }))
}

/// A refusal.
pub(crate) fn error(id: u32, error: &Error) -> ServerFrame {
    server_frame(id, Kind::Error(error.to_proto()))
}

/// The refusal of a frame that could not be read: nothing was done.
pub(crate) fn unreadable(frame: &Unreadable) -> ServerFrame {
    let refusal = Error::invalid_argument("frame", frame.problem).with_outcome(Outcome::NotAttempted);
    error(frame.id, &refusal)
}

/// The next entry of a conversation.
pub(crate) fn entry(entry: LogEntry) -> ServerFrame {
    push(Push::Entry(entry))
}

/// Nothing is missing up to `head_seq`.
pub(crate) fn resumed_complete(conversation: ConversationId, head_seq: u64) -> ServerFrame {
    resumed(conversation, Verdict::Complete(proto::ResumeComplete { head_seq }))
}

/// Too much is missing; pushes go on at `from_seq`.
pub(crate) fn resumed_gap(conversation: ConversationId, from_seq: u64) -> ServerFrame {
    resumed(conversation, Verdict::Gap(proto::ResumeGap { from_seq }))
}

/// What the client knows of the conversation is void.
pub(crate) fn resumed_reset(conversation: ConversationId, removed: bool) -> ServerFrame {
    resumed(conversation, Verdict::Reset(proto::ResumeReset { removed }))
}

/// The conversation is new to the session.
pub(crate) fn conversation_added(conversation: ConversationId, head_seq: u64, unread_count: u64) -> ServerFrame {
    conversation_event(conversation, Event::Added(proto::ConversationAdded { head_seq, unread_count }))
}

/// The conversation is to be asked for again.
pub(crate) fn conversation_changed(conversation: ConversationId) -> ServerFrame {
    conversation_event(conversation, Event::Changed(proto::ConversationChanged {}))
}

/// The user is no member any more.
pub(crate) fn conversation_removed(conversation: ConversationId) -> ServerFrame {
    conversation_event(conversation, Event::Removed(proto::ConversationRemoved {}))
}

/// The resume is over.
pub(crate) fn ready() -> ServerFrame {
    push(Push::Ready(proto::Ready {}))
}

/// The latest of each user and conversation.
pub(crate) fn positions(positions: Vec<Position>) -> ServerFrame {
    push(Push::Positions(proto::PositionsMoved { positions }))
}

/// The gateway lives; `heads` are on their way.
pub(crate) fn heartbeat(heads: impl IntoIterator<Item = (ConversationId, u64)>) -> ServerFrame {
    let heads = heads
        .into_iter()
        .map(|(id, head_seq)| proto::ConversationHead { conversation_id: id.to_string(), head_seq })
        .collect();
    push(Push::Heartbeat(proto::ServerHeartbeat { heads }))
}

/// The token ends soon.
pub(crate) fn token_expires(at: Timestamp) -> ServerFrame {
    push(Push::TokenExpires(proto::TokenExpires { expire_time: Some(at.to_proto()) }))
}

/// The gateway stops.
pub(crate) fn goaway(reconnect_after_ms: u32, reason: &str) -> ServerFrame {
    push(Push::Goaway(proto::Goaway { reconnect_after_ms, reason: reason.to_owned() }))
}

/// Somebody types in a conversation, or no more.
pub(crate) fn typing(conversation: ConversationId, user_id: String, typing: bool) -> ServerFrame {
    push(Push::Typing(proto::Typing { conversation_id: conversation.to_string(), user_id, typing }))
}

/// The latest of each user.
pub(crate) fn presences(presences: Vec<Presence>) -> ServerFrame {
    push(Push::Presence(proto::PresenceChanged { presences }))
}

/// What a reader that is too slow did not get.
pub(crate) fn shed(typing_count: u32) -> ServerFrame {
    push(Push::Shed(proto::Shed { typing_count }))
}

fn resumed(conversation: ConversationId, verdict: Verdict) -> ServerFrame {
    push(Push::Resumed(proto::Resumed { conversation_id: conversation.to_string(), verdict: Some(verdict) }))
}

fn conversation_event(conversation: ConversationId, event: Event) -> ServerFrame {
    push(Push::Conversation(proto::ConversationEvent { conversation_id: conversation.to_string(), event: Some(event) }))
}

fn push(kind: Push) -> ServerFrame {
    server_frame(0, Kind::Push(proto::Push { kind: Some(kind) }))
}

fn server_frame(id: u32, kind: Kind) -> ServerFrame {
    ServerFrame { id, kind: Some(kind) }
}

#[cfg(test)]
mod tests;
