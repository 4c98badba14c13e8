use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::conversation::v1::{RemoveMemberRequest, RemoveMemberResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: RemoveMemberRequest,
) -> Result<RemoveMemberResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let user = field::user_id("user_id", &request.user_id)?;
    execute(state, &context, &request, Act::Change(id, GroupChange::RemoveMember(user))).await
}
