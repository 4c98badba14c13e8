//! Protobuf ⇄ domain. Generated types stop here and in `rpc`.

use prost::Message as _;
use viberchat_proto::conversation::v1 as proto;
use viberchat_proto::message::v1 as log;
use viberchat_proto::types::v1 as types;

use crate::domain::{
    Authorization, ConversationUpdate, ConversationView, History, Kind, Member, MemberSettings, Membership, Metadata,
    Profile, Role, Span, SystemEntry,
};
use crate::store::{Block, ChangeId, MembershipChangeKind};

pub(crate) fn kind_to_proto(kind: Kind) -> types::ConversationKind {
    match kind {
        Kind::Direct => types::ConversationKind::Direct,
        Kind::Group => types::ConversationKind::Group,
    }
}

/// `None`: not set, or a kind of a later release.
pub(crate) fn kind_from_proto(kind: i32) -> Option<Kind> {
    match types::ConversationKind::try_from(kind) {
        Ok(types::ConversationKind::Direct) => Some(Kind::Direct),
        Ok(types::ConversationKind::Group) => Some(Kind::Group),
        Ok(types::ConversationKind::Unspecified) | Err(_) => None,
    }
}

pub(crate) fn role_to_proto(role: Role) -> types::Role {
    match role {
        Role::Member => types::Role::Member,
        Role::Admin => types::Role::Admin,
        Role::Owner => types::Role::Owner,
    }
}

/// `None`: not set, or a role of a later release.
pub(crate) fn role_from_proto(role: i32) -> Option<Role> {
    match types::Role::try_from(role) {
        Ok(types::Role::Member) => Some(Role::Member),
        Ok(types::Role::Admin) => Some(Role::Admin),
        Ok(types::Role::Owner) => Some(Role::Owner),
        Ok(types::Role::Unspecified) | Err(_) => None,
    }
}

fn history_to_proto(history: History) -> types::HistoryVisibility {
    match history {
        History::Shared => types::HistoryVisibility::Shared,
        History::SinceJoining => types::HistoryVisibility::SinceJoining,
    }
}

/// `Some(None)`: not set. `None`: a visibility of a later release.
pub(crate) fn history_from_proto(history: i32) -> Option<Option<History>> {
    match types::HistoryVisibility::try_from(history) {
        Ok(types::HistoryVisibility::Unspecified) => Some(None),
        Ok(types::HistoryVisibility::Shared) => Some(Some(History::Shared)),
        Ok(types::HistoryVisibility::SinceJoining) => Some(Some(History::SinceJoining)),
        Err(_) => None,
    }
}

fn metadata_to_proto(metadata: &Metadata) -> types::Metadata {
    types::Metadata { entries: metadata.clone() }
}

pub(crate) fn conversation_to_proto(view: &ConversationView) -> proto::Conversation {
    let ConversationView { conversation, own } = view;
    let role = own.as_ref().map_or(types::Role::Unspecified, |own| role_to_proto(own.role));
    let peer = own.as_ref().and_then(|own| own.peer.as_ref());
    // What only groups have.
    let history = match conversation.kind {
        Kind::Direct => types::HistoryVisibility::Unspecified,
        Kind::Group => history_to_proto(conversation.history),
    };
    let metadata = Some(&conversation.metadata).filter(|metadata| !metadata.is_empty());
    proto::Conversation {
        conversation_id: conversation.id.to_string(),
        kind: kind_to_proto(conversation.kind).into(),
        name: conversation.name.clone(),
        description: conversation.description.clone(),
        avatar_url: conversation.avatar_url.clone(),
        create_time: Some(conversation.created_at.to_proto()),
        update_time: Some(conversation.updated_at.to_proto()),
        version: conversation.version,
        etag: conversation.etag(),
        member_count: conversation.member_count,
        peer_user_id: peer.map(ToString::to_string).unwrap_or_default(),
        role: role.into(),
        settings: own.as_ref().map(|own| settings_to_proto(&own.settings)),
        activity_time: conversation.activity.map(|activity| activity.at.to_proto()),
        activity_seq: conversation.activity.map_or(0, |activity| activity.seq),
        history: history.into(),
        metadata: metadata.map(metadata_to_proto),
        peer_blocked: own.as_ref().is_some_and(|own| own.peer_blocked),
    }
}

pub(crate) fn settings_to_proto(settings: &MemberSettings) -> proto::MemberSettings {
    proto::MemberSettings {
        pinned: settings.pinned,
        mute_until_time: settings.mute_until.map(viberchat_kit::clock::Timestamp::to_proto),
        archived: settings.archived,
        nickname: settings.nickname.clone(),
        cleared_seq: settings.cleared_seq,
    }
}

pub(crate) fn member_to_proto(member: &Member) -> proto::Member {
    proto::Member {
        user_id: member.user.to_string(),
        role: role_to_proto(member.role).into(),
        join_time: Some(member.joined_at.to_proto()),
        from_seq: member.from_seq.unwrap_or(0),
    }
}

