use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{ConversationOrder, ListConversationsRequest, ListConversationsResponse};

use super::{State, page_owner};
use crate::convert::{conversation_to_proto, kind_from_proto};
use crate::domain::ConversationView;
use crate::store::{ConversationStore, ListPage, StoreError};

const METHOD: &str = "ListConversations";

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: ListConversationsRequest,
) -> Result<ListConversationsResponse> {
    let user = context.user()?;
    match ConversationOrder::try_from(request.order) {
        Ok(ConversationOrder::Unspecified | ConversationOrder::Activity) => {
            list(state, &context, &request, async |page| state.store.list(user, &page).await).await
        }
        Ok(ConversationOrder::Name) => {
            list(state, &context, &request, async |page| state.store.list_by_name(user, &page).await).await
        }
        Err(_) => Err(Error::invalid_argument("order", "is not an order")),
    }
}

/// A page in the order of the positions that `read` gives.
async fn list<S, P: Serialize + DeserializeOwned>(
    state: &State<S>,
    context: &CallContext,
    request: &ListConversationsRequest,
    read: impl AsyncFnOnce(ListPage<P>) -> std::result::Result<Vec<(ConversationView, P)>, StoreError>,
) -> Result<ListConversationsResponse> {
    let (pages, owner) = (state.pages.for_method(METHOD), page_owner(&context.caller));
    let filters = (request.kind, request.archived, request.order);
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<P>(&owner, &filters, token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    let kind = kind_from_proto(request.kind);
    // One more than asked for says whether there is a next page.
    let mut found = read(ListPage { kind, archived: request.archived, after, limit: size + 1 }).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next_page_token = match found.last() {
        Some((_, position)) if more => pages.seal(&owner, &filters, position)?,
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
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
    use viberchat_proto::conversation::v1::{
        CreateGroupConversationRequest, RecordActivityRequest, UpdateMemberSettingsRequest, UpsertUsersRequest, User,
    };
    use viberchat_proto::types::v1::ConversationKind;

    use super::*;
    use crate::testing::{START, TestService, by, by_service, new_group, reason};

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
        let by_name = ListConversationsRequest {
            order: ConversationOrder::Name.into(),
            ..with(&token, ConversationKind::Unspecified)
        };
        assert_eq!(refused("alice", by_name).await, Reason::PageTokenInvalid);
        let archived = ListConversationsRequest { archived: true, ..with(&token, ConversationKind::Unspecified) };
        assert_eq!(refused("alice", archived).await, Reason::PageTokenInvalid);
        let unknown = ListConversationsRequest { order: 9, ..ListConversationsRequest::default() };
        assert_eq!(refused("alice", unknown).await, Reason::InvalidArgument);
    }

    async fn set(service: &TestService, id: ConversationId, request: UpdateMemberSettingsRequest) {
        let request = UpdateMemberSettingsRequest { conversation_id: id.to_string(), ..request };
        service.api.update_member_settings(by("alice", request)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_archived_is_in_a_list_of_its_own() {
        let service = TestService::start().await;
        let (kept, archived) = (service.group("alice", &["bob"]).await, service.group("alice", &["bob"]).await);
        let archive = UpdateMemberSettingsRequest { archived: Some(true), ..Default::default() };
        set(&service, archived, archive).await;
        let of = |archived| ListConversationsRequest { archived, ..Default::default() };
        assert_eq!(list(&service, "alice", of(false)).await.0, [kept.to_string()]);
        assert_eq!(list(&service, "alice", of(true)).await.0, [archived.to_string()]);
        // It is one member's own, and a new message does not bring it back.
        activity(&service, archived, 1).await;
        assert_eq!(list(&service, "bob", of(false)).await.0.len(), 2);
        assert_eq!(list(&service, "alice", of(true)).await.0, [archived.to_string()]);
    }

    #[tokio::test]
    async fn what_is_cleared_is_left_out_until_something_newer_comes() {
        let service = TestService::start().await;
        let id = service.group("alice", &["bob"]).await;
        activity(&service, id, 1).await;
        let clear = |seq| UpdateMemberSettingsRequest { cleared_seq: Some(seq), ..Default::default() };
        set(&service, id, clear(1)).await;
        assert_eq!(list(&service, "alice", ListConversationsRequest::default()).await.0, [id.to_string()]);
        set(&service, id, clear(2)).await;
        for order in [ConversationOrder::Activity, ConversationOrder::Name] {
            let request = ListConversationsRequest { order: order.into(), ..Default::default() };
            assert!(list(&service, "alice", request.clone()).await.0.is_empty());
            assert_eq!(list(&service, "bob", request).await.0, [id.to_string()]);
        }
        let newer = RecordActivityRequest { conversation_id: id.to_string(), seq: 3, time: Some(START.to_proto()) };
        service.api.record_activity(by_service(newer)).await.unwrap();
        assert_eq!(list(&service, "alice", ListConversationsRequest::default()).await.0, [id.to_string()]);
    }

    #[tokio::test]
    async fn by_name_goes_by_nickname_then_group_then_peer_without_regard_to_case() {
        let service = TestService::start().await;
        let profile = |id: &str, name: &str| User { user_id: id.into(), display_name: name.into(), ..User::default() };
        let users = vec![profile("u1", "Émile"), profile("u2", "anna")];
        service.api.upsert_users(by_service(UpsertUsersRequest { users })).await.unwrap();
        let group = async |name: &str| {
            let request = CreateGroupConversationRequest { name: name.into(), ..new_group(&[]) };
            let answer = service.api.create_group_conversation(by("alice", request)).await.unwrap().into_inner();
            ConversationId::parse(&answer.conversation.unwrap().conversation_id).unwrap()
        };
        let (zebra, beach, named) = (group("zebra").await, group("Beach").await, group("Zzz").await);
        let (emile, anna) = (service.direct("alice", "u1").await, service.direct("alice", "u2").await);
        let unknown = service.direct("alice", "Carl").await;
        let nickname = UpdateMemberSettingsRequest { nickname: Some("ÉCOLE".into()), ..Default::default() };
        set(&service, named, nickname).await;
        let expected = [anna, beach, unknown, zebra, named, emile].map(|id| id.to_string());
        let (mut met, mut page_token) = (Vec::new(), String::new());
        loop {
            let order = ConversationOrder::Name.into();
            let request = ListConversationsRequest { page_size: 2, page_token, order, ..Default::default() };
            let (ids, next) = list(&service, "alice", request).await;
            met.extend(ids);
            page_token = next;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(met, expected);
    }
}
