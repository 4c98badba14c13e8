use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{BatchGetConversationsRequest, BatchGetConversationsResponse};

use super::{State, field, viewer};
use crate::convert::conversation_to_proto;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: BatchGetConversationsRequest,
) -> Result<BatchGetConversationsResponse> {
    let ids = field::conversation_ids("conversation_ids", &request.conversation_ids)?;
    let views = state.store.conversations(&ids, &viewer(&context)).await?;
    Ok(BatchGetConversationsResponse { conversations: views.iter().map(conversation_to_proto).collect() })
}
