use std::collections::BTreeMap;
use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{UpsertUsersRequest, UpsertUsersResponse, User};

use super::{State, field};
use crate::domain::{BATCH_MAX, PROFILE_NAME_CHARS_MAX, Profile};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: UpsertUsersRequest,
) -> Result<UpsertUsersResponse> {
    field::check_count("users", request.users.len(), BATCH_MAX)?;
    let profiles = request.users.into_iter().enumerate().map(|(index, user)| profile(index, user));
    // The last one of a user wins, within a call too.
    let profiles = profiles.map(|profile| profile.map(|profile| (profile.user.clone(), profile)));
    let profiles = profiles.collect::<Result<BTreeMap<_, _>>>()?;
    state.store.upsert_users(&profiles.into_values().collect::<Vec<_>>()).await?;
    Ok(UpsertUsersResponse {})
}

fn profile(index: usize, user: User) -> Result<Profile> {
    let field = |name: &str| format!("users[{index}].{name}");
    field::check_chars(&field("username"), &user.username, PROFILE_NAME_CHARS_MAX)?;
    field::check_chars(&field("display_name"), &user.display_name, PROFILE_NAME_CHARS_MAX)?;
    field::avatar_url(&field("avatar_url"), &user.avatar_url)?;
    Ok(Profile {
        user: field::user_id(&field("user_id"), &user.user_id)?,
        username: user.username,
        display_name: user.display_name,
        avatar_url: user.avatar_url,
    })
}
