use std::sync::{Arc, OnceLock};

use tonic::Status;
use tonic::body::Body;

use super::{Channel, ResponseFuture, Transport};
use crate::error::{Error, Reason};

type Slot = Arc<OnceLock<Channel>>;

struct Late(Slot);

/// Gives a late channel what lies behind it. Dropped unused, the channel answers UNAVAILABLE for ever.
pub struct LateBinding(Slot);

pub(super) fn late() -> (Arc<dyn Transport>, LateBinding) {
    let slot = Slot::default();
    (Arc::new(Late(slot.clone())), LateBinding(slot))
}

impl LateBinding {
    /// From now on calls go through `channel`.
    pub fn bind(self, channel: Channel) {
        if self.0.set(channel).is_err() {
            unreachable!("a binding is used up by its one use");
        }
    }
}

impl Transport for Late {
    fn call(&self, request: http::Request<Body>) -> ResponseFuture {
        match self.0.get() {
            Some(channel) => channel.0.call(request),
            None => {
                let error = Error::new(Reason::StoreUnavailable, "a service that is needed has not started yet");
                Box::pin(std::future::ready(Ok(Status::from(error).into_http())))
            }
        }
    }
}
