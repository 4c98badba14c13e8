use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::UserId;
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{SearchUsersRequest, SearchUsersResponse};

use super::{State, field, page_owner};
use crate::convert::user_to_proto;
use crate::domain::{QUERY_CHARS_MAX, search_prefix};
use crate::store::ConversationStore;

const METHOD: &str = "SearchUsers";

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: SearchUsersRequest,
) -> Result<SearchUsersResponse> {
    field::check_chars("query", &request.query, QUERY_CHARS_MAX)?;
    let prefix = search_prefix(&request.query);
    if prefix.is_empty() {
        return Err(Error::invalid_argument("query", "is blank"));
    }
    let (pages, owner) = (state.pages.for_method(METHOD), page_owner(&context.caller));
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<(String, UserId)>(&owner, &prefix, token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    let after = after.as_ref().map(|(key, user)| (key.as_str(), user));
    // One more than asked for says whether there is a next page.
    let mut found = state.store.search_users(&prefix, after, size + 1).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next_page_token = match found.last() {
        Some(last) if more => pages.seal(&owner, &prefix, &(last.sort_key(), &last.user))?,
        _ => String::new(),
    };
    Ok(SearchUsersResponse { users: found.into_iter().map(user_to_proto).collect(), next_page_token })
}
