//! What is stored of an entry: an encoded `EntryBody`. What was released once is decoded for ever.

use prost::Message as _;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, MessageId, UserId};
use viberchat_proto::message::v1 as proto;
use viberchat_proto::message::v1::entry_body::Body as ProtoBody;
use viberchat_proto::types::v1 as types;

use super::{door, door_to_proto, history, history_to_proto, role, role_to_proto, user_id};
use crate::domain::content::Metadata;
use crate::domain::dedup::WriteId;
use crate::domain::entry::{Body, Entry, MemberRole, MessageSent, Reaction, RedactedKind, ReplyTo, SystemBody};
use crate::domain::head::Step;
use crate::domain::message::Message;
use crate::store::{MessageRecord, Record, StoreError};

/// As it is stored.
pub(crate) fn encode_body(body: &Body) -> Vec<u8> {
    body_to_proto(body).encode_to_vec()
}

/// The inverse of [`encode_body`].
///
/// # Errors
/// [`StoreError::Corrupt`] for bytes that no release wrote.
pub(crate) fn decode_body(bytes: &[u8]) -> std::result::Result<Body, StoreError> {
    let proto = proto::EntryBody::decode(bytes).map_err(|_| corrupt("an entry's body is no protobuf"))?;
    let body = match proto.body {
        None => Body::Unknown,
        Some(ProtoBody::Message(sent)) => Body::Message(MessageSent {
            message_id: stored_id(&sent.message_id)?,
            door: door(sent.door()),
            reply_to: reply_to(&sent)?,
            mentions: stored_users(&sent.mentioned_user_ids)?,
            metadata: sent.metadata.map(|metadata| metadata.entries).unwrap_or_default(),
            text: sent.text,
            acting_service: sent.acting_service,
        }),
        Some(ProtoBody::Edited(edited)) => Body::Edited {
            message_id: stored_id(&edited.message_id)?,
            message_seq: edited.message_seq,
            mentions: stored_users(&edited.mentioned_user_ids)?,
            text: edited.text,
        },
        Some(ProtoBody::Deleted(deleted)) => {
            Body::Deleted { message_id: stored_id(&deleted.message_id)?, message_seq: deleted.message_seq }
        }
        Some(ProtoBody::ReactionAdded(added)) => Body::ReactionAdded(Reaction {
            message_id: stored_id(&added.message_id)?,
            message_seq: added.message_seq,
            emoji: added.emoji,
        }),
        Some(ProtoBody::ReactionRemoved(removed)) => Body::ReactionRemoved(Reaction {
            message_id: stored_id(&removed.message_id)?,
            message_seq: removed.message_seq,
            emoji: removed.emoji,
        }),
        Some(ProtoBody::Pinned(pinned)) => {
            Body::Pinned { message_id: stored_id(&pinned.message_id)?, message_seq: pinned.message_seq }
        }
        Some(ProtoBody::Unpinned(unpinned)) => {
            Body::Unpinned { message_id: stored_id(&unpinned.message_id)?, message_seq: unpinned.message_seq }
        }
        Some(ProtoBody::Redacted(_) | ProtoBody::Hidden(_)) => {
            return Err(corrupt("an entry that is never stored"));
        }
        Some(system) => Body::System(
            system_body(proto::EntryBody { body: Some(system) })
                .map_err(|error| corrupt(&format!("a system entry cannot be read: {}", error.message)))?,
        ),
    };
    Ok(body)
}

fn stored_id(text: &str) -> std::result::Result<MessageId, StoreError> {
    MessageId::parse(text).map_err(|_| corrupt("a message id in an entry is none"))
}

fn stored_users(texts: &[String]) -> std::result::Result<Vec<UserId>, StoreError> {
    texts.iter().map(|text| UserId::parse(text).map_err(|_| corrupt("a user id in an entry is none"))).collect()
}

