use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{UpdateConversationRequest, UpdateConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::{ConversationUpdate, GroupChange};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateConversationRequest,
) -> Result<UpdateConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    request.name.as_deref().map_or(Ok(()), field::group_name)?;
    request.description.as_deref().map_or(Ok(()), field::description)?;
    request.avatar_url.as_deref().map_or(Ok(()), |url| field::avatar_url("avatar_url", url))?;
    let update = ConversationUpdate {
        name: request.name.clone(),
        description: request.description.clone(),
        avatar_url: request.avatar_url.clone(),
    };
    if update == ConversationUpdate::default() {
        return Err(Error::invalid_argument("name", "is absent, and so are description and avatar_url"));
    }
    let etag = Some(request.etag.clone()).filter(|etag| !etag.is_empty());
    execute(state, &context, &request, Act::Change(id, GroupChange::Update { update, etag })).await
}
