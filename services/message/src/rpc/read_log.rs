use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::page::PageSize;
use viberchat_proto::message::v1::{ReadLogRequest, ReadLogResponse};

use super::read;
use crate::app::App;
use crate::convert;
use crate::domain::head::Head;

pub(super) async fn handle(app: &Arc<App>, context: &CallContext, request: ReadLogRequest) -> Result<ReadLogResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    let limit = read::page_limit(PageSize::clamp(request.limit).get()).within(request.bytes_max);
    let (view, after_seq) = (&standing.view, request.after_seq);
    // Of a hidden run only the last entry is read, for the numbers that it carries.
    let hidden_through = view.hidden_through(after_seq);
    let from = if hidden_through > after_seq { hidden_through - 1 } else { after_seq };
    let slice = app.store.read_log(conversation_id, from, limit).await?;
    let viewer = read::viewer(&user);
    let mut entries = Vec::with_capacity(slice.records.len());
    let mut sent = after_seq;
    // The end of a hidden run that is not told yet.
    let mut hidden: Option<Head> = None;
    for record in slice.records {
        let head = record.head;
        let entry = convert::entry(conversation_id, record)?;
        if !view.shows_entry(head.seq, entry.body.target_seq()) {
            hidden = Some(head);
            continue;
        }
        if let Some(last) = hidden.take() {
            entries.push(convert::hidden_to_proto(conversation_id, sent + 1, &last));
        }
        entries.push(convert::entry_to_proto(&entry, &viewer));
        sent = head.seq;
    }
    // The run goes on to the head, or over it.
    if hidden_through >= slice.head.seq && after_seq < slice.head.seq {
        hidden = Some(slice.head);
    }
    if let Some(last) = hidden {
        entries.push(convert::hidden_to_proto(conversation_id, sent + 1, &last));
    }
    Ok(ReadLogResponse { entries, head_seq: slice.head.seq })
}
