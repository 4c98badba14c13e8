use std::collections::BTreeMap;
use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{UpsertUsersRequest, UpsertUsersResponse, User};

use super::{State, field};
use crate::convert::encode_entry;
use crate::domain::{BATCH_MAX, EMAIL_CHARS_MAX, PROFILE_NAME_CHARS_MAX, Profile};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: UpsertUsersRequest,
) -> Result<UpsertUsersResponse> {
    field::check_count("users", request.users.len(), BATCH_MAX)?;
    let profiles = request.users.into_iter().enumerate().map(|(index, user)| profile(index, user));
    // The last one of a user wins, within a call too.
    let profiles = profiles.map(|profile| profile.map(|profile| (profile.user.clone(), profile)));
    let profiles = profiles.collect::<Result<BTreeMap<_, _>>>()?;
    let profiles: Vec<_> = profiles.into_values().collect();
    state.store.upsert_users(&profiles, state.clock.now(), encode_entry).await?;
    state.wake.wake();
    // Whoever is back may have inherited groups.
    state.relay.sweep_soon();
    Ok(UpsertUsersResponse {})
}

fn profile(index: usize, user: User) -> Result<Profile> {
    let field = |name: &str| format!("users[{index}].{name}");
    field::check_chars(&field("username"), &user.username, PROFILE_NAME_CHARS_MAX)?;
    field::check_chars(&field("display_name"), &user.display_name, PROFILE_NAME_CHARS_MAX)?;
    field::avatar_url(&field("avatar_url"), &user.avatar_url)?;
    field::check_chars(&field("email"), &user.email, EMAIL_CHARS_MAX)?;
    Ok(Profile {
        user: field::user_id(&field("user_id"), &user.user_id)?,
        username: user.username,
        display_name: user.display_name,
        avatar_url: user.avatar_url,
        email: user.email,
        // Whoever is upserted takes part, whatever the request repeats from a read.
        deactivated: false,
    })
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::BatchGetUsersRequest;
    use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;

    use super::*;
    use crate::testing::{TestService, by_service, reason};

    fn named(id: &str, display_name: &str) -> User {
        User { user_id: id.into(), display_name: display_name.into(), ..User::default() }
    }

    #[tokio::test]
    async fn the_last_profile_of_a_user_wins() {
        let service = TestService::start().await;
        let users = vec![named("1", "Ann"), named("2", "Bob"), named("1", "Anna")];
        service.api.upsert_users(by_service(UpsertUsersRequest { users })).await.unwrap();
        let request = BatchGetUsersRequest { user_ids: vec!["1".into()] };
        let answer = service.api.batch_get_users(by_service(request)).await.unwrap().into_inner();
        assert_eq!(answer.users, [named("1", "Anna")]);
    }

    #[tokio::test]
    async fn what_is_too_long_or_too_much_is_refused() {
        let service = TestService::start().await;
        let refused = async |users| reason(service.api.upsert_users(by_service(UpsertUsersRequest { users })).await);
        assert_eq!(refused(vec![named("1", "x"); 201]).await, Reason::LimitExceeded);
        assert_eq!(refused(vec![named("", "x")]).await, Reason::InvalidArgument);
        assert_eq!(refused(vec![named("1", &"x".repeat(256))]).await, Reason::InvalidArgument);
        let username = "x".repeat(256);
        assert_eq!(refused(vec![User { username, ..named("1", "x") }]).await, Reason::InvalidArgument);
        let avatar_url = "x".repeat(1_001);
        assert_eq!(refused(vec![User { avatar_url, ..named("1", "x") }]).await, Reason::InvalidArgument);
    }
}
