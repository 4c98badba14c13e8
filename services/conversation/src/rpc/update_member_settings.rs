use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{MemberSettings, UpdateMemberSettingsRequest, UpdateMemberSettingsResponse};

use super::{State, field};
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateMemberSettingsRequest,
) -> Result<UpdateMemberSettingsResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let pinned = request.pinned.ok_or_else(|| Error::invalid_argument("pinned", "is absent"))?;
    if !state.store.set_pinned(id, context.user()?, pinned, state.clock.now()).await? {
        return Err(not_found());
    }
    state.wake.wake();
    Ok(UpdateMemberSettingsResponse { settings: Some(MemberSettings { pinned }) })
}
