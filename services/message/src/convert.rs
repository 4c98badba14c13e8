//! Protobuf ⇄ domain. Generated types stop here and in `rpc`.
//!
//! Map: ids and fields of requests here; `body` for what is stored of an entry; `view` for what readers see.

mod body;
mod view;

use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, InvalidId, MessageId, RequestId, UserId};
use viberchat_proto::conversation::v1 as conversation;
use viberchat_proto::message::v1 as proto;
use viberchat_proto::types::v1 as types;

pub(crate) use self::body::{decode_body, encode_body, entry, message, step, system_body};
pub(crate) use self::view::{Viewer, entry_to_proto, message_to_proto, position_to_proto};
use crate::domain::entry::Door;
use crate::domain::membership::{ConversationKind, Role, Standing};

fn field<T>(name: &'static str, parsed: std::result::Result<T, InvalidId>) -> Result<T> {
    parsed.map_err(|invalid| Error::invalid_argument(name, invalid.to_string()))
}

/// `conversation_id`.
pub(crate) fn conversation_id(text: &str) -> Result<ConversationId> {
    field("conversation_id", ConversationId::parse(text))
}

/// `message_id`.
pub(crate) fn message_id(text: &str) -> Result<MessageId> {
    field("message_id", MessageId::parse(text))
}

/// `request_id` or `client_message_id`.
pub(crate) fn request_id(name: &'static str, text: &str) -> Result<RequestId> {
    field(name, RequestId::parse(text))
}

/// A user id in the field `name`.
pub(crate) fn user_id(name: &'static str, text: &str) -> Result<UserId> {
    field(name, UserId::parse(text))
}

/// The way by which a write came; numbers of later releases are not said.
pub(crate) fn door(door: proto::Door) -> Door {
    match door {
        proto::Door::Unspecified => Door::Unspecified,
        proto::Door::Grpc => Door::Grpc,
        proto::Door::Http => Door::Http,
        proto::Door::Socket => Door::Socket,
    }
}

fn door_to_proto(door: Door) -> proto::Door {
    match door {
        Door::Unspecified => proto::Door::Unspecified,
        Door::Grpc => proto::Door::Grpc,
        Door::Http => proto::Door::Http,
        Door::Socket => proto::Door::Socket,
    }
}

fn role(role: types::Role) -> Option<Role> {
    match role {
        types::Role::Unspecified => None,
        types::Role::Member => Some(Role::Member),
        types::Role::Admin => Some(Role::Admin),
        types::Role::Owner => Some(Role::Owner),
    }
}

fn role_to_proto(role: Role) -> types::Role {
    match role {
        Role::Member => types::Role::Member,
        Role::Admin => types::Role::Admin,
        Role::Owner => types::Role::Owner,
    }
}

/// What the conversation service says about a user.
pub(crate) fn standing(response: &conversation::AuthorizeMemberResponse) -> Standing {
    let kind = match response.kind() {
        types::ConversationKind::Unspecified => None,
        types::ConversationKind::Direct => Some(ConversationKind::Direct),
        types::ConversationKind::Group => Some(ConversationKind::Group),
    };
    let open_span = response.spans.last().is_some_and(|span| span.to_seq == 0);
    Standing {
        version: response.conversation_version,
        kind,
        role: role(response.role()),
        // A direct makes no entries of joining.
        joined: open_span || kind == Some(ConversationKind::Direct),
        was_member: !response.spans.is_empty(),
        peer_gone: response.peer_state() == conversation::PeerState::Gone,
    }
}

#[cfg(test)]
mod tests;
