use std::convert::Infallible;

use http::Request;
use tower::ServiceExt as _;

use super::*;
use crate::auth::{Access, MethodRule, Scope, ServiceIdentity, TokenSigner, VerifierConfig};
use crate::clock::{ManualClock, Timestamp};
use crate::keys::Secret;

const USERS: &str = "/t.T/Users";
const RELAY: &str = "/t.T/Relay";
const STREAM: &str = "/t.T/Stream";
const OPEN: &str = "/t.T/Open";

const RULES: &[MethodRule] = &[
    MethodRule::unary(USERS, Access::USERS),
    MethodRule::unary(RELAY, Access::service(Scope::Relay)),
    MethodRule::streaming(STREAM, Access::USERS),
    MethodRule::unary(OPEN, Access::ANONYMOUS),
];

const SECRET: &[u8] = b"the secret in keys.tokens of ours!";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

fn signer() -> TokenSigner {
    TokenSigner::new(&Secret::new(SECRET).unwrap(), clock())
}

fn layer() -> AuthLayer {
    let secrets = vec![Secret::new(SECRET).unwrap()];
    let config = VerifierConfig { service_secrets: secrets, ..VerifierConfig::default() };
    let verifier = TokenVerifier::new(config, clock()).unwrap();
    AuthLayer::new(Arc::new(verifier), Arc::new(MethodTable::new(&[RULES])))
}

fn user_token(user: &str) -> String {
    format!("Bearer {}", signer().sign_user(&UserId::parse(user).unwrap(), Duration::from_secs(60)).unwrap())
}

fn service_token(scopes: &[Scope]) -> String {
    format!("Bearer {}", signer().sign_service("gateway", scopes, Duration::from_secs(60)).unwrap())
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// What the server behind the layer sees, or how the layer refused.
async fn through(layer: AuthLayer, request: Request<()>) -> Result<CallContext> {
    let seen = Arc::new(parking_lot::Mutex::new(None));
    let server = tower::service_fn({
        let seen = seen.clone();
        move |request: Request<()>| {
            *seen.lock() = Some(CallContext::of(&tonic::Request::from_http(request)));
            async { Ok::<_, Infallible>(http::Response::new(())) }
        }
    });
    let response = layer.layer(server).oneshot(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) => {
            assert!(seen.lock().is_none(), "the server is not called after a refusal");
            Err(Error::from_status(&status))
        }
        None => seen.lock().take().expect("what is not refused reaches the server"),
    }
}

async fn call(path: &str, headers: &[(&str, &str)]) -> Result<CallContext> {
    through(layer(), request(path, headers)).await
}

async fn reason(path: &str, headers: &[(&str, &str)]) -> Reason {
    call(path, headers).await.expect_err("is refused").reason
}

#[tokio::test]
async fn a_path_without_a_rule_is_refused_whoever_calls() {
    for headers in
        [&[][..], &[("authorization", &*user_token("u1"))], &[("authorization", &*service_token(Scope::ALL))]]
    {
        for path in ["/t.T/Other", "/", "/t.T/users", "/t.T/Users/"] {
            let error = call(path, headers).await.unwrap_err();
            assert_eq!(error.reason, Reason::MethodNotFound, "{path}");
        }
    }
}

#[tokio::test]
async fn the_anonymous_reach_open_methods_only() {
    assert!(call(OPEN, &[]).await.is_ok());
    for path in [USERS, RELAY, STREAM] {
        assert_eq!(reason(path, &[]).await, Reason::Unauthenticated, "{path}");
    }
}

#[tokio::test]
async fn a_user_reaches_the_methods_for_users() {
    let token = user_token("u1");
    let context = call(USERS, &[("authorization", &token)]).await.unwrap();
    assert_eq!(context.user().unwrap().as_str(), "u1");
    assert_eq!(context.caller.service_name(), None);
    assert!(call(STREAM, &[("authorization", &token)]).await.is_ok());
    assert_eq!(reason(RELAY, &[("authorization", &token)]).await, Reason::PermissionDenied);
}

#[tokio::test]
async fn the_scheme_is_compared_without_case_and_others_are_refused() {
    let token = user_token("u1");
    let bare = token.strip_prefix("Bearer ").unwrap();
    assert!(call(USERS, &[("authorization", &format!("bearer {bare}"))]).await.is_ok());
    for value in [bare, "Bearer", "Bearer ", "Basic dTpw", &format!("Basic {bare}"), ""] {
        assert_eq!(reason(USERS, &[("authorization", value)]).await, Reason::Unauthenticated, "{value}");
        assert_eq!(reason(OPEN, &[("authorization", value)]).await, Reason::Unauthenticated, "{value}");
    }
}

#[tokio::test]
async fn two_tokens_or_two_users_are_refused() {
    let (first, second) = (user_token("u1"), user_token("u2"));
    let headers = [("authorization", &*first), ("authorization", &*second)];
    assert_eq!(reason(USERS, &headers).await, Reason::InvalidArgument);
    let token = service_token(&[Scope::ActForUsers]);
    let headers = [("authorization", &*token), (ON_BEHALF_OF, "u1"), (ON_BEHALF_OF, "u2")];
    assert_eq!(reason(USERS, &headers).await, Reason::InvalidArgument);
    let headers = [("authorization", &*token), (ON_BEHALF_OF, "u1"), (ON_BEHALF_OF_BIN, "dTI")];
    assert_eq!(reason(USERS, &headers).await, Reason::InvalidArgument);
}

