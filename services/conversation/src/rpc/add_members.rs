use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{AddMembersRequest, AddMembersResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: AddMembersRequest,
) -> Result<AddMembersResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let users = field::user_ids("user_ids", &request.user_ids, state.config.call_members_max as usize)?;
    if users.is_empty() {
        return Err(Error::invalid_argument("user_ids", "is empty"));
    }
    execute(state, &context, &request, Act::Change(id, GroupChange::AddMembers(users))).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, reason, refusal};

    fn add(id: ConversationId, users: &[&str], request_id: &str) -> AddMembersRequest {
        AddMembersRequest {
            conversation_id: id.to_string(),
            user_ids: users.iter().map(|user| (*user).to_owned()).collect(),
            request_id: request_id.into(),
        }
    }

    #[tokio::test]
    async fn who_is_added_may_read_when_the_call_returns() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let answer = service.api.add_members(by("alice", add(id, &["bob", "carol", "bob"], "1"))).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        assert_eq!(answer.conversation.unwrap().member_count, 3);
        for user in ["bob", "carol"] {
            assert_eq!(service.authorize(id, user).await.spans[0].from_seq, FakeLog::seq_of(2));
        }
        let (version, actor, Body::MembersAdded(added)) = service.log.entries(id).remove(1) else { panic!() };
        assert_eq!((version, actor.as_str()), (2, "alice"));
        let users: Vec<_> = added.members.iter().map(|member| member.user_id.as_str()).collect();
        assert_eq!(users, ["bob", "carol"]);
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused() {
        let service = TestService::start_with(|config| {
            config.group_members_max = 3;
            config.call_members_max = 2;
            config.user_conversations_max = 2;
        })
        .await;
        let id = service.group("alice", &["bob"]).await;
        let direct = service.direct("alice", "bob").await;
        let refused = async |user, request| reason(service.api.add_members(by(user, request)).await);
        assert_eq!(refused("bob", add(id, &["carol"], "1")).await, Reason::RoleRequired);
        assert_eq!(refused("eve", add(id, &["carol"], "1")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", add(direct, &["carol"], "1")).await, Reason::DirectIsFixed);
        assert_eq!(refused("alice", add(id, &[], "1")).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", add(id, &["c", "d", "e"], "1")).await, Reason::LimitExceeded);
        assert_eq!(refused("alice", add(id, &["c", "d"], "1")).await, Reason::LimitExceeded);
        let exists = refusal(service.api.add_members(by("alice", add(id, &["bob", "c"], "1"))).await);
        assert_eq!((exists.reason, exists.metadata["user_id"].as_str()), (Reason::MemberExists, "bob"));
        service.group("carol", &[]).await;
        service.group("carol", &[]).await;
        let full = refusal(service.api.add_members(by("alice", add(id, &["carol"], "1"))).await);
        assert_eq!((full.reason, full.metadata["user_id"].as_str()), (Reason::LimitExceeded, "carol"));
        assert_eq!(service.log.entries(id).len(), 1);
    }
}
