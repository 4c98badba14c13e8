use std::sync::Arc;

use viberchat_kit::auth::{CallContext, Caller, Scope};
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::message::v1::{SendMessageRequest, SendMessageResponse};

use super::write::Write;
use super::{read, write};
use crate::app::App;
use crate::convert;
use crate::domain::entry::{Body, Door};
use crate::domain::membership::ConversationKind;
use crate::domain::message::Message;
use crate::domain::rules::Intent;
use crate::domain::text::check_text;
use crate::error;
use crate::lane::Stored;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: SendMessageRequest,
) -> Result<SendMessageResponse> {
    let write = decode(app, context, request)?;
    let (conversation_id, user) = (write.conversation_id, write.user.clone());
    let deadline = write::deadline(app, context);
    let admission = write::authorize(app, &write, deadline).await?;
    let kind = admission.answer.standing.kind;
    let stored = write::submit(app, write, admission, deadline, None)?.wait().await?;
    acknowledge(app, conversation_id, &user, kind, stored).await
}

/// Checks the fields of a send.
pub(super) fn decode(app: &App, context: &CallContext, request: SendMessageRequest) -> Result<Write> {
    let user = context.user()?.clone();
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let request_id = convert::request_id("client_message_id", &request.client_message_id)?;
    check_text(&request.text, app.config.text_bytes_max).map_err(|invalid| error::invalid_text("text", invalid))?;
    let door = convert::door(request.door());
    Ok(Write {
        conversation_id,
        user,
        request_id,
        known_seq: request.known_seq,
        intent: Intent::Send {
            acting_service: acting_service(&context.caller),
            door: door_of(&context.caller, door),
            // Only a service that sends for a user may leave the position where it is.
            keep_read_position: request.keep_read_position && context.caller.service_name().is_some(),
            reply_to: convert::reply_to(&request.reply_to_message_id)?,
            mentions: convert::mentions(&request.mentioned_user_ids)?,
            metadata: convert::metadata(request.metadata)?,
            text: request.text,
        },
    })
}

/// Users call by gRPC; a service says by which door the user came.
fn door_of(caller: &Caller, said: Door) -> Door {
    match caller {
        Caller::Service { .. } if said != Door::Unspecified => said,
        _ => Door::Grpc,
    }
}

/// A service of ours (scope `relay`) only passes on what the user did; any other one does it for them.
fn acting_service(caller: &Caller) -> String {
    match caller {
        Caller::Service { identity, .. } if !caller.has_scope(Scope::Relay) => identity.name.to_string(),
        _ => String::new(),
    }
}

/// The ack of a stored send.
pub(super) async fn acknowledge(
    app: &Arc<App>,
    conversation_id: ConversationId,
    user: &UserId,
    kind: Option<ConversationKind>,
    stored: Stored,
) -> Result<SendMessageResponse> {
    let (message, duplicate) = match stored {
        Stored::Appended { entry, duplicate } => match &entry.body {
            Body::Message(sent) => (Message::of_entry(&entry, sent), duplicate),
            _ => return Err(Error::internal("a send was stored as something else")),
        },
        Stored::Before { seq, duplicate } => {
            (write::present_message(app, conversation_id, user, seq).await?, duplicate)
        }
        Stored::Unchanged => return Err(Error::internal("a send was not stored")),
    };
    write::announce_first(app, kind, &message).await;
    let message = convert::message_to_proto(message, &read::viewer(user));
    Ok(SendMessageResponse { message: Some(message), duplicate })
}
