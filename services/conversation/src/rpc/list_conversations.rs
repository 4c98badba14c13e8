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
