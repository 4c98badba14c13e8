//! Sends over gRPC that are answered with nothing: what decoding, encoding and HTTP/2 cost.

use std::convert::Infallible;
use std::net::TcpListener;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::Streaming;
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::Server;
use tonic_prost::ProstCodec;
use tower::Service;
use viberchat_proto::message::v1::message_service_server::SERVICE_NAME;
use viberchat_proto::message::v1::send_messages_response::Result as SendResult;
use viberchat_proto::message::v1::{
    Message, SendMessageRequest, SendMessageResponse, SendMessagesRequest, SendMessagesResponse,
};

/// Serves until the process ends.
pub(super) fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let connections = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        let connections = connections.inspect(|connection| {
            connection.iter().for_each(|stream| drop(stream.set_nodelay(true)));
        });
        Ok(Server::builder().add_service(Empty).serve_with_incoming(connections).await?)
    })
}

/// The message service's name, and two of its methods.
#[derive(Clone, Copy)]
struct Empty;

impl NamedService for Empty {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for Empty {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async {
            Ok(if request.uri().path().ends_with("/SendMessages") {
                Grpc::new(ProstCodec::default()).streaming(Empty, request).await
            } else {
                Grpc::new(ProstCodec::default()).unary(Empty, request).await
            })
        })
    }
}

impl UnaryService<SendMessageRequest> for Empty {
    type Response = SendMessageResponse;
    type Future = std::future::Ready<Result<tonic::Response<SendMessageResponse>, tonic::Status>>;

    fn call(&mut self, _request: tonic::Request<SendMessageRequest>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(answer())))
    }
}

impl StreamingService<SendMessagesRequest> for Empty {
    type Response = SendMessagesResponse;
    type ResponseStream = futures::stream::BoxStream<'static, Result<SendMessagesResponse, tonic::Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, tonic::Status>>;

    fn call(&mut self, requests: tonic::Request<Streaming<SendMessagesRequest>>) -> Self::Future {
        let answers = requests.into_inner().map(|request| {
            let correlation_id = request?.context.unwrap_or_default().correlation_id;
            let result = Some(SendResult::Response(answer()));
            Ok(SendMessagesResponse { correlation_id, result })
        });
        std::future::ready(Ok(tonic::Response::new(answers.boxed())))
    }
}

fn answer() -> SendMessageResponse {
    SendMessageResponse { message: Some(Message::default()), ..SendMessageResponse::default() }
}
