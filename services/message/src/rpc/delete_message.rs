use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{DeleteMessageRequest, DeleteMessageResponse};

use super::message_write::{Named, append};
use crate::app::App;
use crate::domain::rules::Intent;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: DeleteMessageRequest,
) -> Result<DeleteMessageResponse> {
    let named = Named {
        conversation_id: &request.conversation_id,
        message_id: &request.message_id,
        request_id: &request.request_id,
        known_seq: request.known_seq,
    };
    let intent = |message_id| Ok(Intent::Delete { message_id });
    let (message, seq, duplicate) = append(app, context, named, intent).await?;
    Ok(DeleteMessageResponse { message, seq, duplicate })
}
