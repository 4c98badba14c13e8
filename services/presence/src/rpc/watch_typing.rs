use std::sync::Arc;

use tonic::{Request, Streaming};
use viberchat_kit::auth::authorized_stream;
use viberchat_kit::error::Result;
use viberchat_proto::presence::v1::WatchTypingRequest;

use crate::app::App;
use crate::watch_typing::{Pushes, pushes};

pub(super) fn handle(app: &Arc<App>, request: Request<Streaming<WatchTypingRequest>>) -> Result<Pushes> {
    Ok(pushes(app, authorized_stream(request, &super::WATCH_TYPING_RULE)?))
}
