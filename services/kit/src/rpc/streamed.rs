use viberchat_proto::conversation::v1::WatchMembershipsRequest;
use viberchat_proto::message::v1::{SendMessagesRequest, SubscribeRequest};
use viberchat_proto::presence::v1::{AttachRequest, WatchRequest, WatchTypingRequest};
use viberchat_proto::types::v1::RequestContext;

use crate::auth::StreamedRequest;

macro_rules! streamed {
    ($($request:ty),* $(,)?) => {
        $(impl StreamedRequest for $request {
            fn context(&self) -> Option<&RequestContext> {
                self.context.as_ref()
            }
        })*
    };
}

streamed!(SendMessagesRequest, SubscribeRequest, WatchMembershipsRequest, WatchRequest, WatchTypingRequest);

/// A gateway reports for itself, never for a user.
impl StreamedRequest for AttachRequest {
    fn context(&self) -> Option<&RequestContext> {
        None
    }
}
