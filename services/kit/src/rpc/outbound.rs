use std::time::Duration;

use tonic::Request;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::{DEADLINE_DEFAULT, affinity};
use crate::auth::{CallContext, ON_BEHALF_OF, ON_BEHALF_OF_BIN};
use crate::id::UserId;

/// Names the user for whom the calling service acts.
pub fn on_behalf_of<T>(mut request: Request<T>, user: &UserId) -> Request<T> {
    set_user(request.metadata_mut(), user);
    request
}

fn set_user(metadata: &mut MetadataMap, user: &UserId) {
    let id = user.as_str();
    // Blanks at the ends of a header get lost on the way, and other bytes are not allowed in one.
    if id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let value = MetadataValue::try_from(id).expect("printable ASCII is a valid header");
        metadata.insert(ON_BEHALF_OF, value);
    } else {
        metadata.insert_bin(ON_BEHALF_OF_BIN, MetadataValue::from_bytes(id.as_bytes()));
    }
}

/// Says how long the caller waits. The server ends the call then, in this process and elsewhere.
pub fn with_deadline<T>(mut request: Request<T>, timeout: Duration) -> Request<T> {
    request.set_timeout(timeout);
    request
}

/// A request of a service that answers `context`'s call: for the same user, within the same deadline (or
/// [`DEADLINE_DEFAULT`]), in the same trace. Calls for one user meet at one instance.
pub fn for_caller<T>(context: &CallContext, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(context.remaining().unwrap_or(DEADLINE_DEFAULT));
    let metadata = request.metadata_mut();
    let user = context.caller.user();
    if let Some(user) = user {
        set_user(metadata, user);
    }
    if let Some(trace) = context.traceparent.as_deref().and_then(|trace| MetadataValue::try_from(trace).ok()) {
        metadata.insert("traceparent", trace);
    }
    if let Some(user) = user {
        affinity(&mut request, user.as_str());
    }
    request
}
