use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{DeleteConversationRequest, DeleteConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: DeleteConversationRequest,
) -> Result<DeleteConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    execute(state, &context, &request, Act::Change(id, GroupChange::Delete)).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::{
        AddMembersRequest, GetConversationRequest, ListConversationsRequest, ListMembersRequest,
    };
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, by_service, eventually, reason};

    fn delete(id: ConversationId, request_id: &str) -> DeleteConversationRequest {
        DeleteConversationRequest { conversation_id: id.to_string(), request_id: request_id.into() }
    }

    #[tokio::test]
    async fn a_last_entry_closes_the_log_and_nobody_is_a_member_any_more() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.api.delete_conversation(by("alice", delete(id, "1"))).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        let entries = service.log.entries(id);
        let (version, actor, body) = entries.last().unwrap();
        assert_eq!((*version, actor.as_str(), entries.len()), (2, "alice", 2));
        assert!(matches!(body, Body::ConversationClosed(_)), "{body:?}");
        let conversation_id = id.to_string();
        for user in ["alice", "bob"] {
            let authorization = service.authorize(id, user).await;
            assert_eq!((authorization.role(), authorization.spans.len()), (Role::Unspecified, 0));
            assert_eq!((authorization.conversation_version, authorization.member_count), (2, 0));
            let get = GetConversationRequest { conversation_id: conversation_id.clone() };
            assert_eq!(reason(service.api.get_conversation(by(user, get)).await), Reason::ConversationNotFound);
            let members = ListMembersRequest { conversation_id: conversation_id.clone(), ..Default::default() };
            assert_eq!(reason(service.api.list_members(by(user, members)).await), Reason::ConversationNotFound);
            let list = service.api.list_conversations(by(user, ListConversationsRequest::default())).await;
            assert!(list.unwrap().into_inner().conversations.is_empty());
        }
        let get = GetConversationRequest { conversation_id: conversation_id.clone() };
        assert_eq!(reason(service.api.get_conversation(by_service(get)).await), Reason::ConversationNotFound);
        let add = AddMembersRequest { conversation_id, user_ids: vec!["carol".into()], request_id: "2".into() };
        assert_eq!(reason(service.api.add_members(by("alice", add)).await), Reason::ConversationNotFound);
    }

    #[tokio::test]
    async fn a_repeated_request_gets_the_first_result_though_nobody_is_a_member() {
        let service = TestService::start_with(|config| config.entry_wait_ms = 50).await;
        let id = service.group("alice", &["bob"]).await;
        service.log.set_down(true);
        let first = service.api.delete_conversation(by("alice", delete(id, "1"))).await.unwrap().into_inner();
        assert_eq!((first.seq, first.pending), (0, true));
        // Nobody is a member from the commit on.
        assert_eq!(service.authorize(id, "bob").await.role(), Role::Unspecified);
        service.log.set_down(false);
        let again = eventually("the relay", async || {
            let again = service.api.delete_conversation(by("alice", delete(id, "1"))).await.unwrap().into_inner();
            (!again.pending).then_some(again)
        })
        .await;
        assert_eq!(again.seq, FakeLog::seq_of(2));
        assert_eq!(service.log.entries(id).len(), 2);
        let other = service.api.delete_conversation(by("alice", delete(id, "2"))).await;
        assert_eq!(reason(other), Reason::ConversationNotFound);
    }

    #[tokio::test]
    async fn only_owners_delete_and_only_groups() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let direct = service.direct("alice", "bob").await;
        let refused = async |user, request| reason(service.api.delete_conversation(by(user, request)).await);
        assert_eq!(refused("bob", delete(id, "1")).await, Reason::RoleRequired);
        assert_eq!(refused("eve", delete(id, "1")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", delete(direct, "1")).await, Reason::DirectIsFixed);
        assert_eq!(refused("alice", delete(id, "")).await, Reason::InvalidArgument);
        assert_eq!(service.log.entries(id).len(), 1);
    }
}
