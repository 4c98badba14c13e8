//! What readers see: entries, messages and positions in their protobuf form.

use viberchat_kit::id::{ConversationId, RequestId, UserId};
use viberchat_proto::message::v1 as proto;

use super::body::{body_to_proto, metadata_to_proto, texts_of};
use super::door_to_proto;
use crate::domain::entry::Entry;
use crate::domain::head::Head;
use crate::domain::message::{Message, ReactionCount};
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

/// What stands for the entries from `from_seq` up to `last`, which the reader may not see. It carries the running numbers
/// of the last one, and nothing that tells what they are.
pub(crate) fn hidden_to_proto(conversation_id: ConversationId, from_seq: u64, last: &Head) -> proto::LogEntry {
    let hidden = proto::entry_body::Body::Hidden(proto::Hidden { to_seq: last.seq });
    proto::LogEntry {
        conversation_id: conversation_id.to_string(),
        seq: from_seq,
        message_no: last.message_no,
        conversation_version: last.conversation_version,
        body: Some(proto::EntryBody { body: Some(hidden) }),
        ..proto::LogEntry::default()
    }
}

/// A message.
pub(crate) fn message_to_proto(message: Message, viewer: &Viewer) -> proto::Message {
    proto::Message {
        mentioned_user_ids: texts_of(&message.sent.mentions),
        metadata: metadata_to_proto(&message.sent.metadata),
        reply_to_message_id: message.sent.reply_to.map(|reply_to| reply_to.message_id.to_string()).unwrap_or_default(),
        reply_to_seq: message.sent.reply_to.map(|reply_to| reply_to.seq).unwrap_or_default(),
        pin_time: message.pin.as_ref().map(|(time, _)| time.to_proto()),
        pinned_by_user_id: message.pin.map(|(_, user)| user.as_str().to_owned()).unwrap_or_default(),
        reactions: message.reactions.into_iter().map(reaction_to_proto).collect(),
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

fn reaction_to_proto(reaction: ReactionCount) -> proto::Reaction {
    let ReactionCount { emoji, count, reacted } = reaction;
    proto::Reaction { emoji, count, reacted }
}

/// A position, as another instance says it. `None`: of nobody.
pub(crate) fn position_from_proto(position: &proto::Position) -> Option<Position> {
    Some(Position {
        user: UserId::parse(&position.user_id).ok()?,
        read_seq: position.read_seq,
        read_message_no: position.read_message_no,
        delivered_seq: position.delivered_seq,
    })
}

/// A position.
pub(crate) fn position_to_proto(conversation_id: ConversationId, position: &Position) -> proto::Position {
    proto::Position {
        conversation_id: conversation_id.to_string(),
        user_id: position.user.as_str().to_owned(),
        read_seq: position.read_seq,
        read_message_no: position.read_message_no,
        delivered_seq: position.delivered_seq,
    }
}