#[tokio::test]
async fn a_service_acts_for_a_user_with_the_scope_only() {
    let acting = service_token(&[Scope::ActForUsers]);
    let context = call(USERS, &[("authorization", &acting), (ON_BEHALF_OF, "u1")]).await.unwrap();
    assert_eq!(context.user().unwrap().as_str(), "u1");
    assert_eq!(context.caller.service_name(), Some("gateway"));
    let relay = service_token(&[Scope::Relay]);
    for path in [USERS, RELAY, STREAM, OPEN] {
        let headers = [("authorization", &*relay), (ON_BEHALF_OF, "u1")];
        assert_eq!(reason(path, &headers).await, Reason::PermissionDenied, "{path}");
    }
    assert_eq!(reason(USERS, &[("authorization", &acting)]).await, Reason::PermissionDenied, "for nobody");
    assert!(call(STREAM, &[("authorization", &acting)]).await.is_ok(), "names users in its requests");
    assert!(call(RELAY, &[("authorization", &relay)]).await.is_ok());
}

#[tokio::test]
async fn users_and_the_anonymous_act_for_nobody() {
    let token = user_token("u1");
    for path in [USERS, STREAM, OPEN] {
        let headers = [("authorization", &*token), (ON_BEHALF_OF, "u2")];
        assert_eq!(reason(path, &headers).await, Reason::PermissionDenied, "{path}");
        assert_eq!(reason(path, &[(ON_BEHALF_OF, "u2")]).await, Reason::Unauthenticated, "{path}");
    }
}

#[tokio::test]
async fn every_user_id_can_be_acted_for() {
    let token = service_token(&[Scope::ActForUsers]);
    for id in ["u1", "a%20b", "ü 1", " leading", "日本", "x y"] {
        let user = UserId::parse(id).unwrap();
        let mut sent = crate::rpc::on_behalf_of(tonic::Request::new(()), &user);
        sent.metadata_mut().insert("authorization", token.parse().unwrap());
        let mut request = request(USERS, &[]);
        *request.headers_mut() = sent.into_parts().0.into_headers();
        let context = through(layer(), request).await.unwrap();
        assert_eq!(context.user().unwrap(), &user);
    }
}

#[tokio::test]
async fn what_is_no_user_id_cannot_be_acted_for() {
    let token = service_token(&[Scope::ActForUsers]);
    let long = "x".repeat(129);
    for (name, value) in [
        (ON_BEHALF_OF, ""),
        (ON_BEHALF_OF, &*long),
        (ON_BEHALF_OF_BIN, ""),
        (ON_BEHALF_OF_BIN, "!!"),
        (ON_BEHALF_OF_BIN, "/w"),
        (ON_BEHALF_OF_BIN, "AA"),
    ] {
        let headers = [("authorization", &*token), (name, value)];
        assert_eq!(reason(USERS, &headers).await, Reason::InvalidArgument, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_caller_in_the_extensions_is_believed_and_still_checked() {
    let identity = ServiceIdentity::new("gateway", &[Scope::Relay]);
    let caller = Caller::Service { identity, on_behalf_of: None };
    let with = |path: &str| {
        let mut request = request(path, &[]);
        request.extensions_mut().insert(caller.clone());
        request
    };
    let inside = AuthLayer::without_tokens(Arc::new(MethodTable::new(&[RULES])));
    assert_eq!(through(inside.clone(), with(RELAY)).await.unwrap().caller, caller);
    assert_eq!(through(inside.clone(), with(USERS)).await.unwrap_err().reason, Reason::PermissionDenied);
    let token = user_token("u1");
    let networked = through(inside, request(USERS, &[("authorization", &token)])).await;
    assert_eq!(networked.unwrap_err().reason, Reason::Unauthenticated, "no tokens are taken there");
}

#[tokio::test]
async fn the_deadline_and_the_trace_come_along() {
    let token = user_token("u1");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("authorization", &*token), ("grpc-timeout", "15S"), ("traceparent", trace)];
    let context = call(USERS, &headers).await.unwrap();
    assert!(context.remaining().is_some_and(|left| (1..=15_000).contains(&left.as_millis())), "{context:?}");
    assert_eq!(context.traceparent.as_deref(), Some(trace));
    let long = "x".repeat(TRACEPARENT_BYTES_MAX + 1);
    let context = call(USERS, &[("authorization", &token), ("traceparent", &long)]).await.unwrap();
    assert_eq!((context.remaining(), context.traceparent), (None, None));
}

#[tokio::test]
async fn a_handler_behind_no_layer_refuses() {
    let error = CallContext::of(&tonic::Request::new(())).unwrap_err();
    assert_eq!(error.reason, Reason::Unauthenticated);
}

#[test]
fn timeouts_are_read_in_all_units() {
    let read = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, text.parse().unwrap());
        grpc_timeout(&headers)
    };
    let expected = [
        ("2H", Duration::from_secs(7_200)),
        ("2M", Duration::from_secs(120)),
        ("2S", Duration::from_secs(2)),
        ("2m", Duration::from_millis(2)),
        ("2u", Duration::from_micros(2)),
        ("2n", Duration::from_nanos(2)),
        ("0m", Duration::ZERO),
        ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
    ];
    for (text, duration) in expected {
        assert_eq!(read(text), Ok(Some(duration)), "{text}");
    }
    for text in ["", "S", "2", "2s", "-2S", "+2S", "2.5S", " 2S", "123456789S", "2 S", "xS"] {
        assert_eq!(read(text).unwrap_err().reason, Reason::InvalidArgument, "{text:?}");
    }
    assert_eq!(grpc_timeout(&HeaderMap::new()), Ok(None));
}
