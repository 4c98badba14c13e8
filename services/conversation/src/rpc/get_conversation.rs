use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{GetConversationRequest, GetConversationResponse};

use super::{State, field, viewer};
use crate::convert::conversation_to_proto;
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: GetConversationRequest,
) -> Result<GetConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let views = state.store.conversations(&[id], &viewer(&context)).await?;
    let view = views.first().ok_or_else(not_found)?;
    Ok(GetConversationResponse { conversation: Some(conversation_to_proto(view)) })
}
