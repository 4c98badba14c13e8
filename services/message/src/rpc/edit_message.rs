use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{EditMessageRequest, EditMessageResponse};

use super::message_write::{Named, append};
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
    let named = Named {
        conversation_id: &request.conversation_id,
        message_id: &request.message_id,
        request_id: &request.request_id,
        known_seq: request.known_seq,
    };
    let text_bytes_max = app.config.text_bytes_max;
    let intent = |message_id| {
        check_text(&request.text, text_bytes_max).map_err(|invalid| error::invalid_text("text", invalid))?;
        Ok(Intent::Edit { message_id, text: request.text, mentions: convert::mentions(&request.mentioned_user_ids)? })
    };
    let (message, seq, duplicate) = append(app, context, named, intent).await?;
    Ok(EditMessageResponse { message, seq, duplicate })
}
