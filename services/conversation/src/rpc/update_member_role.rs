use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{UpdateMemberRoleRequest, UpdateMemberRoleResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::convert::role_from_proto;
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateMemberRoleRequest,
) -> Result<UpdateMemberRoleResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let user = field::user_id("user_id", &request.user_id)?;
    let role = role_from_proto(request.role).ok_or_else(|| Error::invalid_argument("role", "is not a role"))?;
    execute(state, &context, &request, Act::Change(id, GroupChange::SetRole { user, role })).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, reason, refusal};

    fn role(id: ConversationId, user: &str, role: Role, request_id: &str) -> UpdateMemberRoleRequest {
        UpdateMemberRoleRequest {
            conversation_id: id.to_string(),
            user_id: user.into(),
            role: role.into(),
            request_id: request_id.into(),
        }
    }

    #[tokio::test]
    async fn the_role_changes_once_and_the_log_says_so() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let request = role(id, "bob", Role::Admin, "1");
        let answer = service.api.update_member_role(by("alice", request)).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        let member = answer.member.unwrap();
        assert_eq!((member.user_id.as_str(), member.role()), ("bob", Role::Admin));
        let request = role(id, "bob", Role::Admin, "2");
        let again = service.api.update_member_role(by("alice", request)).await.unwrap().into_inner();
        assert_eq!((again.seq, again.pending, again.member.unwrap().role()), (0, false, Role::Admin));
        let entries = service.log.entries(id);
        let [_, (2, actor, Body::RoleChanged(changed))] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((actor.as_str(), changed.user_id.as_str(), changed.role()), ("alice", "bob", Role::Admin));
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let direct = service.direct("alice", "bob").await;
        let refused = async |user, request| reason(service.api.update_member_role(by(user, request)).await);
        assert_eq!(refused("bob", role(id, "bob", Role::Owner, "1")).await, Reason::RoleRequired);
        assert_eq!(refused("eve", role(id, "bob", Role::Owner, "1")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", role(direct, "bob", Role::Owner, "1")).await, Reason::DirectIsFixed);
        assert_eq!(refused("alice", role(id, "eve", Role::Admin, "1")).await, Reason::UserNotFound);
        assert_eq!(refused("alice", role(id, "bob", Role::Unspecified, "1")).await, Reason::InvalidArgument);
        let last = refusal(service.api.update_member_role(by("alice", role(id, "alice", Role::Member, "1"))).await);
        assert_eq!((last.reason, last.violations[0].field.as_str()), (Reason::InvalidArgument, "role"));
    }
}
