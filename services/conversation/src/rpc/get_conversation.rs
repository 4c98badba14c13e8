use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{GetConversationRequest, GetConversationResponse};

use super::{State, field, viewer};
use crate::convert::conversation_to_proto;
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: GetConversationRequest,
) -> Result<GetConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let views = state.store.conversations(&[id], &viewer(&context)).await?;
    let view = views.first().ok_or_else(not_found)?;
    Ok(GetConversationResponse { conversation: Some(conversation_to_proto(view)) })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::RemoveMemberRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{TestService, by, by_service, reason};

    fn get(id: ConversationId) -> GetConversationRequest {
        GetConversationRequest { conversation_id: id.to_string() }
    }

    #[tokio::test]
    async fn a_member_sees_it_with_the_own_side() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.api.get_conversation(by("bob", get(id))).await.unwrap().into_inner();
        let conversation = answer.conversation.unwrap();
        assert_eq!((conversation.name.as_str(), conversation.role()), ("Plans", Role::Member));
        assert!(!conversation.settings.unwrap().pinned);
        assert!(conversation.activity_time.is_none() && conversation.peer_user_id.is_empty());
    }

    #[tokio::test]
    async fn strangers_and_those_removed_find_nothing() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        assert_eq!(reason(service.api.get_conversation(by("eve", get(id))).await), Reason::ConversationNotFound);
        let nowhere = get(ConversationId::from_bytes([1; 16]));
        assert_eq!(reason(service.api.get_conversation(by("alice", nowhere)).await), Reason::ConversationNotFound);
        let remove =
            RemoveMemberRequest { conversation_id: id.to_string(), user_id: "bob".into(), request_id: "r".into() };
        service.api.remove_member(by("alice", remove)).await.unwrap();
        assert_eq!(reason(service.api.get_conversation(by("bob", get(id))).await), Reason::ConversationNotFound);
    }

    #[tokio::test]
    async fn a_service_sees_it_without_a_side() {
        let service = TestService::start().await;
        let id = service.direct("alice", "bob").await;
        let answer = service.api.get_conversation(by_service(get(id))).await.unwrap().into_inner();
        let conversation = answer.conversation.unwrap();
        assert_eq!((conversation.role(), conversation.settings), (Role::Unspecified, None));
        assert_eq!((conversation.peer_user_id.as_str(), conversation.member_count), ("", 2));
    }

    #[tokio::test]
    async fn a_malformed_id_is_refused() {
        let service = TestService::start().await;
        let request = GetConversationRequest { conversation_id: "no".into() };
        assert_eq!(reason(service.api.get_conversation(by("alice", request)).await), Reason::InvalidArgument);
    }
}
