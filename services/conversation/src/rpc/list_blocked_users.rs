use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::UserId;
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{ListBlockedUsersRequest, ListBlockedUsersResponse};

use super::{State, page_owner};
use crate::convert::block_to_proto;
use crate::store::ConversationStore;

const METHOD: &str = "ListBlockedUsers";

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: ListBlockedUsersRequest,
) -> Result<ListBlockedUsersResponse> {
    let (pages, owner) = (state.pages.for_method(METHOD), page_owner(&context.caller));
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<UserId>(&owner, &(), token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    // One more than asked for says whether there is a next page.
    let mut blocks = state.store.blocks(context.user()?, after.as_ref(), size + 1).await?;
    let more = blocks.len() > size;
    blocks.truncate(size);
    let next_page_token = match blocks.last() {
        Some(last) if more => pages.seal(&owner, &(), &last.blocked)?,
        _ => String::new(),
    };
    Ok(ListBlockedUsersResponse { users: blocks.iter().map(block_to_proto).collect(), next_page_token })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::BlockUserRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{START, TestService, by, reason};

    fn page(token: &str) -> ListBlockedUsersRequest {
        ListBlockedUsersRequest { page_size: 2, page_token: token.to_owned() }
    }

    #[tokio::test]
    async fn pages_have_ones_own_blocks_by_user_id() {
        let service = TestService::start().await;
        for (user, blocked) in [("alice", "d"), ("alice", "b"), ("bob", "alice"), ("alice", "c")] {
            service.api.block_user(by(user, BlockUserRequest { user_id: blocked.into() })).await.unwrap();
        }
        let first = service.api.list_blocked_users(by("alice", page(""))).await.unwrap().into_inner();
        let token = first.next_page_token;
        let rest = service.api.list_blocked_users(by("alice", page(&token))).await.unwrap().into_inner();
        let all: Vec<_> = first.users.iter().chain(&rest.users).collect();
        assert_eq!(all.iter().map(|block| block.user_id.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert!(all.iter().all(|block| block.block_time == Some(START.to_proto())));
        assert!(rest.next_page_token.is_empty());
        let stolen = service.api.list_blocked_users(by("bob", page(&token))).await;
        assert_eq!(reason(stolen), Reason::PageTokenInvalid);
    }
}
