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
