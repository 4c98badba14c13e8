use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::page::PageSize;
use viberchat_proto::message::v1::{ReadLogRequest, ReadLogResponse};

use super::read;
use crate::app::App;
use crate::convert;

pub(super) async fn handle(app: &Arc<App>, context: &CallContext, request: ReadLogRequest) -> Result<ReadLogResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, _) = read::reader(app, context, conversation_id).await?;
    let limit = read::page_limit(PageSize::clamp(request.limit).get());
    let slice = app.store.read_log(conversation_id, request.after_seq, limit).await?;
    let viewer = read::viewer(&user);
    let mut entries = Vec::with_capacity(slice.records.len());
    for record in slice.records {
        entries.push(convert::entry_to_proto(&convert::entry(conversation_id, record)?, &viewer));
    }
    Ok(ReadLogResponse { entries, head_seq: slice.head.seq })
}
