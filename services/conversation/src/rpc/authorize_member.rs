use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{AuthorizeMemberRequest, AuthorizeMemberResponse};

use super::State;
use super::batch_authorize_members::pair;
use crate::convert::authorization_to_proto;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: AuthorizeMemberRequest,
) -> Result<AuthorizeMemberResponse> {
    let found = state.store.authorize(&[pair("", &request)?]).await?;
    Ok(authorization_to_proto(found.first().and_then(Option::as_ref)))
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::{PeerState, Span};
    use viberchat_proto::types::v1::{ConversationKind, Role};

    use super::*;
    use crate::testing::{FakeLog, TestService, by_service, reason};

    #[tokio::test]
    async fn both_users_of_a_direct_may_from_its_beginning() {
        let service = TestService::start().await;
        let id = service.direct("alice", "bob").await;
        for user in ["alice", "bob"] {
            let answer = service.authorize(id, user).await;
            assert_eq!(answer.kind(), ConversationKind::Direct);
            assert_eq!(answer.role(), Role::Member);
            assert_eq!(answer.peer_state(), PeerState::Present);
            assert_eq!(answer.spans, [Span { from_seq: 0, to_seq: 0 }]);
        }
    }

    #[tokio::test]
    async fn a_stranger_has_neither_role_nor_spans() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.authorize(id, "mallory").await;
        assert_eq!((answer.role(), answer.spans.len()), (Role::Unspecified, 0));
        assert_eq!((answer.kind(), answer.conversation_version), (ConversationKind::Group, 1));
        let nowhere = ConversationId::from_bytes([7; 16]);
        assert_eq!(service.authorize(nowhere, "alice").await, AuthorizeMemberResponse::default());
    }

    #[tokio::test]
    async fn a_member_has_the_span_of_the_stay() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.authorize(id, "alice").await;
        assert_eq!((answer.role(), answer.peer_state()), (Role::Owner, PeerState::Unspecified));
        assert_eq!(answer.spans, [Span { from_seq: FakeLog::seq_of(1), to_seq: 0 }]);
    }

    #[tokio::test]
    async fn malformed_ids_are_refused() {
        let service = TestService::start().await;
        let request = AuthorizeMemberRequest { conversation_id: "x".into(), user_id: "alice".into() };
        assert_eq!(reason(service.api.authorize_member(by_service(request)).await), Reason::InvalidArgument);
    }
}
