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
pub(crate) use self::view::{
    Viewer, entry_to_proto, hidden_to_proto, message_to_proto, position_from_proto, position_to_proto,
};
use crate::domain::content::{Metadata, check_emoji, check_mentions, check_metadata};
use crate::domain::entry::Door;
use crate::domain::membership::{ConversationKind, Role, Standing};
use crate::domain::visibility::{History, Span, View};

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

/// `reply_to_message_id`; empty is none.
pub(crate) fn reply_to(text: &str) -> Result<Option<MessageId>> {
    if text.is_empty() { Ok(None) } else { field("reply_to_message_id", MessageId::parse(text)).map(Some) }
}

/// `mentioned_user_ids`.
pub(crate) fn mentions(texts: &[String]) -> Result<Vec<UserId>> {
    const NAME: &str = "mentioned_user_ids";
    let users = texts.iter().map(|text| user_id(NAME, text)).collect::<Result<Vec<_>>>()?;
    check_mentions(&users).map_err(|invalid| Error::invalid_argument(NAME, invalid.to_string()))?;
    Ok(users)
}

/// `metadata`; absent is none.
pub(crate) fn metadata(metadata: Option<types::Metadata>) -> Result<Metadata> {
    let entries = metadata.map(|metadata| metadata.entries).unwrap_or_default();
    check_metadata(&entries).map_err(|invalid| Error::invalid_argument("metadata", invalid.to_string()))?;
    Ok(entries)
}

/// `emoji`.
pub(crate) fn emoji(text: String) -> Result<String> {
    check_emoji(&text).map_err(|invalid| Error::invalid_argument("emoji", invalid.to_string()))?;
    Ok(text)
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

fn history(history: types::HistoryVisibility) -> Option<History> {
    match history {
        types::HistoryVisibility::Unspecified => None,
        types::HistoryVisibility::Shared => Some(History::Shared),
        types::HistoryVisibility::SinceJoining => Some(History::SinceJoining),
    }
}

fn history_to_proto(history: Option<History>) -> types::HistoryVisibility {
    match history {
        None => types::HistoryVisibility::Unspecified,
        Some(History::Shared) => types::HistoryVisibility::Shared,
        Some(History::SinceJoining) => types::HistoryVisibility::SinceJoining,
    }
}

/// What the conversation service says about a user.
pub(crate) fn standing(response: &conversation::AuthorizeMemberResponse) -> Standing {
    let kind = match response.kind() {
        types::ConversationKind::Unspecified => None,
        types::ConversationKind::Direct => Some(ConversationKind::Direct),
        types::ConversationKind::Group => Some(ConversationKind::Group),
    };
    let spans = response.spans.iter().map(|span| Span { from_seq: span.from_seq, to_seq: span.to_seq });
    let spans: Vec<Span> = spans.collect();
    let open_span = response.spans.last().is_some_and(|span| span.to_seq == 0);
    Standing {
        version: response.conversation_version,
        kind,
        role: role(response.role()),
        // A direct makes no entries of joining.
        joined: open_span || kind == Some(ConversationKind::Direct),
        joined_seq: spans.last().filter(|span| span.to_seq == 0).map_or(0, |span| span.from_seq),
        was_member: !response.spans.is_empty(),
        peer_gone: response.peer_state() == conversation::PeerState::Gone,
        blocked: response.blocked,
        member_count: response.member_count,
        view: View::of(history(response.history()).unwrap_or_default(), &spans, response.cleared_seq),
    }
}

#[cfg(test)]
mod tests;
