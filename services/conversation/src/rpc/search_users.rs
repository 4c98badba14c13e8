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

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
    use viberchat_proto::conversation::v1::{UpsertUsersRequest, User};

    use super::*;
    use crate::testing::{TestService, by, by_service, reason};

    fn search(query: &str, page_token: &str) -> SearchUsersRequest {
        SearchUsersRequest { query: query.into(), page_size: 2, page_token: page_token.into() }
    }

    async fn with_users(names: &[&str]) -> TestService {
        let service = TestService::start().await;
        let user = |(number, name): (usize, &&str)| User {
            user_id: number.to_string(),
            display_name: (*name).to_owned(),
            ..User::default()
        };
        let users = names.iter().enumerate().map(user).collect();
        service.api.upsert_users(by_service(UpsertUsersRequest { users })).await.unwrap();
        service
    }

    #[tokio::test]
    async fn case_does_not_matter_and_pages_go_on_where_they_were() {
        let service = with_users(&["Ärne B", "Bob ÄRM", "Carl", "Dora ärger"]).await;
        let names = |answer: &SearchUsersResponse| {
            answer.users.iter().map(|user| user.display_name.clone()).collect::<Vec<_>>()
        };
        let first = service.api.search_users(by("alice", search(" äR", ""))).await.unwrap().into_inner();
        assert_eq!(names(&first), ["Bob ÄRM", "Dora ärger"]);
        let again = search("Är", &first.next_page_token);
        let rest = service.api.search_users(by("alice", again)).await.unwrap().into_inner();
        assert_eq!((names(&rest), rest.next_page_token.as_str()), (vec!["Ärne B".to_owned()], ""));
    }

    #[tokio::test]
    async fn blank_queries_and_foreign_tokens_are_refused() {
        let service = with_users(&["Ann", "Anton", "Anja"]).await;
        let token = service.api.search_users(by("alice", search("an", ""))).await.unwrap().into_inner().next_page_token;
        let refused = async |user, request| reason(service.api.search_users(by(user, request)).await);
        assert_eq!(refused("alice", search(" ", "")).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", search(&"x".repeat(101), "")).await, Reason::InvalidArgument);
        assert_eq!(refused("alice", search("a", &token)).await, Reason::PageTokenInvalid);
        assert_eq!(refused("bob", search("an", &token)).await, Reason::PageTokenInvalid);
        assert_eq!(refused("alice", search("an", "junk")).await, Reason::PageTokenInvalid);
    }
}