/// `None`: there is no such conversation.
pub(crate) fn authorization_to_proto(authorization: Option<&Authorization>) -> proto::AuthorizeMemberResponse {
    let Some(authorization) = authorization else { return proto::AuthorizeMemberResponse::default() };
    let peer_state = match (authorization.kind, authorization.peer_present) {
        (Kind::Group, _) => proto::PeerState::Unspecified,
        (Kind::Direct, true) => proto::PeerState::Present,
        (Kind::Direct, false) => proto::PeerState::Gone,
    };
    proto::AuthorizeMemberResponse {
        conversation_version: authorization.version,
        kind: kind_to_proto(authorization.kind).into(),
        role: authorization.role.map_or(types::Role::Unspecified, role_to_proto).into(),
        spans: authorization.spans.iter().map(span_to_proto).collect(),
        peer_state: peer_state.into(),
        history: history_to_proto(authorization.history).into(),
        cleared_seq: authorization.cleared_seq,
        blocked: authorization.blocked,
        member_count: authorization.member_count,
    }
}

fn span_to_proto(span: &Span) -> proto::Span {
    proto::Span { from_seq: span.from_seq, to_seq: span.to_seq.unwrap_or(0) }
}

pub(crate) fn membership_to_proto(membership: &Membership) -> proto::Membership {
    proto::Membership {
        conversation_id: membership.conversation.to_string(),
        kind: kind_to_proto(membership.kind).into(),
        role: role_to_proto(membership.role).into(),
        conversation_version: membership.version,
    }
}

pub(crate) fn membership_change_to_proto(
    user_id: String,
    id: ChangeId,
    kind: MembershipChangeKind,
    membership: &Membership,
) -> proto::MembershipChange {
    let kind = match kind {
        MembershipChangeKind::Added => proto::MembershipChangeKind::Added,
        MembershipChangeKind::Changed => proto::MembershipChangeKind::Changed,
        MembershipChangeKind::Removed => proto::MembershipChangeKind::Removed,
    };
    proto::MembershipChange {
        user_id,
        kind: kind.into(),
        membership: Some(membership_to_proto(membership)),
        membership_version: id.0,
    }
}

pub(crate) fn block_to_proto(block: &Block) -> proto::BlockedUser {
    proto::BlockedUser { user_id: block.blocked.to_string(), block_time: Some(block.at.to_proto()) }
}

/// `private`: with what is only for the user and for services.
pub(crate) fn user_to_proto(profile: Profile, private: bool) -> proto::User {
    proto::User {
        email: if private { profile.email } else { String::new() },
        deactivated: profile.deactivated,
        user_id: profile.user.to_string(),
        username: profile.username,
        display_name: profile.display_name,
        avatar_url: profile.avatar_url,
    }
}

/// What the outbox keeps and the log stores of a change: an encoded `EntryBody`.
pub(crate) fn encode_entry(entry: &SystemEntry) -> Vec<u8> {
    use log::entry_body::Body;
    let body = match entry {
        SystemEntry::Created { name, members, history } => Body::ConversationCreated(log::ConversationCreated {
            name: name.clone(),
            members: members.iter().map(member_role).collect(),
            history: match history {
                // Absent says the same.
                History::Shared => types::HistoryVisibility::Unspecified,
                History::SinceJoining => types::HistoryVisibility::SinceJoining,
            }
            .into(),
        }),
        SystemEntry::Updated(ConversationUpdate { name, description, avatar_url, history, metadata }) => {
            Body::ConversationUpdated(log::ConversationUpdated {
                name: name.clone(),
                description: description.clone(),
                avatar_url: avatar_url.clone(),
                history: history.map_or(types::HistoryVisibility::Unspecified, history_to_proto).into(),
                metadata: metadata.as_ref().map(metadata_to_proto),
            })
        }
        SystemEntry::Closed => Body::ConversationClosed(log::ConversationClosed {}),
        SystemEntry::MembersAdded(members) => {
            Body::MembersAdded(log::MembersAdded { members: members.iter().map(member_role).collect() })
        }
        SystemEntry::MemberRemoved { user, left, new_owner } => Body::MemberRemoved(log::MemberRemoved {
            user_id: user.to_string(),
            left: *left,
            new_owner_user_id: new_owner.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        SystemEntry::RoleChanged { user, role } => {
            Body::RoleChanged(log::RoleChanged { user_id: user.to_string(), role: role_to_proto(*role).into() })
        }
    };
    log::EntryBody { body: Some(body) }.encode_to_vec()
}

fn member_role((user, role): &(viberchat_kit::id::UserId, Role)) -> types::MemberRole {
    types::MemberRole { user_id: user.to_string(), role: role_to_proto(*role).into() }
}
