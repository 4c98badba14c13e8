//! Asks what users may see of a log, when the fan-out needs to know.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use viberchat_kit::rpc::with_deadline;
use viberchat_proto::conversation::v1::{AuthorizeMemberRequest, BatchAuthorizeMembersRequest};

use super::Upstream;
use super::retry::Backoff;
use crate::fanout::{Question, Registry};

/// Questions of one call.
const CALL_QUESTIONS_MAX: usize = 200;

/// Answers the registry's questions, until `end`. One that cannot be answered is asked again when it matters again; until
/// then its session reads from the log.
pub(crate) async fn run(registry: Arc<Registry>, upstream: Upstream, end: CancellationToken) {
    let forever = async {
        let mut backoff = Backoff::default();
        loop {
            let questions = registry.questions.take(CALL_QUESTIONS_MAX).await;
            let requests = questions.iter().map(request).collect();
            let request = tonic::Request::new(BatchAuthorizeMembersRequest { requests });
            let request = with_deadline(request, upstream.timeout);
            match upstream.conversation.clone().batch_authorize_members(request).await {
                Ok(answer) => {
                    let answers = answer.into_inner().responses;
                    let mut answers = answers.iter();
                    questions.iter().for_each(|question| question.answer(answers.next()));
                    backoff.reset();
                }
                Err(status) => {
                    tracing::debug!(code = ?status.code(), "what users may see is not known");
                    questions.iter().for_each(|question| question.answer(None));
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    };
    // Cancel safe: what is asked half-way is not needed after the end.
    let _ended = end.run_until_cancelled(forever).await;
}

fn request(question: &Question) -> AuthorizeMemberRequest {
    AuthorizeMemberRequest {
        conversation_id: question.conversation().to_string(),
        user_id: question.user_id().to_owned(),
    }
}
