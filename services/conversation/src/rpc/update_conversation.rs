use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{UpdateConversationRequest, UpdateConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::{ConversationUpdate, GroupChange};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateConversationRequest,
) -> Result<UpdateConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    request.name.as_deref().map_or(Ok(()), field::group_name)?;
    request.description.as_deref().map_or(Ok(()), field::description)?;
    request.avatar_url.as_deref().map_or(Ok(()), |url| field::avatar_url("avatar_url", url))?;
    let update = ConversationUpdate {
        name: request.name.clone(),
        description: request.description.clone(),
        avatar_url: request.avatar_url.clone(),
    };
    if update == ConversationUpdate::default() {
        return Err(Error::invalid_argument("name", "is absent, and so are description and avatar_url"));
    }
    let etag = Some(request.etag.clone()).filter(|etag| !etag.is_empty());
    execute(state, &context, &request, Act::Change(id, GroupChange::Update { update, etag })).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;

    use super::*;
    use crate::testing::{FakeLog, TestService, by, reason};

    fn rename(id: ConversationId, request_id: &str) -> UpdateConversationRequest {
        UpdateConversationRequest {
            conversation_id: id.to_string(),
            name: Some("New".into()),
            request_id: request_id.into(),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn what_is_named_changes_and_the_log_says_so() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let answer = service.api.update_conversation(by("alice", rename(id, "1"))).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(2), false));
        let first = answer.conversation.unwrap();
        assert_eq!((first.name.as_str(), first.version), ("New", 2));
        let request = UpdateConversationRequest {
            name: None,
            description: Some("Why".into()),
            etag: first.etag.clone(),
            ..rename(id, "2")
        };
        let answer = service.api.update_conversation(by("alice", request)).await.unwrap().into_inner();
        let second = answer.conversation.unwrap();
        assert_eq!((second.name.as_str(), second.description.as_str()), ("New", "Why"));
        assert_ne!(first.etag, second.etag);
        let bodies: Vec<_> = service.log.entries(id).into_iter().skip(1).map(|(_, _, body)| body).collect();
        let [Body::ConversationUpdated(first), Body::ConversationUpdated(second)] = &bodies[..] else { panic!() };
        assert_eq!((first.name.as_deref(), first.description.as_deref()), (Some("New"), None));
        assert_eq!((second.name.as_deref(), second.description.as_deref()), (None, Some("Why")));
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_refused() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let direct = service.direct("alice", "bob").await;
        let refused = async |user, request| reason(service.api.update_conversation(by(user, request)).await);
        assert_eq!(refused("bob", rename(id, "1")).await, Reason::RoleRequired);
        assert_eq!(refused("eve", rename(id, "1")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", rename(direct, "1")).await, Reason::DirectIsFixed);
        let stale = UpdateConversationRequest { etag: "1-1".into(), ..rename(id, "1") };
        assert_eq!(refused("alice", stale).await, Reason::EtagMismatch);
        let blank = UpdateConversationRequest { name: Some("\t".into()), ..rename(id, "1") };
        assert_eq!(refused("alice", blank).await, Reason::InvalidArgument);
        let nothing = UpdateConversationRequest { name: None, ..rename(id, "1") };
        assert_eq!(refused("alice", nothing).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", rename(id, "")).await, Reason::InvalidArgument);
        assert_eq!(service.log.entries(id).len(), 1);
    }
}
