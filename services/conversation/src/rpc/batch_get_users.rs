use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{BatchGetUsersRequest, BatchGetUsersResponse};

use super::{State, field, sees_private};
use crate::config::Directory;
use crate::convert::user_to_proto;
use crate::domain::{BATCH_MAX, Profile};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: BatchGetUsersRequest,
) -> Result<BatchGetUsersResponse> {
    let mut unknown = field::user_ids("user_ids", &request.user_ids, BATCH_MAX)?;
    let ids: Vec<_> = unknown.iter().cloned().collect();
    let mut profiles = state.store.users(&ids).await?;
    for profile in &profiles {
        unknown.remove(&profile.user);
    }
    // In an open directory whoever is named is a user.
    if state.config.directory == Directory::Open {
        profiles.extend(unknown.into_iter().map(Profile::bare));
    }
    let users = profiles.into_iter().map(|profile| {
        let private = sees_private(&context, &profile.user);
        user_to_proto(profile, private)
    });
    Ok(BatchGetUsersResponse { users: users.collect() })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
    use viberchat_proto::conversation::v1::{UpsertUsersRequest, User};

    use super::*;
    use crate::testing::{TestService, by, by_service, by_service_for, reason};

    #[tokio::test]
    async fn whoever_has_no_profile_comes_back_bare() {
        let service = TestService::start().await;
        let ann = User { user_id: "1".into(), username: "ann".into(), ..User::default() };
        let upsert = UpsertUsersRequest { users: vec![ann.clone()] };
        service.api.upsert_users(by_service(upsert)).await.unwrap();
        let request = BatchGetUsersRequest { user_ids: ["2", "1", "2"].map(Into::into).into() };
        let mut users = service.api.batch_get_users(by("alice", request)).await.unwrap().into_inner().users;
        users.sort_by(|one, two| one.user_id.cmp(&two.user_id));
        assert_eq!(users, [ann, User { user_id: "2".into(), ..User::default() }]);
    }

    #[tokio::test]
    async fn an_address_is_for_oneself_and_for_services_only() {
        let service = TestService::start().await;
        let ann = User { user_id: "ann".into(), email: "ann@example.org".into(), ..User::default() };
        service.api.upsert_users(by_service(UpsertUsersRequest { users: vec![ann] })).await.unwrap();
        let ask = || BatchGetUsersRequest { user_ids: vec!["ann".into()] };
        let email = |answer: std::result::Result<tonic::Response<BatchGetUsersResponse>, tonic::Status>| {
            answer.unwrap().into_inner().users[0].email.clone()
        };
        assert_eq!(email(service.api.batch_get_users(by("ann", ask())).await), "ann@example.org");
        assert_eq!(email(service.api.batch_get_users(by_service(ask())).await), "ann@example.org");
        assert_eq!(email(service.api.batch_get_users(by("bob", ask())).await), "");
        // A service that acts for a user sees what the user sees.
        assert_eq!(email(service.api.batch_get_users(by_service_for("bob", ask())).await), "");
    }

    #[tokio::test]
    async fn too_many_or_malformed_ids_are_refused() {
        let service = TestService::start().await;
        let refused =
            async |user_ids| reason(service.api.batch_get_users(by("alice", BatchGetUsersRequest { user_ids })).await);
        assert_eq!(refused(vec!["1".into(); 201]).await, Reason::LimitExceeded);
        assert_eq!(refused(vec![String::new()]).await, Reason::InvalidArgument);
    }
}
