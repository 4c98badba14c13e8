use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::message::v1::{AppendSystemEntryRequest, AppendSystemEntryResponse};

use super::write;
use crate::app::App;
use crate::convert;
use crate::domain::rules::{Intent, Proposal};
use crate::lane::Request;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: AppendSystemEntryRequest,
) -> Result<AppendSystemEntryResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let actor = convert::user_id("actor_user_id", &request.actor_user_id)?;
    if request.version == 0 {
        return Err(Error::invalid_argument("version", "counts from 1"));
    }
    let body = request.body.ok_or_else(|| Error::invalid_argument("body", "is missing"))?;
    let intent = Intent::System { version: request.version, body: convert::system_body(body)? };
    let proposal = Proposal { actor, id: None, intent, mentioned: Vec::new() };
    let deadline = write::deadline(app, context);
    let wanted = Request { proposal, known_seq: None, answer: None, deadline, link: None };
    let stored = app.lanes.submit(conversation_id, wanted)?.wait().await?;
    Ok(AppendSystemEntryResponse { seq: stored.seq(), duplicate: stored.is_duplicate() })
}