fn reply_to(sent: &proto::MessageSent) -> std::result::Result<Option<ReplyTo>, StoreError> {
    if sent.reply_to_message_id.is_empty() {
        return Ok(None);
    }
    Ok(Some(ReplyTo { message_id: stored_id(&sent.reply_to_message_id)?, seq: sent.reply_to_seq }))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

/// A change that the conversation service asks to record.
///
/// # Errors
/// `INVALID_ARGUMENT` for other kinds and malformed ids.
pub(crate) fn system_body(body: proto::EntryBody) -> Result<SystemBody> {
    match body.body {
        Some(ProtoBody::ConversationCreated(created)) => {
            let (history, members) = (history(created.history()), members(&created.members)?);
            Ok(SystemBody::Created { name: created.name, members, history })
        }
        Some(ProtoBody::ConversationUpdated(updated)) => Ok(SystemBody::Updated {
            history: history(updated.history()),
            metadata: updated.metadata.map(|metadata| metadata.entries),
            name: updated.name,
            description: updated.description,
            avatar_url: updated.avatar_url,
        }),
        Some(ProtoBody::MembersAdded(added)) => Ok(SystemBody::MembersAdded(members(&added.members)?)),
        Some(ProtoBody::MemberRemoved(removed)) => {
            let heir = removed.new_owner_user_id.as_str();
            let new_owner = (!heir.is_empty()).then(|| user_id("body.member_removed.new_owner_user_id", heir));
            Ok(SystemBody::MemberRemoved {
                user: user_id("body.member_removed.user_id", &removed.user_id)?,
                left: removed.left,
                new_owner: new_owner.transpose()?,
            })
        }
        Some(ProtoBody::RoleChanged(changed)) => Ok(SystemBody::RoleChanged(member(&changed.user_id, changed.role())?)),
        Some(ProtoBody::ConversationClosed(proto::ConversationClosed {})) => Ok(SystemBody::Closed),
        _ => Err(Error::invalid_argument("body", "is not a kind that the conversation service records")),
    }
}

fn members(members: &[types::MemberRole]) -> Result<Vec<MemberRole>> {
    members.iter().map(|listed| member(&listed.user_id, listed.role())).collect()
}

fn member(user: &str, listed: types::Role) -> Result<MemberRole> {
    let role = role(listed).ok_or_else(|| Error::invalid_argument("body.role", "is not set"))?;
    Ok(MemberRole { user: user_id("body.user_id", user)?, role })
}

/// The protobuf form.
pub(super) fn body_to_proto(body: &Body) -> proto::EntryBody {
    let body = match body {
        Body::Message(sent) => Some(ProtoBody::Message(proto::MessageSent {
            message_id: sent.message_id.to_string(),
            text: sent.text.clone(),
            acting_service: sent.acting_service.clone(),
            door: door_to_proto(sent.door).into(),
            reply_to_message_id: sent.reply_to.map(|reply_to| reply_to.message_id.to_string()).unwrap_or_default(),
            reply_to_seq: sent.reply_to.map(|reply_to| reply_to.seq).unwrap_or_default(),
            mentioned_user_ids: texts_of(&sent.mentions),
            metadata: metadata_to_proto(&sent.metadata),
        })),
        Body::Edited { message_id, message_seq, text, mentions } => Some(ProtoBody::Edited(proto::MessageEdited {
            message_id: message_id.to_string(),
            message_seq: *message_seq,
            text: text.clone(),
            mentioned_user_ids: texts_of(mentions),
        })),
        Body::Deleted { message_id, message_seq } => Some(ProtoBody::Deleted(proto::MessageDeleted {
            message_id: message_id.to_string(),
            message_seq: *message_seq,
        })),
        Body::ReactionAdded(Reaction { message_id, message_seq, emoji }) => {
            Some(ProtoBody::ReactionAdded(proto::ReactionAdded {
                message_id: message_id.to_string(),
                message_seq: *message_seq,
                emoji: emoji.clone(),
            }))
        }
        Body::ReactionRemoved(Reaction { message_id, message_seq, emoji }) => {
            Some(ProtoBody::ReactionRemoved(proto::ReactionRemoved {
                message_id: message_id.to_string(),
                message_seq: *message_seq,
                emoji: emoji.clone(),
            }))
        }
        Body::Pinned { message_id, message_seq } => Some(ProtoBody::Pinned(proto::MessagePinned {
            message_id: message_id.to_string(),
            message_seq: *message_seq,
        })),
        Body::Unpinned { message_id, message_seq } => Some(ProtoBody::Unpinned(proto::MessageUnpinned {
            message_id: message_id.to_string(),
            message_seq: *message_seq,
        })),
        Body::System(system) => Some(system_to_proto(system)),
        Body::Redacted { kind, message_id, message_seq } => Some(ProtoBody::Redacted(proto::Redacted {
            kind: match kind {
                RedactedKind::Message => proto::RedactedKind::Message,
                RedactedKind::Edited => proto::RedactedKind::Edited,
            }
            .into(),
            message_id: message_id.to_string(),
            message_seq: *message_seq,
        })),
        Body::Unknown => None,
    };
    proto::EntryBody { body }
}

fn system_to_proto(system: &SystemBody) -> ProtoBody {
    match system {
        SystemBody::Created { name, members, history } => ProtoBody::ConversationCreated(proto::ConversationCreated {
            name: name.clone(),
            members: members.iter().map(member_to_proto).collect(),
            history: history_to_proto(*history).into(),
        }),
        SystemBody::Updated { name, description, avatar_url, history, metadata } => {
            ProtoBody::ConversationUpdated(proto::ConversationUpdated {
                name: name.clone(),
                description: description.clone(),
                avatar_url: avatar_url.clone(),
                history: history_to_proto(*history).into(),
                metadata: metadata.as_ref().map(|entries| types::Metadata { entries: entries.clone() }),
            })
        }
        SystemBody::MembersAdded(members) => {
            ProtoBody::MembersAdded(proto::MembersAdded { members: members.iter().map(member_to_proto).collect() })
        }
        SystemBody::MemberRemoved { user, left, new_owner } => ProtoBody::MemberRemoved(proto::MemberRemoved {
            user_id: user.as_str().to_owned(),
            left: *left,
            new_owner_user_id: text_of(new_owner.as_ref()),
        }),
        SystemBody::RoleChanged(MemberRole { user, role }) => ProtoBody::RoleChanged(proto::RoleChanged {
            user_id: user.as_str().to_owned(),
            role: role_to_proto(*role).into(),
        }),
        SystemBody::Closed => ProtoBody::ConversationClosed(proto::ConversationClosed {}),
    }
}

/// None at all is said by absence: a body has one encoding.
pub(super) fn metadata_to_proto(metadata: &Metadata) -> Option<types::Metadata> {
    (!metadata.is_empty()).then(|| types::Metadata { entries: metadata.clone() })
}

pub(super) fn texts_of(users: &[UserId]) -> Vec<String> {
    users.iter().map(|user| user.as_str().to_owned()).collect()
}

fn member_to_proto(member: &MemberRole) -> types::MemberRole {
    types::MemberRole { user_id: member.user.as_str().to_owned(), role: role_to_proto(member.role).into() }
}

fn text_of(user: Option<&UserId>) -> String {
    user.map(|user| user.as_str().to_owned()).unwrap_or_default()
}

/// The entry of a record, erased if it is.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn entry(conversation_id: ConversationId, record: Record) -> std::result::Result<Entry, StoreError> {
    let seq = record.head.seq;
    let body = decode_body(&record.body)?;
    Ok(Entry {
        conversation_id,
        seq,
        message_no: record.head.message_no,
        conversation_version: record.head.conversation_version,
        actor: record.actor,
        request_id: record.id.map(|(request_id, _)| request_id),
        create_time: record.create_time,
        body: if record.erased { body.redacted(seq) } else { body },
    })
}

