use futures::StreamExt as _;
use futures::stream;

use super::*;
use crate::auth::{Access, Caller, Scope, ServiceIdentity};

static USERS: MethodRule = MethodRule::streaming("/t.T/Stream", Access::USERS);
static RELAY: MethodRule = MethodRule::streaming("/t.T/Relay", Access::users_or_service(Scope::Relay));

#[derive(Clone, Debug, Default)]
struct Asked(Option<RequestContext>);

impl StreamedRequest for Asked {
    fn context(&self) -> Option<&RequestContext> {
        self.0.as_ref()
    }
}

fn asked(user: &str, correlation_id: u64) -> Asked {
    Asked(Some(RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..RequestContext::default() }))
}

fn user(id: &str) -> Caller {
    Caller::User(UserId::parse(id).unwrap())
}

fn service(scopes: &[Scope]) -> Caller {
    Caller::Service { identity: ServiceIdentity::new("gateway", scopes), on_behalf_of: None }
}

async fn answers(opener: Caller, rule: &'static MethodRule, requests: Vec<Asked>) -> Vec<(u64, Result<Caller>)> {
    let requests = stream::iter(requests.into_iter().map(Ok));
    AuthorizedStream::from_stream(requests, CallContext::new(opener), rule)
        .map(|item| item.expect("the stream goes on"))
        .map(|streamed| (streamed.correlation_id, streamed.context.map(|context| context.caller)))
        .collect()
        .await
}

async fn reason(opener: Caller, rule: &'static MethodRule, request: Asked) -> Option<Reason> {
    let [(_, result)] = &answers(opener, rule, vec![request]).await[..] else { panic!("one answer") };
    result.as_ref().err().map(|error| error.reason)
}

#[tokio::test]
async fn each_request_is_authorized_for_its_own_user() {
    let opener = service(&[Scope::ActForUsers]);
    let requests = vec![asked("u1", 1), asked("", 2), asked("a\nb", 3), asked("u2", 4), Asked(None)];
    let answers = answers(opener, &USERS, requests).await;
    let users: Vec<_> = answers
        .iter()
        .map(|(id, caller)| (*id, caller.as_ref().map(|c| c.user().unwrap().as_str()).map_err(|e| e.reason)))
        .collect();
    assert_eq!(
        users,
        [
            (1, Ok("u1")),
            (2, Err(Reason::PermissionDenied)),
            (3, Err(Reason::InvalidArgument)),
            (4, Ok("u2")),
            (0, Err(Reason::PermissionDenied)),
        ]
    );
}

#[tokio::test]
async fn without_the_scope_no_request_acts_for_a_user() {
    assert_eq!(reason(service(&[Scope::Relay]), &RELAY, asked("u1", 1)).await, Some(Reason::PermissionDenied));
    assert_eq!(reason(service(&[Scope::Relay]), &RELAY, asked("", 1)).await, None);
    assert_eq!(reason(service(&[]), &RELAY, asked("", 1)).await, Some(Reason::PermissionDenied));
}

#[tokio::test]
async fn a_user_asks_for_nobody_else() {
    assert_eq!(reason(user("u1"), &USERS, asked("", 1)).await, None);
    for other in ["u2", "u1"] {
        assert_eq!(reason(user("u1"), &USERS, asked(other, 1)).await, Some(Reason::PermissionDenied));
    }
    assert_eq!(reason(Caller::Anonymous, &USERS, asked("", 1)).await, Some(Reason::Unauthenticated));
    assert_eq!(reason(Caller::Anonymous, &USERS, asked("u1", 1)).await, Some(Reason::Unauthenticated));
}

#[tokio::test]
async fn deadline_and_trace_are_those_of_the_request() {
    let context = RequestContext { timeout_ms: 700, traceparent: "00-ab".to_owned(), ..RequestContext::default() };
    let long = RequestContext { traceparent: "x".repeat(TRACEPARENT_BYTES_MAX + 1), ..RequestContext::default() };
    let requests = stream::iter([Ok(Asked(Some(context))), Ok(Asked(Some(long)))]);
    let mut stream = AuthorizedStream::from_stream(requests, CallContext::new(user("u1")), &USERS);
    let first = stream.next().await.unwrap().unwrap().context.unwrap();
    assert!(first.remaining().is_some_and(|left| (1..=700).contains(&left.as_millis())), "{first:?}");
    assert_eq!(first.traceparent.as_deref(), Some("00-ab"));
    let second = stream.next().await.unwrap().unwrap().context.unwrap();
    assert_eq!((second.remaining(), second.traceparent), (None, None));
}

#[tokio::test]
async fn a_broken_stream_says_so_once_and_ends() {
    let requests = stream::iter([Ok(asked("", 1)), Err(Status::cancelled("gone")), Ok(asked("", 2))]);
    let mut stream = AuthorizedStream::from_stream(requests, CallContext::new(user("u1")), &USERS);
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_closed_stream_just_ends() {
    let requests = stream::iter([Ok(asked("", 1))]);
    let mut stream = AuthorizedStream::from_stream(requests, CallContext::new(user("u1")), &USERS);
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let requests = stream::iter([Ok(asked("", 1))]).chain(stream::pending());
    let mut stream = AuthorizedStream::from_stream(requests, CallContext::new(user("u1")), &USERS);
    let end_at = Instant::now() + Duration::from_millis(20);
    stream.token_end = Some(Box::pin(tokio::time::sleep_until(end_at)));
    assert!(stream.next().await.unwrap().is_ok());
    let end = stream.next().await.unwrap().unwrap_err();
    assert_eq!(end.0.reason, Reason::TokenExpired);
    assert!(Instant::now() >= end_at);
    assert!(stream.next().await.is_none());
}
