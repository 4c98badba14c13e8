use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{GetMessageRequest, GetMessageResponse};

use super::read;
use crate::app::App;
use crate::{convert, error};

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: GetMessageRequest,
) -> Result<GetMessageResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let message_id = convert::message_id(&request.message_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    // Ids without a place come from imports, of which this release has none.
    let seq = message_id.seq().filter(|seq| standing.view.shows(*seq)).ok_or_else(error::message_not_found)?;
    let slice = app.store.messages_at(conversation_id, Some(user.clone()), vec![seq]).await?;
    let record = slice.messages.into_iter().next().ok_or_else(error::message_not_found)?;
    let message = convert::message(conversation_id, record)?;
    // An id with another rest at the same place is somebody's guess.
    if message.sent.message_id != message_id {
        return Err(error::message_not_found());
    }
    Ok(GetMessageResponse {
        message: Some(convert::message_to_proto(message, &read::viewer(&user))),
        as_of_seq: slice.head.seq,
    })
}
