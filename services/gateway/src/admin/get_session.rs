use viberchat_kit::error::{Error, Reason, Result};
use viberchat_proto::gateway::v1::{GetSessionRequest, GetSessionResponse};

use super::Admin;

pub(super) fn handle(admin: &Admin, request: &GetSessionRequest) -> Result<GetSessionResponse> {
    // Sessions are kept by user; an operator asks rarely enough to look at all.
    let found = admin.operations.sessions(None).into_iter().find(|session| session.session_id == request.session_id);
    match found {
        Some(session) => Ok(GetSessionResponse { session: Some(session) }),
        None => Err(Error::new(Reason::SessionNotFound, "there is no such session at this gateway")),
    }
}
