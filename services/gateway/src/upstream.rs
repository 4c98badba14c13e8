//! The services behind the gateway.
//!
//! Map: `calls` are unary calls for frames, `pump` the reads of the pump, `views` asks what users may see of a log;
//! `sends`, `subscribe`, `memberships`, and of the presence service `attach`, `watches` and `typing` are the long streams,
//! each with a task that opens it anew when it breaks; `instances` has one of those for each instance, for `sends` and
//! `attach`; `retry` holds their waits.
//!
//! Invariants: every call has a deadline; whoever waits for an answer of a stream that breaks gets one; a service's
//! status goes no further than [`Error::from_status`].

pub(crate) mod attach;
pub(crate) mod calls;
mod instances;
pub(crate) mod memberships;
pub(crate) mod pump;
pub(crate) mod retry;
pub(crate) mod sends;
pub(crate) mod subscribe;
pub(crate) mod typing;
pub(crate) mod views;
pub(crate) mod watches;

use std::time::Duration;

use tonic::Request;
use viberchat_kit::error::Error;
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, affinity, on_behalf_of, with_deadline};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::user_directory_service_client::UserDirectoryServiceClient;
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::presence::v1::presence_service_client::PresenceServiceClient;

/// A service that sends nothing for this long, heartbeats included, is not there.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Clients of the services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) message: MessageServiceClient<Channel>,
    pub(crate) conversation: ConversationServiceClient<Channel>,
    pub(crate) directory: UserDirectoryServiceClient<Channel>,
    pub(crate) presence: PresenceServiceClient<Channel>,
    pub(crate) timeout: Duration,
}

impl Upstream {
    pub(crate) fn new(conversation: Channel, message: Channel, presence: Channel, timeout: Duration) -> Self {
        Self {
            message: MessageServiceClient::new(message),
            conversation: ConversationServiceClient::new(conversation.clone()),
            directory: UserDirectoryServiceClient::new(conversation),
            presence: PresenceServiceClient::new(presence),
            timeout,
        }
    }

    /// A request for a user, within the usual time. Those of one user meet at one instance.
    pub(crate) fn request<T>(&self, user: &UserId, message: T) -> Request<T> {
        let mut request = on_behalf_of(with_deadline(Request::new(message), self.timeout), user);
        affinity(&mut request, user.as_str());
        request
    }
}

/// The one place where a service's status becomes ours.
#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(crate) fn refused(status: tonic::Status) -> Error {
    Error::from_status(&status)
}
