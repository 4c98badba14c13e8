use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{LeaveConversationRequest, LeaveConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: LeaveConversationRequest,
) -> Result<LeaveConversationResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    execute(state, &context, &request, Act::Change(id, GroupChange::Leave)).await
}
