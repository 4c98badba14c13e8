use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{RemoveMemberRequest, RemoveMemberResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: RemoveMemberRequest,
) -> Result<RemoveMemberResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let user = field::user_id("user_id", &request.user_id)?;
    execute(state, &context, &request, Act::Change(id, GroupChange::RemoveMember(user))).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::UpdateMemberRoleRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, reason};

    fn remove(id: ConversationId, user: &str, request_id: &str) -> RemoveMemberRequest {
        RemoveMemberRequest { conversation_id: id.to_string(), user_id: user.into(), request_id: request_id.into() }
    }

    #[tokio::test]
    async fn the_one_removed_may_do_nothing_more_and_the_log_says_so() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.api.remove_member(by("alice", remove(id, "bob", "1"))).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        assert_eq!(answer.conversation.unwrap().member_count, 1);
        assert_eq!(service.authorize(id, "bob").await.role(), Role::Unspecified);
        let (2, _, Body::MemberRemoved(removed)) = service.log.entries(id).remove(1) else { panic!() };
        assert_eq!((removed.user_id.as_str(), removed.left), ("bob", false));
        assert!(removed.new_owner_user_id.is_empty());
    }

    #[tokio::test]
    async fn a_removal_stops_at_commit_even_if_the_log_is_down() {
        let service = TestService::start_with(|config| config.entry_wait_ms = 1).await;
        let id = service.group("alice", &["bob"]).await;
        service.log.set_down(true);
        let answer = service.api.remove_member(by("alice", remove(id, "bob", "1"))).await.unwrap().into_inner();
        assert!(answer.pending);
        assert_eq!(service.authorize(id, "bob").await.role(), Role::Unspecified);
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob", "carol", "dave"]).await;
        let direct = service.direct("alice", "bob").await;
        for user in ["bob", "carol"] {
            let promote = UpdateMemberRoleRequest {
                conversation_id: id.to_string(),
                user_id: user.into(),
                role: Role::Admin.into(),
                request_id: user.into(),
            };
            service.api.update_member_role(by("alice", promote)).await.unwrap();
        }
        let refused = async |user, request| reason(service.api.remove_member(by(user, request)).await);
        assert_eq!(refused("dave", remove(id, "bob", "1")).await, Reason::RoleRequired);
        assert_eq!(refused("bob", remove(id, "carol", "1")).await, Reason::RoleRequired);
        assert_eq!(refused("bob", remove(id, "alice", "1")).await, Reason::RoleRequired);
        assert_eq!(refused("eve", remove(id, "bob", "1")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", remove(direct, "bob", "1")).await, Reason::DirectIsFixed);
        assert_eq!(refused("alice", remove(id, "eve", "1")).await, Reason::UserNotFound);
        assert_eq!(refused("alice", remove(id, "alice", "1")).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", remove(id, "", "1")).await, Reason::InvalidArgument);
    }
}
