//! The wire types as the history knows them.

use viberchat_proto::{
    message::v1::{self as wire, entry_body},
    presence::v1 as presence,
    types::v1::HistoryVisibility,
};

use super::record::{
    Body, Entry, HeadView, MessageView, PositionView, PresenceView, ReactionView, RedactedKind, Reply, Status,
};

/// An entry.
#[must_use]
pub fn entry_of(entry: &wire::LogEntry) -> Entry {
    Entry {
        conversation: entry.conversation_id.clone(),
        seq: entry.seq,
        message_no: entry.message_no,
        version: entry.conversation_version,
        actor: entry.actor_user_id.clone(),
        request_id: entry.request_id.clone(),
        body: entry.body.as_ref().and_then(|body| body.body.as_ref()).map_or(Body::Unknown, body_of),
    }
}

pub(super) fn body_of(body: &entry_body::Body) -> Body {
    match body {
        entry_body::Body::Message(sent) => {
            let reply_to = reply(&sent.reply_to_message_id, sent.reply_to_seq);
            Body::Message { message_id: sent.message_id.clone(), text: sent.text.clone(), reply_to }
        }
        entry_body::Body::Edited(edited) => Body::Edited {
            message_id: edited.message_id.clone(),
            message_seq: edited.message_seq,
            text: edited.text.clone(),
        },
        entry_body::Body::Deleted(deleted) => {
            Body::Deleted { message_id: deleted.message_id.clone(), message_seq: deleted.message_seq }
        }
        entry_body::Body::ReactionAdded(added) => Body::Reacted {
            message_id: added.message_id.clone(),
            message_seq: added.message_seq,
            emoji: added.emoji.clone(),
        },
        entry_body::Body::ReactionRemoved(removed) => Body::Unreacted {
            message_id: removed.message_id.clone(),
            message_seq: removed.message_seq,
            emoji: removed.emoji.clone(),
        },
        entry_body::Body::Pinned(pinned) => {
            Body::Pinned { message_id: pinned.message_id.clone(), message_seq: pinned.message_seq }
        }
        entry_body::Body::Unpinned(unpinned) => {
            Body::Unpinned { message_id: unpinned.message_id.clone(), message_seq: unpinned.message_seq }
        }
        entry_body::Body::ConversationCreated(created) => {
            let members = created.members.iter().map(|member| member.user_id.clone()).collect();
            Body::Created { members, since_joining: created.history() == HistoryVisibility::SinceJoining }
        }
        entry_body::Body::MembersAdded(added) => {
            Body::Added { members: added.members.iter().map(|member| member.user_id.clone()).collect() }
        }
        entry_body::Body::MemberRemoved(removed) => Body::Removed { member: removed.user_id.clone() },
        entry_body::Body::ConversationUpdated(_) | entry_body::Body::RoleChanged(_) => Body::Changed,
        entry_body::Body::ConversationClosed(_) => Body::Closed,
        entry_body::Body::Redacted(redacted) => Body::Redacted {
            kind: match redacted.kind() {
                wire::RedactedKind::Edited => RedactedKind::Edited,
                wire::RedactedKind::Message | wire::RedactedKind::Unspecified => RedactedKind::Message,
            },
            message_id: redacted.message_id.clone(),
            message_seq: redacted.message_seq,
        },
        entry_body::Body::Hidden(hidden) => Body::Hidden { to_seq: hidden.to_seq },
    }
}

/// A message.
#[must_use]
pub fn message_of(message: &wire::Message) -> MessageView {
    MessageView {
        message_id: message.message_id.clone(),
        seq: message.seq,
        message_no: message.message_no,
        sender: message.sender_user_id.clone(),
        text: message.text.clone(),
        deleted: message.delete_time.is_some(),
        reply_to: reply(&message.reply_to_message_id, message.reply_to_seq),
        pinned: message.pin_time.is_some(),
        reactions: message
            .reactions
            .iter()
            .map(|kind| ReactionView { emoji: kind.emoji.clone(), count: kind.count, reacted: kind.reacted })
            .collect(),
    }
}

fn reply(message_id: &str, seq: u64) -> Option<Reply> {
    (!message_id.is_empty()).then(|| Reply { message_id: message_id.to_owned(), seq })
}

/// A head.
#[must_use]
pub fn head_of(head: &wire::Head) -> HeadView {
    HeadView {
        conversation: head.conversation_id.clone(),
        head: head.head_seq,
        message_no: head.message_no,
        read_seq: head.read_seq,
        unread: head.unread_count,
        as_of: head.as_of_seq,
        last_message: head.last_message.as_ref().map(message_of),
    }
}

/// A position.
#[must_use]
pub fn position_of(position: &wire::Position) -> PositionView {
    PositionView {
        conversation: position.conversation_id.clone(),
        user: position.user_id.clone(),
        read_seq: position.read_seq,
        read_message_no: position.read_message_no,
        delivered_seq: position.delivered_seq,
    }
}

/// A presence.
#[must_use]
pub fn presence_of(presence: &presence::Presence) -> PresenceView {
    let status = match presence.status() {
        presence::Status::Unspecified => Status::Unknown,
        presence::Status::Offline => Status::Offline,
        presence::Status::Online => Status::Online,
        presence::Status::Away => Status::Away,
        presence::Status::Busy => Status::Busy,
        presence::Status::Invisible => Status::Invisible,
    };
    PresenceView { user: presence.user_id.clone(), status, last_seen: presence.last_seen_time.is_some() }
}
