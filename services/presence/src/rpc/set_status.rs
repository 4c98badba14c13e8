use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::presence::v1::{SetStatusRequest, SetStatusResponse};

use crate::app::App;
use crate::convert::{presence_to_proto, setting_from_proto};

/// Who asks may go: what was handed to the saver is written.
pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: SetStatusRequest,
) -> Result<SetStatusResponse> {
    let user = context.user()?.clone();
    let setting = setting_from_proto(request.status)
        .ok_or_else(|| Error::invalid_argument("status", "is not online, away, busy or invisible"))?;
    let admitted = app.presences.admit(vec![user.clone()]).await?;
    let presence = app.saver.set(user.clone(), setting, admitted).await?;
    Ok(SetStatusResponse { presence: Some(presence_to_proto(&user, presence)) })
}
