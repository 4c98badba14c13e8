use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{BatchGetConversationsRequest, BatchGetConversationsResponse};

use super::{State, field, viewer};
use crate::convert::conversation_to_proto;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: BatchGetConversationsRequest,
) -> Result<BatchGetConversationsResponse> {
    let ids = field::conversation_ids("conversation_ids", &request.conversation_ids)?;
    let views = state.store.conversations(&ids, &viewer(&context)).await?;
    Ok(BatchGetConversationsResponse { conversations: views.iter().map(conversation_to_proto).collect() })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{TestService, by, reason};

    #[tokio::test]
    async fn what_the_caller_may_not_see_is_left_out() {
        let service = TestService::start().await;
        let mine = service.group("alice", &[]).await;
        let shared = service.direct("bob", "alice").await;
        let other = service.group("bob", &[]).await;
        let conversation_ids = [mine, other, shared, mine].map(|id| id.to_string()).into();
        let request = BatchGetConversationsRequest { conversation_ids };
        let answer = service.api.batch_get_conversations(by("alice", request)).await.unwrap().into_inner();
        let mut ids: Vec<_> = answer.conversations.into_iter().map(|c| c.conversation_id).collect();
        ids.sort();
        let mut expected = [mine, shared].map(|id| id.to_string());
        expected.sort();
        assert_eq!(ids, expected);
    }

    #[tokio::test]
    async fn too_many_or_malformed_ids_are_refused() {
        let service = TestService::start().await;
        let ask = async |conversation_ids: Vec<String>| {
            let request = BatchGetConversationsRequest { conversation_ids };
            reason(service.api.batch_get_conversations(by("alice", request)).await)
        };
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        assert_eq!(ask(vec![id; 201]).await, Reason::LimitExceeded);
        assert_eq!(ask(vec!["x".into()]).await, Reason::InvalidArgument);
    }
}
