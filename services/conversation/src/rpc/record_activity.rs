use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::conversation::v1::{RecordActivityRequest, RecordActivityResponse};

use super::{State, field};
use crate::domain::Activity;
use crate::error::not_found;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    _: CallContext,
    request: RecordActivityRequest,
) -> Result<RecordActivityResponse> {
    let id = field::conversation_id(&request.conversation_id)?;
    // Seqs begin at 1 and are signed in the stores.
    if request.seq == 0 || i64::try_from(request.seq).is_err() {
        return Err(Error::invalid_argument("seq", "is no seq"));
    }
    let at = request.time.as_ref().and_then(Timestamp::from_proto);
    let at = at.ok_or_else(|| Error::invalid_argument("time", "is absent or not a valid time"))?;
    if !state.activity.record(id, Activity { seq: request.seq, at }).await? {
        return Err(not_found());
    }
    Ok(RecordActivityResponse {})
}
