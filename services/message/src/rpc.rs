//! The gRPC face: delegation only. One file per RPC: decode, authorize, act, encode.
//!
//! [`METHODS`] says whom each RPC takes; `viberchat_kit::auth` refuses everybody else before a handler runs. `write` has
//! what all writes to the log share, `message_write` those to a message, `read` what all reads do.

mod add_reaction;
mod append_system_entry;
mod batch_get_heads;
mod delete_message;
mod edit_message;
mod get_message;
mod list_messages;
mod list_pinned_messages;
mod list_positions;
mod mark_delivered;
mod mark_read;
mod message_write;
mod pin_message;
mod read;
mod read_log;
mod remove_reaction;
mod send_message;
mod send_messages;
mod subscribe;
mod unpin_message;
mod write;

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::{Access, CallContext, MethodRule, Scope};
use viberchat_kit::error::Result;
use viberchat_kit::rpc::into_status;
use viberchat_proto::message::v1 as proto;
use viberchat_proto::message::v1::message_service_server::MessageService;

use crate::app::App;

macro_rules! path {
    ($method:literal) => {
        concat!("/viberchat.message.v1.MessageService/", $method)
    };
}

static SEND_MESSAGES: MethodRule = MethodRule::streaming(path!("SendMessages"), Access::USERS);
static SUBSCRIBE: MethodRule = MethodRule::streaming(path!("Subscribe"), Access::users_or_service(Scope::Relay));

/// Every RPC of this service and whom it takes. Whether a user is a member is asked in the handlers.
pub const METHODS: &[MethodRule] = &[
    MethodRule::unary(path!("SendMessage"), Access::USERS),
    MethodRule::streaming(path!("SendMessages"), Access::USERS),
    MethodRule::unary(path!("EditMessage"), Access::USERS),
    MethodRule::unary(path!("DeleteMessage"), Access::USERS),
    MethodRule::unary(path!("AddReaction"), Access::USERS),
    MethodRule::unary(path!("RemoveReaction"), Access::USERS),
    MethodRule::unary(path!("PinMessage"), Access::USERS),
    MethodRule::unary(path!("UnpinMessage"), Access::USERS),
    MethodRule::unary(path!("ListPinnedMessages"), Access::USERS),
    MethodRule::unary(path!("GetMessage"), Access::USERS),
    MethodRule::unary(path!("ListMessages"), Access::USERS),
    MethodRule::unary(path!("ReadLog"), Access::USERS),
    MethodRule::unary(path!("BatchGetHeads"), Access::USERS),
    MethodRule::unary(path!("MarkRead"), Access::USERS),
    MethodRule::unary(path!("MarkDelivered"), Access::USERS),
    MethodRule::unary(path!("ListPositions"), Access::USERS),
    MethodRule::streaming(path!("Subscribe"), Access::users_or_service(Scope::Relay)),
    MethodRule::unary(path!("AppendSystemEntry"), Access::service(Scope::Relay)),
];

/// The server.
#[derive(Clone)]
pub(crate) struct MessageRpc {
    app: Arc<App>,
}

impl MessageRpc {
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
impl MessageService for MessageRpc {
    type SendMessagesStream = BoxStream<'static, std::result::Result<proto::SendMessagesResponse, Status>>;
    type SubscribeStream = BoxStream<'static, std::result::Result<proto::SubscribeResponse, Status>>;

    async fn send_message(
        &self,
        request: Request<proto::SendMessageRequest>,
    ) -> std::result::Result<Response<proto::SendMessageResponse>, Status> {
        unary!(self, request, send_message)
    }

    async fn send_messages(
        &self,
        request: Request<Streaming<proto::SendMessagesRequest>>,
    ) -> std::result::Result<Response<Self::SendMessagesStream>, Status> {
        send_messages::handle(&self.app, request).map(Response::new).map_err(into_status)
    }

    async fn edit_message(
        &self,
        request: Request<proto::EditMessageRequest>,
    ) -> std::result::Result<Response<proto::EditMessageResponse>, Status> {
        unary!(self, request, edit_message)
    }

    async fn delete_message(
        &self,
        request: Request<proto::DeleteMessageRequest>,
    ) -> std::result::Result<Response<proto::DeleteMessageResponse>, Status> {
        unary!(self, request, delete_message)
    }

    async fn add_reaction(
        &self,
        request: Request<proto::AddReactionRequest>,
    ) -> std::result::Result<Response<proto::AddReactionResponse>, Status> {
        unary!(self, request, add_reaction)
    }

    async fn remove_reaction(
        &self,
        request: Request<proto::RemoveReactionRequest>,
    ) -> std::result::Result<Response<proto::RemoveReactionResponse>, Status> {
        unary!(self, request, remove_reaction)
    }

    async fn pin_message(
        &self,
        request: Request<proto::PinMessageRequest>,
    ) -> std::result::Result<Response<proto::PinMessageResponse>, Status> {
        unary!(self, request, pin_message)
    }

    async fn unpin_message(
        &self,
        request: Request<proto::UnpinMessageRequest>,
    ) -> std::result::Result<Response<proto::UnpinMessageResponse>, Status> {
        unary!(self, request, unpin_message)
    }

    async fn list_pinned_messages(
        &self,
        request: Request<proto::ListPinnedMessagesRequest>,
    ) -> std::result::Result<Response<proto::ListPinnedMessagesResponse>, Status> {
        unary!(self, request, list_pinned_messages)
    }

    async fn get_message(
        &self,
        request: Request<proto::GetMessageRequest>,
    ) -> std::result::Result<Response<proto::GetMessageResponse>, Status> {
        unary!(self, request, get_message)
    }

    async fn list_messages(
        &self,
        request: Request<proto::ListMessagesRequest>,
    ) -> std::result::Result<Response<proto::ListMessagesResponse>, Status> {
        unary!(self, request, list_messages)
    }

    async fn read_log(
        &self,
        request: Request<proto::ReadLogRequest>,
    ) -> std::result::Result<Response<proto::ReadLogResponse>, Status> {
        unary!(self, request, read_log)
    }

    async fn batch_get_heads(
        &self,
        request: Request<proto::BatchGetHeadsRequest>,
    ) -> std::result::Result<Response<proto::BatchGetHeadsResponse>, Status> {
        unary!(self, request, batch_get_heads)
    }

    async fn mark_read(
        &self,
        request: Request<proto::MarkReadRequest>,
    ) -> std::result::Result<Response<proto::MarkReadResponse>, Status> {
        unary!(self, request, mark_read)
    }

    async fn mark_delivered(
        &self,
        request: Request<proto::MarkDeliveredRequest>,
    ) -> std::result::Result<Response<proto::MarkDeliveredResponse>, Status> {
        unary!(self, request, mark_delivered)
    }

    async fn list_positions(
        &self,
        request: Request<proto::ListPositionsRequest>,
    ) -> std::result::Result<Response<proto::ListPositionsResponse>, Status> {
        unary!(self, request, list_positions)
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::SubscribeRequest>>,
    ) -> std::result::Result<Response<Self::SubscribeStream>, Status> {
        subscribe::handle(&self.app, request).map(Response::new).map_err(into_status)
    }

    async fn append_system_entry(
        &self,
        request: Request<proto::AppendSystemEntryRequest>,
    ) -> std::result::Result<Response<proto::AppendSystemEntryResponse>, Status> {
        unary!(self, request, append_system_entry)
    }
}
