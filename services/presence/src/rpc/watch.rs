use std::sync::Arc;

use tonic::{Request, Streaming};
use viberchat_kit::auth::authorized_stream;
use viberchat_kit::error::Result;
use viberchat_proto::presence::v1::WatchRequest;

use crate::app::App;
use crate::watch::{Pushes, pushes};

pub(super) fn handle(app: &Arc<App>, request: Request<Streaming<WatchRequest>>) -> Result<Pushes> {
    Ok(pushes(app, authorized_stream(request, &super::WATCH_RULE)?))
}
