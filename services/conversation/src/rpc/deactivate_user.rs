use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{DeactivateUserRequest, DeactivateUserResponse};

use super::{State, field};
use crate::convert::encode_entry;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: DeactivateUserRequest,
) -> Result<DeactivateUserResponse> {
    let user = field::user_id("user_id", &request.user_id)?;
    if state.store.deactivate_user(&user, &state.config.limits(), state.clock.now(), encode_entry).await? {
        state.wake.wake();
        // Whoever inherited a group is named in its log.
        state.relay.sweep_soon();
    }
    Ok(DeactivateUserResponse {})
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
    use viberchat_proto::conversation::v1::{
        AddMembersRequest, BatchCheckSharedRequest, BatchGetUsersRequest, BlockUserRequest,
        GetOrCreateDirectConversationRequest, ListConversationsRequest, PeerState, SearchUsersRequest,
        UpsertUsersRequest, User,
    };
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::Role;

    use super::*;
    use crate::config::{Directory, Search};
    use crate::testing::{TestService, by, by_service, by_service_for, eventually, new_group, reason, refusal};

    async fn deactivate(service: &TestService, user: &str) {
        let request = DeactivateUserRequest { user_id: user.to_owned() };
        service.api.deactivate_user(by_service(request)).await.unwrap();
    }

    async fn upsert(service: &TestService, user: &str) {
        let user = User { user_id: user.to_owned(), display_name: format!("Name of {user}"), ..User::default() };
        service.api.upsert_users(by_service(UpsertUsersRequest { users: vec![user] })).await.unwrap();
    }

    async fn found(service: &TestService) -> usize {
        let request = SearchUsersRequest { query: "name of bob".into(), ..SearchUsersRequest::default() };
        service.api.search_users(by("alice", request)).await.unwrap().into_inner().users.len()
    }

    #[tokio::test]
    async fn nobody_is_authorized_or_found_as_them_until_they_are_upserted_again() {
        let service = TestService::start_with(|config| config.search = Search::Everybody).await;
        upsert(&service, "bob").await;
        let direct = service.direct("alice", "bob").await;
        let group = service.group("alice", &["bob"]).await;
        let state = async |user: &str| {
            let answer = service.authorize(direct, user).await;
            (answer.role(), answer.spans.len(), answer.peer_state())
        };
        assert_eq!(found(&service).await, 1);
        for _ in 0..2 {
            deactivate(&service, "bob").await;
            assert_eq!(state("bob").await, (Role::Unspecified, 0, PeerState::Present));
            assert_eq!(state("alice").await, (Role::Member, 1, PeerState::Gone));
            assert_eq!(service.authorize(group, "bob").await.role(), Role::Unspecified);
            // The memberships stay.
            assert_eq!(service.authorize(group, "alice").await.member_count, 2);
            assert_eq!(found(&service).await, 0);
        }
        let profile = BatchGetUsersRequest { user_ids: vec!["bob".into()] };
        let users = service.api.batch_get_users(by("alice", profile)).await.unwrap().into_inner().users;
        assert!(users[0].deactivated && users[0].display_name == "Name of bob");
        let shared = BatchCheckSharedRequest { user_id: "alice".into(), other_user_ids: vec!["bob".into()] };
        let shared = service.api.batch_check_shared(by_service(shared)).await.unwrap().into_inner();
        assert_eq!(shared.shared_user_ids, ["alice"]);
        upsert(&service, "bob").await;
        assert_eq!(state("bob").await, (Role::Member, 1, PeerState::Present));
        assert_eq!(state("alice").await, (Role::Member, 1, PeerState::Present));
        assert_eq!(found(&service).await, 1);
    }

    #[tokio::test]
    async fn they_are_refused_and_nobody_adds_them_writes_to_them_first_or_blocks_them() {
        let service = TestService::start().await;
        let direct = service.direct("alice", "bob").await;
        let group = service.group("alice", &[]).await;
        deactivate(&service, "bob").await;
        let list = ListConversationsRequest::default();
        assert_eq!(reason(service.api.list_conversations(by("bob", list.clone())).await), Reason::PermissionDenied);
        // Nobody acts for them either.
        let for_bob = service.api.list_conversations(by_service_for("bob", list)).await;
        assert_eq!(reason(for_bob), Reason::PermissionDenied);
        let add = AddMembersRequest {
            conversation_id: group.to_string(),
            user_ids: vec!["bob".into()],
            request_id: "1".into(),
        };
        let error = refusal(service.api.add_members(by("alice", add)).await);
        assert_eq!((error.reason, error.metadata["user_id"].as_str()), (Reason::UserNotFound, "bob"));
        let create = service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await;
        assert_eq!(reason(create), Reason::UserNotFound);
        let with = |peer: &str| GetOrCreateDirectConversationRequest { peer_user_id: peer.into() };
        let first = service.api.get_or_create_direct_conversation(by("carol", with("bob"))).await;
        assert_eq!(reason(first), Reason::UserNotFound);
        let block = service.api.block_user(by("carol", BlockUserRequest { user_id: "bob".into() })).await;
        assert_eq!(reason(block), Reason::UserNotFound);
        // What exists is still there to be read.
        assert_eq!(service.direct("alice", "bob").await, direct);
    }

    #[tokio::test]
    async fn the_heir_of_an_owner_who_is_deactivated_is_named_in_the_log() {
        let service = TestService::start_with(|config| {
            (config.relay_interval_ms, config.relay_backoff_max_ms) = (60_000, 60_000);
        })
        .await;
        let id = service.group("alice", &["bob", "carol"]).await;
        deactivate(&service, "bob").await;
        deactivate(&service, "alice").await;
        let heir = eventually("the entry", async || match service.log.entries(id).get(1).cloned() {
            Some((2, actor, Body::RoleChanged(changed))) => Some((actor, changed)),
            _ => None,
        });
        let (actor, changed) = heir.await;
        assert_eq!((actor.as_str(), changed.user_id.as_str(), changed.role()), ("alice", "carol", Role::Owner));
        assert_eq!(service.authorize(id, "carol").await.role(), Role::Owner);
        // Nobody is left: whoever comes back first has it.
        deactivate(&service, "carol").await;
        upsert(&service, "bob").await;
        eventually("the entry", async || (service.log.entries(id).len() == 3).then_some(())).await;
        assert_eq!(service.authorize(id, "bob").await.role(), Role::Owner);
    }

    #[tokio::test]
    async fn a_strict_directory_knows_only_those_that_were_upserted() {
        let service = TestService::start_with(|config| config.directory = Directory::Strict).await;
        let unknown = service.api.deactivate_user(by_service(DeactivateUserRequest { user_id: "bob".into() })).await;
        assert_eq!(reason(unknown), Reason::UserNotFound);
        upsert(&service, "alice").await;
        let with = || GetOrCreateDirectConversationRequest { peer_user_id: "bob".into() };
        let first = async || service.api.get_or_create_direct_conversation(by("alice", with())).await;
        assert_eq!(reason(first().await), Reason::UserNotFound);
        let create = async || service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await;
        assert_eq!(reason(create().await), Reason::UserNotFound);
        let block = service.api.block_user(by("alice", BlockUserRequest { user_id: "bob".into() })).await;
        assert_eq!(reason(block), Reason::UserNotFound);
        let list = async || service.api.list_conversations(by("bob", ListConversationsRequest::default())).await;
        assert_eq!(reason(list().await), Reason::PermissionDenied);
        let users = BatchGetUsersRequest { user_ids: vec!["alice".into(), "bob".into()] };
        let users = service.api.batch_get_users(by("alice", users)).await.unwrap().into_inner().users;
        assert_eq!(users.len(), 1);
        upsert(&service, "bob").await;
        first().await.unwrap();
        create().await.unwrap();
        list().await.unwrap();
    }

    #[tokio::test]
    async fn a_malformed_id_is_refused() {
        let service = TestService::start().await;
        let refused = service.api.deactivate_user(by_service(DeactivateUserRequest::default())).await;
        assert_eq!(reason(refused), Reason::InvalidArgument);
    }
}
