use std::collections::BTreeSet;
use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::UserId;
use viberchat_kit::page::PageSize;
use viberchat_proto::conversation::v1::{SearchUsersRequest, SearchUsersResponse};

use super::{State, field, page_owner, sees_private};
use crate::config::Search;
use crate::convert::user_to_proto;
use crate::domain::{BATCH_MAX, Profile, QUERY_CHARS_MAX, search_prefix};
use crate::store::ConversationStore;

const METHOD: &str = "SearchUsers";
/// Batches of users that one call looks at to find those who share a conversation. Then the page is as it is, and the
/// next one goes on from there.
const SHARED_BATCHES_MAX: usize = 5;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: SearchUsersRequest,
) -> Result<SearchUsersResponse> {
    // Services that act for nobody search everybody.
    let scope = context.caller.user().map_or(Search::Everybody, |_| state.config.search);
    if scope == Search::Off {
        return Err(Error::new(Reason::PermissionDenied, "this deployment has no search for users"));
    }
    field::check_chars("query", &request.query, QUERY_CHARS_MAX)?;
    let prefix = search_prefix(&request.query);
    if prefix.is_empty() {
        return Err(Error::invalid_argument("query", "is blank"));
    }
    let (pages, owner) = (state.pages.for_method(METHOD), page_owner(&context.caller));
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open::<Position>(&owner, &prefix, token)?),
    };
    let size = PageSize::clamp(request.page_size).get();
    let page = match (scope, context.caller.user()) {
        (Search::Shared, Some(user)) => shared(state, user, &prefix, after, size).await?,
        _ => everybody(state, &prefix, after, size).await?,
    };
    let next_page_token = page.next.map_or(Ok(String::new()), |next| pages.seal(&owner, &prefix, &next))?;
    let users = page.found.into_iter().map(|profile| {
        let private = sees_private(&context, &profile.user);
        user_to_proto(profile, private)
    });
    Ok(SearchUsersResponse { users: users.collect(), next_page_token })
}

/// Sort key and id of the last user that was looked at.
type Position = (String, UserId);

#[derive(Default)]
struct Page {
    found: Vec<Profile>,
    /// `None`: the end.
    next: Option<Position>,
}

fn position(profile: &Profile) -> Position {
    (profile.sort_key(), profile.user.clone())
}

async fn everybody<S: ConversationStore>(
    state: &State<S>,
    prefix: &str,
    after: Option<Position>,
    size: usize,
) -> Result<Page> {
    let after = after.as_ref().map(|(key, user)| (key.as_str(), user));
    // One more than asked for says whether there is a next page.
    let mut found = state.store.search_users(prefix, after, size + 1).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(position);
    Ok(Page { found, next })
}

/// Those of them with whom the user shares a conversation. The page may be short, even empty, and have a next one.
async fn shared<S: ConversationStore>(
    state: &State<S>,
    user: &UserId,
    prefix: &str,
    after: Option<Position>,
    size: usize,
) -> Result<Page> {
    let mut page = Page { found: Vec::new(), next: after };
    for _ in 0..SHARED_BATCHES_MAX {
        let batch = everybody(state, prefix, page.next.take(), BATCH_MAX).await?;
        let ids: Vec<_> = batch.found.iter().map(|profile| profile.user.clone()).collect();
        let mut visible: BTreeSet<_> = state.store.sharing(user, &ids).await?.into_iter().collect();
        visible.insert(user.clone());
        for profile in batch.found {
            if page.found.len() == size {
                page.next = page.found.last().map(position);
                return Ok(page);
            }
            if visible.contains(&profile.user) {
                page.found.push(profile);
            }
        }
        page.next = batch.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
    use viberchat_proto::conversation::v1::{UpsertUsersRequest, User};

    use super::*;
    use crate::testing::{TestService, by, by_service, by_service_for, reason};

    fn search(query: &str, page_token: &str) -> SearchUsersRequest {
        SearchUsersRequest { query: query.into(), page_size: 2, page_token: page_token.into() }
    }

    async fn with_users(names: &[&str]) -> TestService {
        let service = TestService::start_with(|config| config.search = Search::Everybody).await;
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

    #[tokio::test]
    async fn a_shared_search_finds_whom_one_shares_a_conversation_with() {
        let service = TestService::start().await;
        // Every hundredth shares a group with Alice: page after page has to go on over the others.
        let users: Vec<_> = (0..1_500).map(|n| format!("user-{n:04}")).collect();
        let named = |id: &String| User { user_id: id.clone(), display_name: "Ann".into(), ..User::default() };
        for users in users.chunks(200) {
            let users = users.iter().map(named).collect();
            service.api.upsert_users(by_service(UpsertUsersRequest { users })).await.unwrap();
        }
        let known: Vec<_> = users.iter().step_by(100).map(String::as_str).collect();
        service.group("alice", &known).await;
        for prefix in ["an", "ann"] {
            let (mut met, mut token) = (Vec::new(), String::new());
            loop {
                let answer = service.api.search_users(by("alice", search(prefix, &token))).await.unwrap().into_inner();
                assert!(answer.users.len() <= 2);
                met.extend(answer.users.into_iter().map(|user| user.user_id));
                token = answer.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(met, known);
        }
        // One call looks at no more than its batches: a stranger's page is empty and has a next one.
        let answer = service.api.search_users(by("eve", search("ann", ""))).await.unwrap().into_inner();
        assert!(answer.users.is_empty() && !answer.next_page_token.is_empty());
        let rest = service.api.search_users(by("eve", search("ann", &answer.next_page_token))).await.unwrap();
        assert_eq!(rest.into_inner(), SearchUsersResponse::default());
        // Whoever shares nothing finds themselves; services find everybody.
        let own = service.api.search_users(by("user-0001", search("ann", ""))).await.unwrap().into_inner();
        assert_eq!(own.users.len(), 1);
        let all = SearchUsersRequest { page_size: 200, ..search("ann", "") };
        assert_eq!(service.api.search_users(by_service(all)).await.unwrap().into_inner().users.len(), 200);
        let for_eve = service.api.search_users(by_service_for("eve", search("ann", ""))).await.unwrap().into_inner();
        assert!(for_eve.users.is_empty());
    }

    #[tokio::test]
    async fn where_search_is_off_only_services_search() {
        let service = TestService::start_with(|config| config.search = Search::Off).await;
        let refused = service.api.search_users(by("alice", search("ann", ""))).await;
        assert_eq!(reason(refused), Reason::PermissionDenied);
        service.api.search_users(by_service(search("ann", ""))).await.unwrap();
    }
}
