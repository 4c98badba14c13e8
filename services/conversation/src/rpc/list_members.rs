use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::UserId;
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{ListMembersRequest, ListMembersResponse};

use super::{State, field, page_owner, viewer};
use crate::convert::member_to_proto;
use crate::error::not_found;
use crate::store::ConversationStore;

const METHOD: &str = "ListMembers";

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: ListMembersRequest,
) -> Result<ListMembersResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let views = state.store.conversations(&[id], &viewer(&context)).await?;
    let view = views.first().ok_or_else(not_found)?;
    let (pages, owner) = (state.pages.for_method(METHOD), page_owner(&context.caller));
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<UserId>(&owner, &id, token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    // One more than asked for says whether there is a next page.
    let mut members = state.store.members(id, after.as_ref(), size + 1).await?;
    let more = members.len() > size;
    members.truncate(size);
    let next_page_token = match members.last() {
        Some(last) if more => pages.seal(&owner, &id, &last.user)?,
        _ => String::new(),
    };
    Ok(ListMembersResponse {
        members: members.iter().map(member_to_proto).collect(),
        next_page_token,
        member_count: view.conversation.member_count,
    })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::testing::{START, TestService, by, by_service, reason};

    fn page(id: ConversationId, token: &str) -> ListMembersRequest {
        ListMembersRequest { conversation_id: id.to_string(), page_size: 2, page_token: token.to_owned() }
    }

    #[tokio::test]
    async fn pages_have_everybody_by_id() {
        let service = TestService::start().await;
        let id = service.group("bob", &["alice", "carol"]).await;
        let first = service.api.list_members(by("carol", page(id, ""))).await.unwrap().into_inner();
        let rest = service.api.list_members(by("carol", page(id, &first.next_page_token))).await.unwrap().into_inner();
        assert_eq!((first.member_count, rest.member_count), (3, 3));
        assert!(rest.next_page_token.is_empty());
        let all: Vec<_> = first.members.iter().chain(&rest.members).collect();
        let shown: Vec<_> =
            all.iter().map(|member| (member.user_id.as_str(), member.role(), member.from_seq)).collect();
        assert_eq!(shown, [("alice", Role::Member, 1), ("bob", Role::Owner, 1), ("carol", Role::Member, 1)]);
        assert!(all.iter().all(|member| member.join_time == Some(START.to_proto())));
        let by_a_service = service.api.list_members(by_service(page(id, ""))).await.unwrap().into_inner();
        assert_eq!(by_a_service.members, first.members);
    }

    #[tokio::test]
    async fn strangers_and_tokens_of_others_are_refused() {
        let service = TestService::start().await;
        let id = service.group("bob", &["alice", "carol"]).await;
        let other = service.group("bob", &["alice", "carol"]).await;
        let token = service.api.list_members(by("bob", page(id, ""))).await.unwrap().into_inner().next_page_token;
        let refused = async |user, request| reason(service.api.list_members(by(user, request)).await);
        assert_eq!(refused("eve", page(id, "")).await, Reason::ConversationNotFound);
        assert_eq!(refused("alice", page(id, &token)).await, Reason::PageTokenInvalid);
        assert_eq!(refused("bob", page(other, &token)).await, Reason::PageTokenInvalid);
    }
}
