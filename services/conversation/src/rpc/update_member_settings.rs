use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{MemberSettings, UpdateMemberSettingsRequest, UpdateMemberSettingsResponse};

use super::{State, field};
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateMemberSettingsRequest,
) -> Result<UpdateMemberSettingsResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let pinned = request.pinned.ok_or_else(|| Error::invalid_argument("pinned", "is absent"))?;
    if !state.store.set_pinned(id, context.user()?, pinned, state.clock.now()).await? {
        return Err(not_found());
    }
    state.wake.wake();
    Ok(UpdateMemberSettingsResponse { settings: Some(MemberSettings { pinned }) })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::ListConversationsRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{TestService, by, reason};

    #[tokio::test]
    async fn a_pin_is_the_members_own() {
        let service = TestService::start().await;
        let old = service.group("alice", &["bob"]).await;
        service.clock.advance(std::time::Duration::from_secs(1));
        let new = service.group("alice", &["bob"]).await;
        let pin = |pinned| UpdateMemberSettingsRequest { conversation_id: old.to_string(), pinned };
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
}
