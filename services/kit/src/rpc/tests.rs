//! A server that echoes contexts, reached in this process and over a socket.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use tonic::Request;
use tonic::codec::Streaming;
use tonic::server::{Grpc as ServerGrpc, NamedService, StreamingService, UnaryService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower::Layer as _;
use viberchat_proto::types::v1::RequestContext;

use super::*;
use crate::auth::{
    Access, AuthLayer, AuthorizedStream, CallContext, MethodRule, MethodTable, Scope, StreamedRequest, TokenSigner,
    TokenVerifier, VerifierConfig, authorized_stream,
};
use crate::clock::SystemClock;
use crate::error::{Outcome, Reason, Result};
use crate::id::{SystemEntropy, UserId};
use crate::keys::Secret;
use crate::lifecycle::Lifecycle;

mod instances;

const UNARY: &str = "/test.Echo/Unary";
const STREAM: &str = "/test.Echo/Stream";
const HANG: &str = "/test.Echo/Hang";

static RULES: [MethodRule; 3] = [
    MethodRule::unary(UNARY, Access::USERS),
    MethodRule::streaming(STREAM, Access::USERS),
    MethodRule::unary(HANG, Access::service(Scope::Relay)),
];

impl StreamedRequest for RequestContext {
    fn context(&self) -> Option<&RequestContext> {
        Some(self)
    }
}

/// Answers with who asked, or why they were refused, and a number of its own where the call is unary.
#[derive(Clone)]
struct Echo(u64);

type Codec = ProstCodec<RequestContext, RequestContext>;
type Future<T> = Pin<Box<dyn std::future::Future<Output = std::result::Result<T, Status>> + Send>>;

impl UnaryService<RequestContext> for Echo {
    type Response = RequestContext;
    type Future = Future<tonic::Response<RequestContext>>;

    fn call(&mut self, request: Request<RequestContext>) -> Self::Future {
        let answer = CallContext::of(&request).and_then(|context| echo(&context)).map_err(into_status);
        let answer = answer.map(|answer| RequestContext { correlation_id: self.0, ..answer });
        Box::pin(async move { answer.map(tonic::Response::new) })
    }
}

struct EchoStream;

impl StreamingService<RequestContext> for EchoStream {
    type Response = RequestContext;
    type ResponseStream = Pin<Box<dyn Stream<Item = std::result::Result<RequestContext, Status>> + Send>>;
    type Future = Future<tonic::Response<Self::ResponseStream>>;

    fn call(&mut self, request: Request<Streaming<RequestContext>>) -> Self::Future {
        Box::pin(async move {
            let requests: AuthorizedStream<_> = authorized_stream(request, &RULES[1]).map_err(into_status)?;
            let answers = requests.map(|item| {
                let streamed = item.map_err(|end| into_status(end.into()))?;
                let answer = match streamed.context.and_then(|context| echo(&context)) {
                    Ok(answer) => answer,
                    Err(error) => RequestContext { traceparent: error.reason.to_string(), ..Default::default() },
                };
                Ok(RequestContext { correlation_id: streamed.correlation_id, ..answer })
            });
            Ok(tonic::Response::new(answers.boxed() as Self::ResponseStream))
        })
    }
}

struct Hang;

impl UnaryService<RequestContext> for Hang {
    type Response = RequestContext;
    type Future = Future<tonic::Response<RequestContext>>;

    fn call(&mut self, _: Request<RequestContext>) -> Self::Future {
        Box::pin(std::future::pending())
    }
}

fn echo(context: &CallContext) -> Result<RequestContext> {
    let user = context.user()?.to_string();
    let service = context.caller.service_name().unwrap_or_default().to_owned();
    let timeout_ms = context.remaining().map_or(0, |left| u32::try_from(left.as_millis()).unwrap_or(u32::MAX));
    Ok(RequestContext { on_behalf_of: user, traceparent: service, timeout_ms, correlation_id: 0 })
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn std::future::Future<Output = std::result::Result<Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = ServerGrpc::new(Codec::default());
            Ok(match request.uri().path() {
                UNARY => grpc.unary(echo, request).await,
                STREAM => grpc.streaming(EchoStream, request).await,
                _ => grpc.unary(Hang, request).await,
            })
        })
    }
}

fn table() -> Arc<MethodTable> {
    Arc::new(MethodTable::new(&[&RULES]))
}

fn gateway(scopes: &[Scope]) -> ServiceIdentity {
    ServiceIdentity::new("gateway", scopes)
}

fn inside(scopes: &[Scope]) -> Channel {
    Channel::in_process(AuthLayer::without_tokens(table()).layer(Echo(0)), gateway(scopes))
}

fn asked(user: &str, correlation_id: u64) -> RequestContext {
    RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..Default::default() }
}

fn user() -> UserId {
    UserId::parse("ü1").unwrap()
}

/// As a generated client does it.
async fn unary(channel: &Channel, path: &'static str, request: Request<RequestContext>) -> Result<RequestContext> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("a channel is always ready");
    let path = http::uri::PathAndQuery::from_static(path);
    let answer = grpc.unary(request, path, Codec::default()).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
}

