//! The gRPC face: one file for each method, which decodes, authorizes, acts and encodes. Here they are only delegated to.
//!
//! [`METHODS`] says whom each RPC takes; `viberchat_kit::auth` refuses everybody else before a handler runs. `field` decodes.

mod attach;
mod batch_get_presence;
pub(crate) mod field;
mod set_status;
mod set_typing;
mod watch;
mod watch_typing;

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::{Access, CallContext, MethodRule, Scope};
use viberchat_kit::error::Result;
use viberchat_kit::rpc::into_status;
use viberchat_proto::presence::v1 as proto;
use viberchat_proto::presence::v1::presence_service_server::PresenceService;

use crate::app::App;
use crate::attach::Answers;

macro_rules! path {
    ($method:literal) => {
        concat!("/viberchat.presence.v1.PresenceService/", $method)
    };
}

const ATTACH: MethodRule = MethodRule::streaming(path!("Attach"), Access::service(Scope::Relay));
const WATCH: MethodRule = MethodRule::streaming(path!("Watch"), Access::USERS);
const WATCH_TYPING: MethodRule = MethodRule::streaming(path!("WatchTyping"), Access::users_or_service(Scope::Relay));

/// Every RPC of this service and whom it takes. Who may see whom is asked in the handlers.
pub const METHODS: &[MethodRule] = &[
    ATTACH,
    MethodRule::unary(path!("SetStatus"), Access::USERS),
    MethodRule::unary(path!("BatchGetPresence"), Access::USERS),
    WATCH,
    MethodRule::unary(path!("SetTyping"), Access::USERS),
    WATCH_TYPING,
];

/// The rules by which each request of a stream is checked.
static ATTACH_RULE: MethodRule = ATTACH;
static WATCH_RULE: MethodRule = WATCH;
static WATCH_TYPING_RULE: MethodRule = WATCH_TYPING;

/// The server.
#[derive(Clone)]
pub(crate) struct PresenceRpc {
    app: Arc<App>,
}

impl PresenceRpc {
    /// Over these parts.
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// Takes a request apart and makes a response or a status of what the handler says.
async fn answer<Q, A>(
    request: Request<Q>,
    handle: impl AsyncFnOnce(CallContext, Q) -> Result<A>,
) -> std::result::Result<Response<A>, Status> {
    let context = CallContext::of(&request).map_err(into_status)?;
    handle(context, request.into_inner()).await.map(Response::new).map_err(into_status)
}

macro_rules! unary {
    ($self:ident, $request:ident, $module:ident) => {
        answer($request, async |context, request| $module::handle(&$self.app, &context, request).await).await
    };
}

#[tonic::async_trait]
impl PresenceService for PresenceRpc {
    type AttachStream = Answers;
    type WatchStream = BoxStream<'static, std::result::Result<proto::WatchResponse, Status>>;
    type WatchTypingStream = BoxStream<'static, std::result::Result<proto::WatchTypingResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<proto::AttachRequest>>,
    ) -> std::result::Result<Response<Self::AttachStream>, Status> {
        attach::handle(&self.app, request).map(Response::new).map_err(into_status)
    }

    async fn set_status(
        &self,
        request: Request<proto::SetStatusRequest>,
    ) -> std::result::Result<Response<proto::SetStatusResponse>, Status> {
        unary!(self, request, set_status)
    }

    async fn batch_get_presence(
        &self,
        request: Request<proto::BatchGetPresenceRequest>,
    ) -> std::result::Result<Response<proto::BatchGetPresenceResponse>, Status> {
        unary!(self, request, batch_get_presence)
    }

    async fn watch(
        &self,
        request: Request<Streaming<proto::WatchRequest>>,
    ) -> std::result::Result<Response<Self::WatchStream>, Status> {
        watch::handle(&self.app, request).map(Response::new).map_err(into_status)
    }

    async fn set_typing(
        &self,
        request: Request<proto::SetTypingRequest>,
    ) -> std::result::Result<Response<proto::SetTypingResponse>, Status> {
        unary!(self, request, set_typing)
    }

    async fn watch_typing(
        &self,
        request: Request<Streaming<proto::WatchTypingRequest>>,
    ) -> std::result::Result<Response<Self::WatchTypingStream>, Status> {
        watch_typing::handle(&self.app, request).map(Response::new).map_err(into_status)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn every_method_of_the_service_is_in_the_table_and_no_other() {
        let set = prost_types::FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "viberchat.presence.v1");
        let mut described = Vec::new();
        for service in files.flat_map(|file| &file.service) {
            for method in &service.method {
                let path = format!("/viberchat.presence.v1.{}/{}", service.name(), method.name());
                described.push((path, method.client_streaming()));
            }
        }
        let mut listed: Vec<_> = METHODS.iter().map(|rule| (rule.path.to_owned(), rule.streaming)).collect();
        listed.sort();
        described.sort();
        assert_eq!(listed, described);
    }

    #[test]
    fn nothing_is_open_to_the_anonymous() {
        assert!(METHODS.iter().all(|rule| !rule.access.anonymous));
    }
}