/// What a record changes about what is known of its log.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn step(record: Record) -> std::result::Result<Step, StoreError> {
    let Record { head, actor, id, body, .. } = record;
    let system = match &id {
        Some(_) => None,
        None => match decode_body(&body)? {
            Body::System(system) => Some(system),
            _ => return Err(corrupt("an entry without an id is no system entry")),
        },
    };
    let id = id.map(|(request_id, fingerprint)| (WriteId { user: actor, request_id }, fingerprint));
    Ok(Step { head, id, system })
}

/// A message as it stands.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn message(
    conversation_id: ConversationId,
    message: MessageRecord,
) -> std::result::Result<Message, StoreError> {
    let MessageRecord { record, edit, delete_time, pin, reactions } = message;
    let Body::Message(mut sent) = decode_body(&record.body)? else {
        return Err(corrupt("a message's entry is something else"));
    };
    let mut edit_time = None;
    if let Some((time, body)) = edit {
        let Body::Edited { text, mentions, .. } = decode_body(&body)? else {
            return Err(corrupt("an edit's entry is something else"));
        };
        (sent.text, sent.mentions) = (text, mentions);
        edit_time = Some(time);
    }
    if delete_time.is_some() {
        sent = sent.erased();
    }
    Ok(Message {
        conversation_id,
        seq: record.head.seq,
        message_no: record.head.message_no,
        sender: record.actor,
        client_message_id: record.id.map(|(request_id, _)| request_id),
        create_time: record.create_time,
        sent,
        edit_time,
        delete_time,
        pin: pin.map(|pin| (pin.time, pin.user)),
        reactions,
    })
}
