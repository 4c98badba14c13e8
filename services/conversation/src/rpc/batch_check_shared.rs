use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{BatchCheckSharedRequest, BatchCheckSharedResponse};

use super::{State, field};
use crate::domain::BATCH_MAX;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: BatchCheckSharedRequest,
) -> Result<BatchCheckSharedResponse> {
    let user = field::user_id("user_id", &request.user_id)?;
    let mut others = field::user_ids("other_user_ids", &request.other_user_ids, BATCH_MAX)?;
    others.remove(&user);
    let mut shared = state.store.sharing(&user, &others.into_iter().collect::<Vec<_>>()).await?;
    // Everybody shares with themselves, whether or not they are in a conversation.
    shared.push(user);
    Ok(BatchCheckSharedResponse { shared_user_ids: shared.iter().map(ToString::to_string).collect() })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::{LeaveConversationRequest, RecordActivityRequest};

    use super::*;
    use crate::testing::{START, TestService, by, by_service, reason};

    async fn shared(service: &TestService, user: &str, others: &[&str]) -> Vec<String> {
        let other_user_ids = others.iter().map(|other| (*other).to_owned()).collect();
        let request = BatchCheckSharedRequest { user_id: user.to_owned(), other_user_ids };
        let answer = service.api.batch_check_shared(by_service(request)).await.unwrap().into_inner();
        let mut ids = answer.shared_user_ids;
        ids.sort();
        ids
    }

    #[tokio::test]
    async fn who_is_in_a_conversation_of_the_users_shares_and_oneself_always() {
        let service = TestService::start().await;
        let group = service.group("alice", &["bob", "carol"]).await;
        service.group("dave", &["eve"]).await;
        let others = ["bob", "carol", "dave", "eve", "alice", "bob"];
        assert_eq!(shared(&service, "alice", &others).await, ["alice", "bob", "carol"]);
        assert_eq!(shared(&service, "frank", &others).await, ["frank"]);
        let leave = LeaveConversationRequest { conversation_id: group.to_string(), request_id: "1".into() };
        service.api.leave_conversation(by("bob", leave)).await.unwrap();
        assert_eq!(shared(&service, "alice", &others).await, ["alice", "carol"]);
    }

    #[tokio::test]
    async fn a_direct_that_nobody_has_written_in_shares_nothing() {
        let service = TestService::start().await;
        let direct = service.direct("mallory", "alice").await;
        assert_eq!(shared(&service, "mallory", &["alice"]).await, ["mallory"]);
        assert_eq!(shared(&service, "alice", &["mallory"]).await, ["alice"]);
        let time = Some(START.to_proto());
        let activity = RecordActivityRequest { conversation_id: direct.to_string(), seq: 1, time };
        service.api.record_activity(by_service(activity)).await.unwrap();
        assert_eq!(shared(&service, "mallory", &["alice"]).await, ["alice", "mallory"]);
    }

    #[tokio::test]
    async fn too_many_or_malformed_ids_are_refused() {
        let service = TestService::start().await;
        let refused = async |user_id: &str, other_user_ids| {
            let request = BatchCheckSharedRequest { user_id: user_id.to_owned(), other_user_ids };
            reason(service.api.batch_check_shared(by_service(request)).await)
        };
        assert_eq!(refused("alice", vec!["b".into(); 201]).await, Reason::LimitExceeded);
        assert_eq!(refused("alice", vec![String::new()]).await, Reason::InvalidArgument);
        assert_eq!(refused("", vec![]).await, Reason::InvalidArgument);
    }
}
