//! Whether a user takes part: asked for each call of a user, whichever method it is for.

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::UserId;

use super::State;
use crate::config::Directory;
use crate::domain::{self, Profile, Standing};
use crate::store::ConversationStore;

/// Lets services pass that act for nobody.
///
/// # Errors
/// `PERMISSION_DENIED` for a user who does not take part, also when a service acts for them. It says nothing about an
/// earlier call with the same request id.
pub(super) async fn check<S: ConversationStore>(state: &State<S>, context: &CallContext) -> Result<()> {
    match context.caller.user() {
        Some(user) if !takes_part(state, user).await? => {
            Err(Error::new(Reason::PermissionDenied, "the user is not active here"))
        }
        _ => Ok(()),
    }
}

/// Whether the user is one of this deployment: in an open directory everybody who was not deactivated.
pub(super) async fn takes_part<S: ConversationStore>(state: &State<S>, user: &UserId) -> Result<bool> {
    let profiles = state.store.users(std::slice::from_ref(user)).await?;
    let standing = profiles.first().map_or(Standing::Unknown, Profile::standing);
    Ok(domain::takes_part(standing, state.config.directory == Directory::Strict))
}