async fn streamed(channel: &Channel, requests: Vec<RequestContext>) -> Result<Vec<RequestContext>> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("a channel is always ready");
    let path = http::uri::PathAndQuery::from_static(STREAM);
    let answer = grpc.streaming(Request::new(stream::iter(requests)), path, Codec::default()).await;
    let answers = answer.map_err(|status| Error::from_status(&status))?.into_inner();
    answers
        .map(|item| item.map_err(|status| Error::from_status(&status)))
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect()
}

async fn assert_calls_work(channel: &Channel) {
    let request = with_deadline(on_behalf_of(Request::new(asked("", 0)), &user()), Duration::from_secs(30));
    let answer = unary(channel, UNARY, request).await.unwrap();
    assert_eq!((&*answer.on_behalf_of, &*answer.traceparent), ("ü1", "gateway"));
    assert!((1..=30_000).contains(&answer.timeout_ms), "{}", answer.timeout_ms);

    let refused = unary(channel, UNARY, Request::new(asked("", 0))).await.unwrap_err();
    assert_eq!((refused.reason, refused.outcome), (Reason::PermissionDenied, Outcome::NotAttempted));

    let answers = streamed(channel, vec![asked("u1", 1), asked("", 2), asked("u2", 3)]).await.unwrap();
    let answers: Vec<_> =
        answers.iter().map(|a| (a.correlation_id, a.on_behalf_of.as_str(), a.traceparent.as_str())).collect();
    assert_eq!(answers, [(1, "u1", "gateway"), (2, "", "PERMISSION_DENIED"), (3, "u2", "gateway")]);
}

#[tokio::test]
async fn a_server_of_this_process_is_called_without_a_token() {
    assert_calls_work(&inside(&[Scope::ActForUsers])).await;
}

#[tokio::test]
async fn routes_are_called_as_a_single_server_is() {
    let routes = AuthLayer::without_tokens(table()).layer(Routes::new(Echo(0)).prepare());
    assert_calls_work(&Channel::in_process(routes, gateway(&[Scope::ActForUsers]))).await;
}

#[tokio::test]
async fn the_identity_of_the_channel_is_all_that_a_call_may_use() {
    let request = on_behalf_of(Request::new(asked("", 0)), &user());
    let error = unary(&inside(&[Scope::Relay]), UNARY, request).await.unwrap_err();
    assert_eq!(error.reason, Reason::PermissionDenied);
    let error = streamed(&inside(&[Scope::Relay]), vec![asked("u1", 1)]).await.unwrap_err();
    assert_eq!(error.reason, Reason::PermissionDenied);
}

#[tokio::test]
async fn a_caller_of_the_client_does_not_replace_that_of_the_channel() {
    let mut request = Request::new(asked("", 0));
    request.extensions_mut().insert(crate::auth::Caller::User(user()));
    let error = unary(&inside(&[]), UNARY, request).await.unwrap_err();
    assert_eq!(error.reason, Reason::PermissionDenied);
}

#[tokio::test]
async fn a_deadline_ends_a_call_in_this_process() {
    let request = with_deadline(Request::new(asked("", 0)), Duration::from_millis(20));
    let error = unary(&inside(&[Scope::Relay]), HANG, request).await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::DeadlineExceeded, Outcome::Unknown));
}

#[tokio::test]
async fn a_late_channel_refuses_until_it_is_bound() {
    let (channel, binding) = Channel::late();
    let request = || on_behalf_of(Request::new(asked("", 0)), &user());
    let error = unary(&channel, UNARY, request()).await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::StoreUnavailable, Outcome::NotAttempted));
    binding.bind(inside(&[Scope::ActForUsers]));
    assert!(unary(&channel, UNARY, request()).await.is_ok());
    assert_calls_work(&channel).await;
}

#[tokio::test]
async fn a_call_for_a_caller_keeps_user_deadline_and_trace() {
    let mut context = CallContext::new(crate::auth::Caller::User(user()));
    context.traceparent = Some("00-ab".to_owned());
    let sent = for_caller(&context, ());
    assert_eq!(sent.metadata().get("traceparent").unwrap(), "00-ab");
    let timeout =
        |request: &Request<()>| crate::auth::grpc_timeout(&request.metadata().clone().into_headers()).unwrap().unwrap();
    assert_eq!(timeout(&sent), DEADLINE_DEFAULT);
    context.deadline = Some(tokio::time::Instant::now() + Duration::from_secs(1));
    assert!(timeout(&for_caller(&context, ())) <= Duration::from_secs(1));
    context.deadline = Some(tokio::time::Instant::now());
    assert_eq!(timeout(&for_caller(&context, ())), Duration::ZERO, "a deadline that is over stays over");

    let answer = unary(&inside(&[Scope::ActForUsers]), UNARY, for_caller(&context_of(user()), asked("", 0))).await;
    assert_eq!(answer.unwrap().on_behalf_of, "ü1");
}

