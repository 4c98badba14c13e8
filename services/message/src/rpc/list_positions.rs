use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::UserId;
use viberchat_kit::page::PageSize;
use viberchat_proto::message::v1::{ListPositionsRequest, ListPositionsResponse};

use super::read;
use crate::app::App;
use crate::convert;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: ListPositionsRequest,
) -> Result<ListPositionsResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, _) = read::reader(app, context, conversation_id).await?;
    let pages = app.pages.for_method("ListPositions");
    let after: Option<UserId> = match request.page_token.as_str() {
        "" => None,
        token => Some(pages.open(user.as_str(), &conversation_id, token)?),
    };
    let items = PageSize::clamp(request.page_size).get();
    let slice = app.store.positions(conversation_id, after, items).await?;
    let next_page_token = match slice.positions.last() {
        Some(last) if slice.more => pages.seal(user.as_str(), &conversation_id, &last.user)?,
        _ => String::new(),
    };
    Ok(ListPositionsResponse {
        positions: slice.positions.iter().map(|p| convert::position_to_proto(conversation_id, p)).collect(),
        next_page_token,
        as_of_seq: slice.head.seq,
    })
}
