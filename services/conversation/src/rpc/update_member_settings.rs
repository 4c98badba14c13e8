use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{UpdateMemberSettingsRequest, UpdateMemberSettingsResponse};

use super::{State, field};
use crate::convert::settings_to_proto;
use crate::domain::{NICKNAME_CHARS_MAX, SettingsUpdate};
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateMemberSettingsRequest,
) -> Result<UpdateMemberSettingsResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let update = update(request)?;
    let settings = state.store.update_settings(id, context.user()?, &update, state.clock.now()).await?;
    let settings = settings.ok_or_else(not_found)?;
    state.wake.wake();
    Ok(UpdateMemberSettingsResponse { settings: Some(settings_to_proto(&settings)) })
}

fn update(request: UpdateMemberSettingsRequest) -> Result<SettingsUpdate> {
    let UpdateMemberSettingsRequest { conversation_id: _, pinned, mute_until_time, archived, nickname, cleared_seq } =
        request;
    let mute_until = mute_until_time.as_ref().map(|time| {
        Timestamp::from_proto(time).ok_or_else(|| Error::invalid_argument("mute_until_time", "is not a time"))
    });
    if let Some(nickname) = &nickname {
        field::check_chars("nickname", nickname, NICKNAME_CHARS_MAX)?;
        if !nickname.is_empty() && nickname.trim().is_empty() {
            return Err(Error::invalid_argument("nickname", "is blank"));
        }
    }
    // No log is as long as that; engines count in signed numbers.
    if cleared_seq.is_some_and(|seq| i64::try_from(seq).is_err()) {
        return Err(Error::invalid_argument("cleared_seq", "is past every log"));
    }
    let update = SettingsUpdate { pinned, mute_until: mute_until.transpose()?, archived, nickname, cleared_seq };
    if update == SettingsUpdate::default() {
        return Err(Error::invalid_argument("pinned", "is absent, and so is everything else"));
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::{GetConversationRequest, ListConversationsRequest, MemberSettings};

    use super::*;
    use crate::testing::{START, TestService, by, reason, refusal};

    #[tokio::test]
    async fn a_pin_is_the_members_own() {
        let service = TestService::start().await;
        let old = service.group("alice", &["bob"]).await;
        service.clock.advance(std::time::Duration::from_secs(1));
        let new = service.group("alice", &["bob"]).await;
        let pin =
            |pinned| UpdateMemberSettingsRequest { conversation_id: old.to_string(), pinned, ..Default::default() };
        for _ in 0..2 {
            let answer = service.api.update_member_settings(by("alice", pin(Some(true)))).await.unwrap().into_inner();
            assert!(answer.settings.unwrap().pinned);
        }
        let first = async |user| {
            let request = ListConversationsRequest::default();
            let answer = service.api.list_conversations(by(user, request)).await.unwrap().into_inner();
            let first = answer.conversations[0].clone();
            (first.conversation_id, first.settings.unwrap().pinned)
        };
        assert_eq!(first("alice").await, (old.to_string(), true));
        assert_eq!(first("bob").await, (new.to_string(), false));
        assert_eq!(reason(service.api.update_member_settings(by("alice", pin(None))).await), Reason::InvalidArgument);
        let stranger = service.api.update_member_settings(by("eve", pin(Some(true)))).await;
        assert_eq!(reason(stranger), Reason::ConversationNotFound);
    }

    #[tokio::test]
    async fn each_setting_is_kept_and_the_others_stay() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let set = async |request: UpdateMemberSettingsRequest| {
            let request = UpdateMemberSettingsRequest { conversation_id: id.to_string(), ..request };
            let answer = service.api.update_member_settings(by("alice", request)).await.unwrap().into_inner();
            answer.settings.unwrap()
        };
        let none = UpdateMemberSettingsRequest::default;
        let until = Some(START.to_proto());
        set(UpdateMemberSettingsRequest { mute_until_time: until, ..none() }).await;
        set(UpdateMemberSettingsRequest { nickname: Some("Chess".into()), ..none() }).await;
        set(UpdateMemberSettingsRequest { cleared_seq: Some(7), ..none() }).await;
        let settings = set(UpdateMemberSettingsRequest { archived: Some(true), cleared_seq: Some(3), ..none() }).await;
        let expected = MemberSettings {
            pinned: false,
            mute_until_time: until,
            archived: true,
            nickname: "Chess".into(),
            cleared_seq: 7,
        };
        assert_eq!(settings, expected);
        let get = || GetConversationRequest { conversation_id: id.to_string() };
        let seen = async |user: &str| {
            let answer = service.api.get_conversation(by(user, get())).await.unwrap().into_inner();
            answer.conversation.unwrap().settings.unwrap()
        };
        assert_eq!(seen("alice").await, expected);
        assert_eq!(seen("bob").await, MemberSettings::default());
        assert_eq!(service.authorize(id, "alice").await.cleared_seq, 7);
        assert_eq!(service.authorize(id, "bob").await.cleared_seq, 0);
        let epoch = Some(Timestamp::from_millis(0).to_proto());
        let settings = set(UpdateMemberSettingsRequest {
            mute_until_time: epoch,
            nickname: Some(String::new()),
            archived: Some(false),
            ..none()
        })
        .await;
        assert_eq!(settings, MemberSettings { cleared_seq: 7, ..MemberSettings::default() });
    }

    #[tokio::test]
    async fn what_is_out_of_range_is_refused() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let refused = async |change: fn(&mut UpdateMemberSettingsRequest)| {
            let mut request = UpdateMemberSettingsRequest { conversation_id: id.to_string(), ..Default::default() };
            change(&mut request);
            let error = refusal(service.api.update_member_settings(by("alice", request)).await);
            assert_eq!(error.reason, Reason::InvalidArgument);
            error.violations[0].field.clone()
        };
        assert_eq!(refused(|r| r.nickname = Some("x".repeat(256))).await, "nickname");
        assert_eq!(refused(|r| r.nickname = Some(" ".into())).await, "nickname");
        assert_eq!(refused(|r| r.cleared_seq = Some(u64::MAX)).await, "cleared_seq");
        let no_time = |r: &mut UpdateMemberSettingsRequest| {
            r.mute_until_time = Some(pbjson_types::Timestamp { seconds: 0, nanos: -1 });
        };
        assert_eq!(refused(no_time).await, "mute_until_time");
    }
}
