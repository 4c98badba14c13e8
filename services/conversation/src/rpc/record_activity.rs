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

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_kit::id::ConversationId;
    use viberchat_proto::conversation::v1::GetConversationRequest;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

    use super::*;
    use crate::testing::{START, TestService, by, by_service, reason};

    fn activity(id: ConversationId, seq: u64) -> RecordActivityRequest {
        RecordActivityRequest { conversation_id: id.to_string(), seq, time: Some(START.to_proto()) }
    }

    #[tokio::test]
    async fn the_newest_message_is_a_hint_of_the_conversation() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let calls = (2..50).map(|seq| service.api.record_activity(by_service(activity(id, seq))));
        futures::future::try_join_all(calls).await.unwrap();
        let request = GetConversationRequest { conversation_id: id.to_string() };
        let conversation = service.api.get_conversation(by("alice", request)).await.unwrap().into_inner().conversation;
        let conversation = conversation.unwrap();
        assert_eq!((conversation.activity_seq, conversation.activity_time), (49, Some(START.to_proto())));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let service = TestService::start().await;
        let id = service.group("alice", &[]).await;
        let refused = async |request| reason(service.api.record_activity(by_service(request)).await);
        assert_eq!(refused(activity(ConversationId::from_bytes([1; 16]), 1)).await, Reason::ConversationNotFound);
        assert_eq!(refused(activity(id, 0)).await, Reason::InvalidArgument);
        assert_eq!(refused(activity(id, u64::MAX)).await, Reason::InvalidArgument);
        assert_eq!(refused(RecordActivityRequest { time: None, ..activity(id, 1) }).await, Reason::InvalidArgument);
    }
}
