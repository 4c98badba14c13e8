use viberchat_proto::gateway::v1::DrainResponse;

use super::Admin;

pub(super) fn handle(admin: &Admin, caller: &str) -> DrainResponse {
    let count = admin.operations.drain();
    tracing::info!(caller, sessions = count, "an operator drains this gateway");
    DrainResponse { session_count: u32::try_from(count).unwrap_or(u32::MAX) }
}
