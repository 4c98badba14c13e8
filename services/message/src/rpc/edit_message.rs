use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{EditMessageRequest, EditMessageResponse};

use super::write::Write;
use super::{read, write};
use crate::app::App;
use crate::convert;
use crate::domain::rules::Intent;
use crate::domain::text::check_text;
use crate::error;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: EditMessageRequest,
) -> Result<EditMessageResponse> {
    let user = context.user()?.clone();
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let message_id = convert::message_id(&request.message_id)?;
    let request_id = convert::request_id("request_id", &request.request_id)?;
    check_text(&request.text, app.config.text_bytes_max).map_err(|invalid| error::invalid_text("text", invalid))?;
    let intent = Intent::Edit { message_id, text: request.text };
    let known_seq = request.known_seq;
    let write = Write { conversation_id, user: user.clone(), request_id, known_seq, intent };
    let stored = write::append(app, context, write).await?;
    let message_seq = message_id.seq().ok_or_else(error::message_not_found)?;
    let message = write::present_message(app, conversation_id, message_seq).await?;
    Ok(EditMessageResponse {
        message: Some(convert::message_to_proto(message, &read::viewer(&user))),
        seq: stored.seq(),
        duplicate: stored.is_duplicate(),
    })
}
