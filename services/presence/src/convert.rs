//! Protobuf ⇄ domain. Generated types stop here and in `rpc`, `attach`, `watch` and `watch_typing`.

use viberchat_kit::id::UserId;
use viberchat_proto::conversation::v1::AuthorizeMemberResponse;
use viberchat_proto::presence::v1 as proto;
use viberchat_proto::types::v1::{ConversationKind, Role};

use crate::domain::name::SessionId;
use crate::domain::registry::Report;
use crate::domain::status::{Activity, Presence, Setting, Status};

pub(crate) fn presence_to_proto(user: &UserId, presence: Presence) -> proto::Presence {
    let status = match presence.status {
        Status::Unknown => proto::Status::Unspecified,
        Status::Offline => proto::Status::Offline,
        Status::Online => proto::Status::Online,
        Status::Away => proto::Status::Away,
        Status::Busy => proto::Status::Busy,
        Status::Invisible => proto::Status::Invisible,
    };
    proto::Presence {
        user_id: user.to_string(),
        status: status.into(),
        last_seen_time: presence.last_seen.map(|minute| minute.begin().to_proto()),
    }
}

/// `None`: not a status that one can set.
pub(crate) fn setting_from_proto(status: i32) -> Option<Setting> {
    match proto::Status::try_from(status) {
        Ok(proto::Status::Online) => Some(Setting::Online),
        Ok(proto::Status::Away) => Some(Setting::Away),
        Ok(proto::Status::Busy) => Some(Setting::Busy),
        Ok(proto::Status::Invisible) => Some(Setting::Invisible),
        Ok(proto::Status::Unspecified | proto::Status::Offline) | Err(_) => None,
    }
}

/// `Err`: the field that is wrong.
pub(crate) fn report_from_proto(report: &proto::SessionReport) -> Result<Report, &'static str> {
    let session = SessionId::parse(&report.session_id).ok_or("session_id")?;
    let user = UserId::parse(&report.user_id).map_err(|_| "user_id")?;
    let activity = match proto::SessionState::try_from(report.state) {
        Ok(proto::SessionState::Active) => Some(Activity::Active),
        Ok(proto::SessionState::Idle) => Some(Activity::Idle),
        Ok(proto::SessionState::Gone) => None,
        Ok(proto::SessionState::Unspecified) | Err(_) => return Err("state"),
    };
    Ok(Report { session, user, activity })
}

/// Whether the user may take part now: belongs to the conversation, and the log has their joining. A direct makes no entries
/// of joining.
pub(crate) fn is_member(answer: &AuthorizeMemberResponse) -> bool {
    let has_joined = answer.spans.last().is_some_and(|span| span.to_seq == 0);
    answer.role() != Role::Unspecified && (has_joined || answer.kind() == ConversationKind::Direct)
}

#[cfg(test)]
mod tests {
    use viberchat_proto::conversation::v1::Span;

    use super::*;

    #[test]
    fn a_member_has_a_role_and_in_a_group_a_stay_that_goes_on() {
        let answer = |kind: ConversationKind, role: Role, spans: &[(u64, u64)]| AuthorizeMemberResponse {
            kind: kind.into(),
            role: role.into(),
            spans: spans.iter().map(|(from_seq, to_seq)| Span { from_seq: *from_seq, to_seq: *to_seq }).collect(),
            ..AuthorizeMemberResponse::default()
        };
        let (group, direct) = (ConversationKind::Group, ConversationKind::Direct);
        assert!(is_member(&answer(group, Role::Member, &[(1, 5), (9, 0)])));
        assert!(is_member(&answer(direct, Role::Member, &[])));
        assert!(!is_member(&answer(group, Role::Member, &[])), "the log does not have the joining");
        assert!(!is_member(&answer(group, Role::Member, &[(1, 5)])));
        assert!(!is_member(&answer(group, Role::Unspecified, &[(1, 0)])));
        assert!(!is_member(&answer(direct, Role::Unspecified, &[(0, 0)])));
        assert!(!is_member(&AuthorizeMemberResponse::default()));
    }

    #[test]
    fn offline_and_unknown_are_nothing_that_one_sets() {
        for status in [proto::Status::Unspecified, proto::Status::Offline] {
            assert_eq!(setting_from_proto(status.into()), None);
        }
        assert_eq!(setting_from_proto(6), None);
        assert_eq!(setting_from_proto(proto::Status::Invisible.into()), Some(Setting::Invisible));
    }
}
