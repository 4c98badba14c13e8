//! What readers see: entries, messages and positions in their protobuf form.

use viberchat_kit::id::{ConversationId, RequestId, UserId};
use viberchat_proto::message::v1 as proto;

use super::body::body_to_proto;
use super::door_to_proto;
use crate::domain::entry::Entry;
use crate::domain::message::Message;
use crate::domain::position::Position;

/// Who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// A user: sees the ids of their own writes.
    User(UserId),
    /// A gateway that passes on to many: sees all ids, and hides them.
    Relay,
}

impl Viewer {
    fn request_id(&self, actor: &UserId, request_id: Option<&RequestId>) -> String {
        let shown = match self {
            Self::User(user) => user == actor,
            Self::Relay => true,
        };
        request_id.filter(|_| shown).map(|id| id.as_str().to_owned()).unwrap_or_default()
    }
}

/// An entry.
pub(crate) fn entry_to_proto(entry: &Entry, viewer: &Viewer) -> proto::LogEntry {
    let body = body_to_proto(&entry.body);
    proto::LogEntry {
        conversation_id: entry.conversation_id.to_string(),
        seq: entry.seq,
        message_no: entry.message_no,
        conversation_version: entry.conversation_version,
        actor_user_id: entry.actor.as_str().to_owned(),
        create_time: Some(entry.create_time.to_proto()),
        request_id: viewer.request_id(&entry.actor, entry.request_id.as_ref()),
        body: body.body.is_some().then_some(body),
    }
}

/// A message.
pub(crate) fn message_to_proto(message: Message, viewer: &Viewer) -> proto::Message {
    proto::Message {
        message_id: message.sent.message_id.to_string(),
        conversation_id: message.conversation_id.to_string(),
        seq: message.seq,
        message_no: message.message_no,
        sender_user_id: message.sender.as_str().to_owned(),
        text: message.sent.text,
        create_time: Some(message.create_time.to_proto()),
        edit_time: message.edit_time.map(viberchat_kit::clock::Timestamp::to_proto),
        delete_time: message.delete_time.map(viberchat_kit::clock::Timestamp::to_proto),
        client_message_id: viewer.request_id(&message.sender, message.client_message_id.as_ref()),
        acting_service: message.sent.acting_service,
        door: door_to_proto(message.sent.door).into(),
    }
}

/// A position.
pub(crate) fn position_to_proto(conversation_id: ConversationId, position: &Position) -> proto::Position {
    proto::Position {
        conversation_id: conversation_id.to_string(),
        user_id: position.user.as_str().to_owned(),
        read_seq: position.read_seq,
        read_message_no: position.read_message_no,
    }
}
