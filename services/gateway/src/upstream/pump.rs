//! Reads for the pump of a session, on behalf of its user.

use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::UserId;
use viberchat_proto::message::v1::{BatchGetHeadsRequest, ReadLogRequest};

use super::{Upstream, refused};
use crate::session::{Job, JobDone};

impl Upstream {
    /// Does what the pump asks for.
    pub(crate) async fn read(self, user: UserId, job: Job) -> JobDone {
        match job {
            Job::Log { conversation, after_seq, limit, bytes_max } => {
                let conversation_id = conversation.to_string();
                let request = ReadLogRequest { conversation_id, after_seq, limit, bytes_max };
                let answer = self.message.clone().read_log(self.request(&user, request)).await;
                JobDone::Log(answer.map(tonic::Response::into_inner).map_err(refused))
            }
            Job::Heads(conversations) => {
                let conversation_ids = conversations.iter().map(ToString::to_string).collect();
                let request = self.request(&user, BatchGetHeadsRequest { conversation_ids });
                let answer = self.message.clone().batch_get_heads(request).await;
                JobDone::Heads(answer.map(|answer| answer.into_inner().heads).map_err(refused))
            }
        }
    }
}

/// A service that does not answer.
pub(super) fn late() -> Error {
    Error::new(Reason::StoreUnavailable, "a service that is needed does not answer").with_outcome(Outcome::Unknown)
}
