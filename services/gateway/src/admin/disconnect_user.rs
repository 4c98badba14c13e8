use viberchat_kit::error::Result;
use viberchat_proto::gateway::v1::{DisconnectUserRequest, DisconnectUserResponse};

use super::{Admin, user_id};

pub(super) fn handle(admin: &Admin, caller: &str, request: &DisconnectUserRequest) -> Result<DisconnectUserResponse> {
    let user = user_id(&request.user_id)?;
    let count = admin.operations.disconnect(&user);
    tracing::info!(caller, %user, sessions = count, "an operator disconnects a user");
    Ok(DisconnectUserResponse { session_count: u32::try_from(count).unwrap_or(u32::MAX) })
}
