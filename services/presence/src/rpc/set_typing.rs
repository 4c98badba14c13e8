use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::presence::v1::{SetTypingRequest, SetTypingResponse};

use super::field;
use crate::app::App;
use crate::reread::read_again;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: SetTypingRequest,
) -> Result<SetTypingResponse> {
    let user = context.user()?;
    let conversation = field::conversation_id(&request.conversation_id)?;
    app.membership.admit(conversation, user, field::wait(context)).await?;
    if !request.typing {
        app.typings.stop(conversation, user);
        return Ok(SetTypingResponse {});
    }
    // An invisible user types unseen.
    let _admitted = app.presences.admit(vec![user.clone()]).await?;
    if app.others.is_some() {
        // They may have hidden at another instance a moment ago, and know it.
        read_again(app, std::slice::from_ref(user)).await?;
    }
    app.typings.start(conversation, user, || app.presences.is_invisible(user));
    Ok(SetTypingResponse {})
}
