use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::presence::v1::{BatchGetPresenceRequest, BatchGetPresenceResponse};

use super::field;
use crate::app::App;
use crate::convert::presence_to_proto;
use crate::domain::status::Presence;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: BatchGetPresenceRequest,
) -> Result<BatchGetPresenceResponse> {
    let user = context.user()?;
    let users = field::user_ids(&request.user_ids)?;
    let visible = app.visibility.visible(user, &users, field::wait(context)).await?;
    let _admitted = app.presences.admit(visible.keys().cloned().collect()).await?;
    let shown = users.iter().zip(app.presences.views(&users)).map(|(named, views)| match named {
        oneself if oneself == user => presence_to_proto(oneself, views.to_oneself),
        other if visible.contains_key(other) => presence_to_proto(other, views.to_others),
        stranger => presence_to_proto(stranger, Presence::UNKNOWN),
    });
    Ok(BatchGetPresenceResponse { presences: shown.collect() })
}
