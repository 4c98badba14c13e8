use viberchat_kit::error::Result;
use viberchat_kit::page::PageSize;
use viberchat_proto::gateway::v1::{ListSessionsRequest, ListSessionsResponse};

use super::{Admin, user_id};

const METHOD: &str = "ListSessions";

pub(super) fn handle(admin: &Admin, caller: &str, request: &ListSessionsRequest) -> Result<ListSessionsResponse> {
    let user = (!request.user_id.is_empty()).then(|| user_id(&request.user_id)).transpose()?;
    let (pages, filter) = (admin.pages.for_method(METHOD), &request.user_id);
    let after = match request.page_token.as_str() {
        "" => String::new(),
        token => pages.open::<String>(caller, filter, token)?,
    };
    let size = PageSize::clamp(request.page_size).get();
    let mut sessions = admin.operations.sessions(user.as_ref());
    // They come by id, and no id is empty.
    sessions.drain(..sessions.partition_point(|session| session.session_id <= after));
    let more = sessions.len() > size;
    sessions.truncate(size);
    let next_page_token = match sessions.last() {
        Some(last) if more => pages.seal(caller, filter, &last.session_id)?,
        _ => String::new(),
    };
    Ok(ListSessionsResponse { sessions, next_page_token })
}
