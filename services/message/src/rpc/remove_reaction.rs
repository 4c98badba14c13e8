use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{RemoveReactionRequest, RemoveReactionResponse};

use super::message_write::{Named, append};
use crate::app::App;
use crate::convert;
use crate::domain::rules::Intent;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: RemoveReactionRequest,
) -> Result<RemoveReactionResponse> {
    let named = Named {
        conversation_id: &request.conversation_id,
        message_id: &request.message_id,
        request_id: &request.request_id,
        known_seq: request.known_seq,
    };
    let intent = |message_id| Ok(Intent::Unreact { message_id, emoji: convert::emoji(request.emoji)? });
    let (message, seq, duplicate) = append(app, context, named, intent).await?;
    Ok(RemoveReactionResponse { message, seq, duplicate })
}
