use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{UpdateMemberRoleRequest, UpdateMemberRoleResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::convert::role_from_proto;
use crate::domain::GroupChange;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: UpdateMemberRoleRequest,
) -> Result<UpdateMemberRoleResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    let user = field::user_id("user_id", &request.user_id)?;
    let role = role_from_proto(request.role).ok_or_else(|| Error::invalid_argument("role", "is not a role"))?;
    execute(state, &context, &request, Act::Change(id, GroupChange::SetRole { user, role })).await
}
