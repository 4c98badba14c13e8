use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{AddMembersRequest, AddMembersResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: AddMembersRequest,
) -> Result<AddMembersResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let users = field::user_ids("user_ids", &request.user_ids, state.config.call_members_max as usize)?;
    if users.is_empty() {
        return Err(Error::invalid_argument("user_ids", "is empty"));
    }
    execute(state, &context, &request, Act::Change(id, GroupChange::AddMembers(users))).await
}
