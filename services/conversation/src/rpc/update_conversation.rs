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
        history: field::history(request.history)?,
        metadata: field::metadata(request.metadata.as_ref())?,
    };
    if update == ConversationUpdate::default() {
        return Err(Error::invalid_argument("name", "is absent, and so is everything else"));
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
    use viberchat_proto::types::v1::{HistoryVisibility, Metadata};

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
    async fn history_and_metadata_change_and_the_present_visibility_rules() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        let metadata = |entries: &[(&str, &str)]| {
            let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Some(Metadata { entries: entries.iter().map(entry).collect() })
        };
        let change = async |request_id: &str, history: HistoryVisibility, metadata: Option<Metadata>| {
            let request =
                UpdateConversationRequest { name: None, history: history.into(), metadata, ..rename(id, request_id) };
            let answer = service.api.update_conversation(by("alice", request)).await.unwrap().into_inner();
            answer.conversation.unwrap()
        };
        let first = change("1", HistoryVisibility::SinceJoining, metadata(&[("a", "1"), ("b", "2")])).await;
        assert_eq!(
            (first.history(), first.metadata),
            (HistoryVisibility::SinceJoining, metadata(&[("a", "1"), ("b", "2")]))
        );
        // What is absent stays; what is named is replaced whole.
        let second = change("2", HistoryVisibility::Unspecified, metadata(&[("c", "3")])).await;
        assert_eq!((second.history(), second.metadata), (HistoryVisibility::SinceJoining, metadata(&[("c", "3")])));
        assert_eq!(service.authorize(id, "bob").await.history(), HistoryVisibility::SinceJoining);
        let third = change("3", HistoryVisibility::Shared, None).await;
        assert_eq!((third.history(), third.metadata), (HistoryVisibility::Shared, metadata(&[("c", "3")])));
        assert_eq!(service.authorize(id, "bob").await.history(), HistoryVisibility::Shared);
        assert_eq!(change("4", HistoryVisibility::Unspecified, metadata(&[])).await.metadata, None);
        let said: Vec<_> = service.log.entries(id).into_iter().skip(1).collect();
        let said: Vec<_> = said
            .into_iter()
            .map(|(_, _, body)| match body {
                Body::ConversationUpdated(updated) => (updated.history(), updated.metadata),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            (HistoryVisibility::SinceJoining, metadata(&[("a", "1"), ("b", "2")])),
            (HistoryVisibility::Unspecified, metadata(&[("c", "3")])),
            (HistoryVisibility::Shared, None),
            (HistoryVisibility::Unspecified, metadata(&[])),
        ];
        assert_eq!(said, expected);
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
        let unknown = UpdateConversationRequest { history: 9, ..rename(id, "1") };
        assert_eq!(refused("alice", unknown).await, Reason::InvalidArgument);
        let nothing = UpdateConversationRequest { name: None, ..rename(id, "1") };
        assert_eq!(refused("alice", nothing).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", rename(id, "")).await, Reason::InvalidArgument);
        assert_eq!(service.log.entries(id).len(), 1);
    }
}
