use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{LeaveConversationRequest, LeaveConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: LeaveConversationRequest,
) -> Result<LeaveConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    execute(state, &context, &request, Act::Change(id, GroupChange::Leave)).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, reason};

    fn leave(id: ConversationId) -> LeaveConversationRequest {
        LeaveConversationRequest { conversation_id: id.to_string(), request_id: "1".into() }
    }

    #[tokio::test]
    async fn the_heir_of_the_last_owner_is_named_in_the_log() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob", "carol"]).await;
        let answer = service.api.leave_conversation(by("alice", leave(id))).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        let (2, _, Body::MemberRemoved(removed)) = service.log.entries(id).remove(1) else { panic!() };
        assert_eq!((removed.user_id.as_str(), removed.left), ("alice", true));
        assert_eq!(removed.new_owner_user_id, "bob");
        assert_eq!(service.authorize(id, "bob").await.role(), Role::Owner);
        assert_eq!(service.authorize(id, "carol").await.role(), Role::Member);
    }

    #[tokio::test]
    async fn whoever_left_gets_the_first_answer_again() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let first = service.api.leave_conversation(by("bob", leave(id))).await.unwrap().into_inner();
        let again = service.api.leave_conversation(by("bob", leave(id))).await.unwrap().into_inner();
        assert_eq!(first, again);
        assert_eq!(service.log.entries(id).len(), 2);
    }

    #[tokio::test]
    async fn directs_and_strangers_do_not_leave() {
        let service = TestService::start().await;
        let direct = service.direct("alice", "bob").await;
        assert_eq!(reason(service.api.leave_conversation(by("bob", leave(direct))).await), Reason::DirectIsFixed);
        assert_eq!(
            reason(service.api.leave_conversation(by("eve", leave(direct))).await),
            Reason::ConversationNotFound
        );
    }
}
