use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{UnblockUserRequest, UnblockUserResponse};

use super::{State, field};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UnblockUserRequest,
) -> Result<UnblockUserResponse> {
    let blocked = field::user_id("user_id", &request.user_id)?;
    if state.store.unblock_user(context.user()?, &blocked, state.clock.now()).await? {
        state.wake.wake();
    }
    Ok(UnblockUserResponse {})
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::BlockUserRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{TestService, by, reason};

    #[tokio::test]
    async fn both_may_write_again_and_who_was_not_blocked_is_no_error() {
        let service = TestService::start().await;
        let direct = service.direct("alice", "bob").await;
        service.api.block_user(by("alice", BlockUserRequest { user_id: "bob".into() })).await.unwrap();
        // Nobody takes another's block away.
        let unblock = |user: &str| UnblockUserRequest { user_id: user.into() };
        service.api.unblock_user(by("bob", unblock("alice"))).await.unwrap();
        assert!(service.authorize(direct, "bob").await.blocked);
        for _ in 0..2 {
            service.api.unblock_user(by("alice", unblock("bob"))).await.unwrap();
            assert!(!service.authorize(direct, "bob").await.blocked);
        }
        assert_eq!(reason(service.api.unblock_user(by("alice", unblock(""))).await), Reason::InvalidArgument);
    }
}
