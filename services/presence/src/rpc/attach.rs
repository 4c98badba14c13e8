use std::sync::Arc;

use tonic::{Request, Streaming};
use viberchat_kit::auth::authorized_stream;
use viberchat_kit::error::Result;
use viberchat_proto::presence::v1::AttachRequest;

use crate::app::App;
use crate::attach::{Answers, open};

pub(super) fn handle(app: &Arc<App>, request: Request<Streaming<AttachRequest>>) -> Result<Answers> {
    Ok(open(app, authorized_stream(request, &super::ATTACH_RULE)?))
}
