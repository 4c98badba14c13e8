use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Status, Streaming};
use viberchat_kit::auth::authorized_stream;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{SubscribeRequest, SubscribeResponse};

use crate::app::App;
use crate::subscribe;

type Pushes = BoxStream<'static, std::result::Result<SubscribeResponse, Status>>;

pub(super) fn handle(app: &Arc<App>, request: Request<Streaming<SubscribeRequest>>) -> Result<Pushes> {
    let requests = authorized_stream(request, &super::SUBSCRIBE)?;
    Ok(subscribe::pushes(app.clone(), requests))
}
