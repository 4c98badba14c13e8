use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::conversation::v1::{
    AuthorizeMemberRequest, BatchAuthorizeMembersRequest, BatchAuthorizeMembersResponse,
};

use super::{State, field};
use crate::convert::authorization_to_proto;
use crate::domain::BATCH_MAX;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: BatchAuthorizeMembersRequest,
) -> Result<BatchAuthorizeMembersResponse> {
    field::check_count("requests", request.requests.len(), BATCH_MAX)?;
    let pairs = request.requests.iter().enumerate();
    let pairs = pairs.map(|(index, request)| pair(&format!("requests[{index}]."), request));
    let found = state.store.authorize(&pairs.collect::<Result<Vec<_>>>()?).await?;
    let responses = found.iter().map(|found| authorization_to_proto(found.as_ref())).collect();
    Ok(BatchAuthorizeMembersResponse { responses })
}

/// `path` says where the request is.
pub(super) fn pair(path: &str, request: &AuthorizeMemberRequest) -> Result<(ConversationId, UserId)> {
    let conversation = field::conversation_id_of(&format!("{path}conversation_id"), &request.conversation_id)?;
    Ok((conversation, field::user_id(&format!("{path}user_id"), &request.user_id)?))
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::AuthorizeMemberResponse;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{TestService, by_service, reason, refusal};

    fn ask(conversation: &str, user: &str) -> AuthorizeMemberRequest {
        AuthorizeMemberRequest { conversation_id: conversation.to_owned(), user_id: user.to_owned() }
    }

    #[tokio::test]
    async fn each_pair_is_answered_in_its_place_as_it_would_be_alone() {
        let service = TestService::start().await;
        let group = service.group("alice", &["bob"]).await;
        let direct = service.direct("alice", "carol").await;
        let nowhere = ConversationId::from_bytes([7; 16]);
        let pairs = [
            (direct, "carol"),
            (nowhere, "alice"),
            (group, "bob"),
            (group, "carol"),
            (group, "alice"),
            (direct, "carol"),
            (direct, "bob"),
        ];
        let requests = pairs.iter().map(|(id, user)| ask(&id.to_string(), user)).collect();
        let request = BatchAuthorizeMembersRequest { requests };
        let answers = service.api.batch_authorize_members(by_service(request)).await.unwrap().into_inner().responses;
        let mut alone = Vec::new();
        for (id, user) in pairs {
            alone.push(service.authorize(id, user).await);
        }
        assert_eq!(answers, alone);
        assert_eq!(answers[1], AuthorizeMemberResponse::default());
        assert!(answers[4].role > answers[2].role && answers[2].role > answers[3].role);
    }

    #[tokio::test]
    async fn none_are_none_and_too_many_or_malformed_ones_are_refused() {
        let service = TestService::start().await;
        let call =
            |requests| service.api.batch_authorize_members(by_service(BatchAuthorizeMembersRequest { requests }));
        assert!(call(Vec::new()).await.unwrap().into_inner().responses.is_empty());
        let good = ask(&ConversationId::from_bytes([7; 16]).to_string(), "alice");
        assert_eq!(call(vec![good.clone(); 200]).await.unwrap().into_inner().responses.len(), 200);
        assert_eq!(reason(call(vec![good.clone(); 201]).await), Reason::LimitExceeded);
        let bad = refusal(call(vec![good, ask("x", "alice")]).await);
        assert_eq!(bad.violations[0].field, "requests[1].conversation_id");
    }
}
