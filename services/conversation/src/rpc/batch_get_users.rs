use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{BatchGetUsersRequest, BatchGetUsersResponse};

use super::{State, field};
use crate::convert::user_to_proto;
use crate::domain::{BATCH_MAX, Profile};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: BatchGetUsersRequest,
) -> Result<BatchGetUsersResponse> {
    let mut unknown = field::user_ids("user_ids", &request.user_ids, BATCH_MAX)?;
    let ids: Vec<_> = unknown.iter().cloned().collect();
    let mut profiles = state.store.users(&ids).await?;
    for profile in &profiles {
        unknown.remove(&profile.user);
    }
    // The directory is open: whoever is named is a user.
    profiles.extend(unknown.into_iter().map(Profile::bare));
    Ok(BatchGetUsersResponse { users: profiles.into_iter().map(user_to_proto).collect() })
}
