use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{DeleteMessageRequest, DeleteMessageResponse};

use super::write::Write;
use super::{read, write};
use crate::app::App;
use crate::convert;
use crate::domain::rules::Intent;
use crate::error;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: DeleteMessageRequest,
) -> Result<DeleteMessageResponse> {
    let user = context.user()?.clone();
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let message_id = convert::message_id(&request.message_id)?;
    let request_id = convert::request_id("request_id", &request.request_id)?;
    let (known_seq, intent) = (request.known_seq, Intent::Delete { message_id });
    let write = Write { conversation_id, user: user.clone(), request_id, known_seq, intent };
    let stored = write::append(app, context, write).await?;
    let message_seq = message_id.seq().ok_or_else(error::message_not_found)?;
    let message = write::present_message(app, conversation_id, message_seq).await?;
    Ok(DeleteMessageResponse {
        message: Some(convert::message_to_proto(message, &read::viewer(&user))),
        seq: stored.seq(),
        duplicate: stored.is_duplicate(),
    })
}
