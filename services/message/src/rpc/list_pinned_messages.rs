use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::page::PageSize;
use viberchat_proto::message::v1::{ListPinnedMessagesRequest, ListPinnedMessagesResponse};

use super::read;
use crate::app::App;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: ListPinnedMessagesRequest,
) -> Result<ListPinnedMessagesResponse> {
    let conversation_id = crate::convert::conversation_id(&request.conversation_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    let pages = app.pages.for_method("ListPinnedMessages");
    let before_seq: u64 = match request.page_token.as_str() {
        "" => u64::MAX,
        token => pages.open(user.as_str(), &conversation_id, token)?,
    };
    let limit = read::page_limit(PageSize::clamp(request.page_size).get());
    let slice = app.store.pins(conversation_id, user.clone(), before_seq, limit).await?;
    let next_page_token = match slice.searched_to {
        Some(pin_seq) => pages.seal(user.as_str(), &conversation_id, &pin_seq)?,
        None => String::new(),
    };
    let as_of_seq = slice.head.seq;
    let messages = read::shown_messages(conversation_id, &user, &standing.view, slice.messages)?;
    Ok(ListPinnedMessagesResponse { messages, next_page_token, as_of_seq })
}