#[test]
fn a_user_id_that_a_header_would_change_goes_as_binary() {
    use crate::auth::{ON_BEHALF_OF, ON_BEHALF_OF_BIN};
    for (id, binary) in [("u1", false), ("a%20b", false), (" u1", true), ("u1 ", true), ("ü", true)] {
        let sent = on_behalf_of(Request::new(()), &UserId::parse(id).unwrap());
        let headers = sent.metadata().clone().into_headers();
        assert_eq!(headers.contains_key(ON_BEHALF_OF_BIN), binary, "{id:?}");
        assert_eq!(headers.contains_key(ON_BEHALF_OF), !binary, "{id:?}");
    }
}

fn context_of(user: UserId) -> CallContext {
    CallContext::new(crate::auth::Caller::User(user))
}

struct Listener {
    target: Target,
    secret: Secret,
    lifecycle: Lifecycle,
}

impl Listener {
    fn channel(&self, token: TokenSource) -> Channel {
        Channel::connect(&self.target, Instances::Any, token, &self.lifecycle.handle())
    }
}

fn listen() -> Listener {
    let secret = Secret::generate(&SystemEntropy);
    let config = VerifierConfig { service_secrets: vec![secret.clone()], ..VerifierConfig::default() };
    let verifier = TokenVerifier::new(config, Arc::new(SystemClock)).unwrap();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = format!("http://{}", incoming.local_addr().unwrap()).parse().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(AuthLayer::new(Arc::new(verifier), table()))
        .add_service(Echo(0))
        .serve_with_incoming(incoming);
    let lifecycle = Lifecycle::new();
    let soft = lifecycle.handle().soft();
    lifecycle.handle().spawn("listener", async move {
        tokio::select! {
            result = server => result.expect("the listener serves"),
            () = soft.cancelled() => {}
        }
    });
    Listener { target, secret, lifecycle }
}

fn service_token(secret: &Secret, scopes: &[Scope]) -> TokenSource {
    let signer = TokenSigner::new(secret, Arc::new(SystemClock));
    ServiceToken::new(signer, "gateway", scopes, Duration::from_secs(60), Arc::new(SystemClock)).into_source()
}

#[tokio::test]
async fn a_server_elsewhere_is_called_as_one_of_this_process() {
    let listener = listen();
    let channel = listener.channel(service_token(&listener.secret, &[Scope::ActForUsers]));
    assert_calls_work(&channel).await;
    drop(channel);
    assert!(listener.lifecycle.shutdown(Duration::from_secs(5)).await.is_clean());
}

#[tokio::test]
async fn a_server_elsewhere_refuses_other_tokens_and_ends_late_calls() {
    let listener = listen();
    let stranger = Secret::generate(&SystemEntropy);
    let channel = listener.channel(service_token(&stranger, Scope::ALL));
    let error = unary(&channel, UNARY, on_behalf_of(Request::new(asked("", 0)), &user())).await.unwrap_err();
    assert_eq!(error.reason, Reason::Unauthenticated);

    let channel = listener.channel(service_token(&listener.secret, &[Scope::Relay]));
    let request = with_deadline(Request::new(asked("", 0)), Duration::from_millis(50));
    let error = unary(&channel, HANG, request).await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::DeadlineExceeded, Outcome::Unknown));
}

#[tokio::test]
async fn a_caller_cannot_come_over_a_network() {
    let listener = listen();
    let channel = listener.channel(service_token(&listener.secret, &[]));
    let mut request = Request::new(asked("", 0));
    request.extensions_mut().insert(crate::auth::Caller::User(user()));
    assert_eq!(unary(&channel, UNARY, request).await.unwrap_err().reason, Reason::PermissionDenied);
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let listener = listen();
    let signer = TokenSigner::new(&listener.secret, Arc::new(SystemClock));
    // Expired by now, and good for the rest of the tolerated skew of 5 s.
    let token = signer.sign_service("gateway", &[Scope::ActForUsers], Duration::ZERO).unwrap();
    let channel = listener.channel(Arc::new(move || Ok(token.clone())));
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(STREAM);
    let requests = stream::iter([asked("u1", 1)]).chain(stream::pending());
    let mut answers = grpc.streaming(Request::new(requests), path, Codec::default()).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().correlation_id, 1);
    let end = tokio::time::timeout(Duration::from_secs(10), answers.message()).await.expect("the stream ends");
    assert_eq!(Error::from_status(&end.unwrap_err()).reason, Reason::TokenExpired);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let (target, tasks) = ("http://127.0.0.1:1".parse().unwrap(), Lifecycle::new());
    let channel = Channel::connect(&target, Instances::Any, Arc::new(|| Ok("token".to_owned())), &tasks.handle());
    let request = with_deadline(Request::new(asked("", 0)), Duration::from_secs(10));
    let error = unary(&channel, UNARY, request).await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::StoreUnavailable, Outcome::NotAttempted));
}
