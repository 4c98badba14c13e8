use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{ListConversationsRequest, ListConversationsResponse};

use super::{State, page_owner};
use crate::convert::{conversation_to_proto, kind_from_proto};
use crate::store::{ConversationStore, ListPage, ListPosition};

const METHOD: &str = "ListConversations";

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: ListConversationsRequest,
) -> Result<ListConversationsResponse> {
    let (user, owner) = (context.user()?, page_owner(&context.caller));
    let pages = state.pages.for_method(METHOD);
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<ListPosition>(&owner, &request.kind, token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    let kind = kind_from_proto(request.kind);
    // One more than asked for says whether there is a next page.
    let mut found = state.store.list(user, &ListPage { kind, after, limit: size + 1 }).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next_page_token = match found.last() {
        Some((_, position)) if more => pages.seal(&owner, &request.kind, position)?,
        _ => String::new(),
    };
    let conversations = found.iter().map(|(view, _)| conversation_to_proto(view)).collect();
    Ok(ListConversationsResponse { conversations, next_page_token })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::clock::Timestamp;
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::RecordActivityRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::types::v1::ConversationKind;

    use super::*;
    use crate::testing::{START, TestService, by, by_service, reason};

    async fn list(service: &TestService, user: &str, request: ListConversationsRequest) -> (Vec<String>, String) {
        let answer = service.api.list_conversations(by(user, request)).await.unwrap().into_inner();
        (answer.conversations.into_iter().map(|c| c.conversation_id).collect(), answer.next_page_token)
    }

    async fn activity(service: &TestService, id: ConversationId, ms: i64) {
        let time = Some(Timestamp::from_millis(START.millis() + ms).to_proto());
        let request = RecordActivityRequest { conversation_id: id.to_string(), seq: 2, time };
        service.api.record_activity(by_service(request)).await.unwrap();
    }

    #[tokio::test]
    async fn pages_go_by_activity_to_the_end() {
        let service = TestService::start().await;
        let mut expected = Vec::new();
        for number in 0..7 {
            let id = service.group("alice", &[]).await;
            activity(&service, id, 100 - number).await;
            expected.push(id.to_string());
        }
        let (mut met, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListConversationsRequest { page_size: 3, page_token, ..Default::default() };
            let (ids, next) = list(&service, "alice", request).await;
            assert!(ids.len() <= 3);
            met.extend(ids);
            page_token = next;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(met, expected);
    }

    #[tokio::test]
    async fn a_direct_is_in_the_peers_list_from_its_first_message_on() {
        let service = TestService::start().await;
        let direct = service.direct("alice", "bob").await;
        service.group("alice", &["bob"]).await;
        let of_kind = |kind: ConversationKind| ListConversationsRequest { kind: kind.into(), ..Default::default() };
        assert_eq!(list(&service, "alice", of_kind(ConversationKind::Direct)).await.0, [direct.to_string()]);
        assert!(list(&service, "bob", of_kind(ConversationKind::Direct)).await.0.is_empty());
        activity(&service, direct, 1).await;
        assert_eq!(list(&service, "bob", of_kind(ConversationKind::Direct)).await.0, [direct.to_string()]);
        assert_eq!(list(&service, "bob", of_kind(ConversationKind::Unspecified)).await.0.len(), 2);
    }

    #[tokio::test]
    async fn a_token_is_good_for_its_caller_and_filter_only() {
        let service = TestService::start().await;
        for _ in 0..2 {
            service.group("alice", &["bob"]).await;
        }
        let request = ListConversationsRequest { page_size: 1, ..Default::default() };
        let (_, token) = list(&service, "alice", request.clone()).await;
        let with = |token: &str, kind: ConversationKind| ListConversationsRequest {
            page_token: token.to_owned(),
            kind: kind.into(),
            ..request.clone()
        };
        assert_eq!(list(&service, "alice", with(&token, ConversationKind::Unspecified)).await.0.len(), 1);
        let refused = async |user, request| reason(service.api.list_conversations(by(user, request)).await);
        let stolen = refused("bob", with(&token, ConversationKind::Unspecified)).await;
        assert_eq!(stolen, Reason::PageTokenInvalid);
        assert_eq!(refused("alice", with(&token, ConversationKind::Group)).await, Reason::PageTokenInvalid);
        let other = if token.as_bytes()[40] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &token[..40], &token[41..]);
        assert_eq!(refused("alice", with(&forged, ConversationKind::Unspecified)).await, Reason::PageTokenInvalid);
    }
}
