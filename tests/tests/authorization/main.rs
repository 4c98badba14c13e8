//! Every method and each request on a stream, against everybody who must not call it.
//!
//! The walk goes over the descriptor set, so that a new method without a rule, or with one that lets too many in, fails here.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod presence;
mod raw;
mod streams;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use tonic::{Code, transport::Channel};
use viberchat_kit::{
    auth::{Access, MethodRule, Scope},
    error::{Error, Reason},
};
use viberchat_tests::{
    client::{Client, channel, http as door},
    cluster::{Server, Settings, UserClaims},
    history::{Door, Recorder},
};

use self::raw::{Identity, Walked, call, methods, plausible};

const SCOPES: [Scope; 5] = [Scope::ActForUsers, Scope::Authorize, Scope::Relay, Scope::Directory, Scope::Admin];

static GROUPS: AtomicU64 = AtomicU64::new(0);

async fn start() -> Result<(Server, Channel)> {
    let server = Server::start(&Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?).await?;
    let channel = channel(&server.addresses().grpc)?;
    Ok((server, channel))
}

/// A group that `owner` made, without anybody else.
async fn lonely_group(server: &Server) -> Result<String> {
    let owner = Client::new(server, "owner", &Recorder::default())?;
    let request_id = format!("group-{}", GROUPS.fetch_add(1, Ordering::Relaxed));
    Ok(owner.create_group(Door::Http, &[], &request_id).await?)
}

fn rules() -> BTreeMap<&'static str, &'static MethodRule> {
    let services = [
        viberchat_conversation::METHODS,
        viberchat_message::METHODS,
        viberchat_presence::METHODS,
        viberchat_gateway::METHODS,
    ];
    services.into_iter().flatten().map(|rule| (rule.path, rule)).collect()
}

fn identity(token: String) -> Identity {
    Identity { token: Some(token), on_behalf_of: None }
}

#[track_caller]
fn is_refused(method: &Walked, who: &str, answer: Result<bytes::Bytes, tonic::Status>, reason: &[Reason]) {
    let status = answer.err().unwrap_or_else(|| panic!("{} took {who}", method.path));
    let said = Error::from_status(&status).reason;
    assert!(reason.contains(&said), "{} answered {who} with {status:?}, not {reason:?}", method.path);
}

#[test]
fn the_tables_have_every_method_and_no_other() {
    let walked = methods();
    assert!(walked.len() >= 50, "the services are found");
    let rules = rules();
    for method in &walked {
        let rule = rules.get(method.path.as_str()).unwrap_or_else(|| panic!("{} has no rule", method.path));
        assert_eq!(rule.streaming, method.streaming, "{}", method.path);
        assert!(!rule.access.anonymous, "{} is open to everybody", method.path);
    }
    assert_eq!(rules.len(), walked.len(), "a rule without a method");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_good_token() -> Result<()> {
    let (server, channel) = start().await?;
    let tokens = server.tokens();
    let user = |ttl_seconds, token_type| tokens.user_with(&UserClaims { user: "ann".into(), ttl_seconds, token_type });
    let mut tampered = tokens.user("ann");
    tampered.replace_range(tampered.len() - 4.., "AAAA");
    let bad = [
        ("the anonymous", None),
        ("nonsense", Some("nonsense".to_owned())),
        ("an expired token", Some(user(-3_600, Some("access")))),
        ("a refresh token", Some(user(3_600, Some("refresh")))),
        ("a token of another kind", Some(user(3_600, Some("ACCESS")))),
        ("a token without a signature", Some(tokens.unsigned("ann"))),
        ("a token with another signature", Some(tampered)),
        ("a service by the host's secret", Some(tokens.forged_service("gateway"))),
        ("an expired service token", Some(tokens.expired_service("gateway"))),
        ("a token of 10 KiB", Some("a".repeat(10 * 1024))),
        (
            "a user who is not a string",
            Some(tokens.user_with(&UserClaims { user: 1.5.into(), ttl_seconds: 60, token_type: None })),
        ),
    ];
    let paths: BTreeMap<_, _> = rules();
    for method in methods() {
        for (who, token) in &bad {
            let identity = Identity { token: token.clone(), on_behalf_of: None };
            let answer = call(&channel, &method, &identity, Vec::new()).await;
            let code = answer.as_ref().err().map(tonic::Status::code);
            // A service that the host's secret made might be read as an odd user: then it must not pass as a service.
            let is_service_method = paths[method.path.as_str()].access.service.is_some();
            if *who == "a service by the host's secret" && !is_service_method {
                assert_ne!(code, None, "{} took {who}", method.path);
                continue;
            }
            let reasons = [Reason::Unauthenticated, Reason::TokenExpired, Reason::PermissionDenied];
            is_refused(&method, who, answer, &reasons);
            if *who != "a service by the host's secret" {
                assert_eq!(code, Some(Code::Unauthenticated), "{} to {who}", method.path);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_needs_the_scope_and_users_get_no_service_methods() -> Result<()> {
    let (server, channel) = start().await?;
    let tokens = server.tokens();
    let rules = rules();
    for method in methods() {
        let access: Access = rules[method.path.as_str()].access;
        if !access.users {
            let answer = call(&channel, &method, &identity(tokens.user("ann")), Vec::new()).await;
            is_refused(&method, "a user", answer, &[Reason::PermissionDenied]);
            let service = tokens.service("tests", &SCOPES);
            let for_user = Identity { token: Some(service), on_behalf_of: Some("ann") };
            let answer = call(&channel, &method, &for_user, Vec::new()).await;
            is_refused(&method, "a service that acts for a user", answer, &[Reason::PermissionDenied]);
        }
        // Every scope but the one that it takes. On a stream `act_for_users` opens, and each request says for whom.
        let wrong: Vec<Scope> = SCOPES
            .into_iter()
            .filter(|scope| {
                Some(*scope) != access.service && !(method.streaming && access.users && *scope == Scope::ActForUsers)
            })
            .collect();
        let answer = call(&channel, &method, &identity(tokens.service("tests", &wrong)), Vec::new()).await;
        is_refused(&method, "a service with all other scopes", answer, &[Reason::PermissionDenied]);
        let others: Vec<Scope> = SCOPES.into_iter().filter(|scope| *scope != Scope::ActForUsers).collect();
        let acting = Identity { token: Some(tokens.service("tests", &others)), on_behalf_of: Some("ann") };
        let answer = call(&channel, &method, &acting, Vec::new()).await;
        is_refused(&method, "a service that may not act for users", answer, &[Reason::PermissionDenied]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_hint_that_a_conversation_exists() -> Result<()> {
    let (server, channel) = start().await?;
    let group = lonely_group(&server).await?;
    let stranger = identity(server.tokens().user("stranger"));
    let nowhere = "01890000-0000-7000-8000-000000000000";
    let rules = rules();
    let mut walked = 0;
    for method in methods() {
        let about = |field: &&prost_types::FieldDescriptorProto| field.name() == "conversation_id";
        if method.streaming
            || !rules[method.path.as_str()].access.users
            || !method.input.field.iter().any(|field| about(&field))
        {
            continue;
        }
        walked += 1;
        let mut answers = Vec::new();
        for conversation in [group.as_str(), nowhere] {
            let answer = call(&channel, &method, &stranger, plausible(&method.input, conversation)).await;
            answers.push(answer.as_ref().err().map(|status| (status.code(), status.message().to_owned())));
            is_refused(&method, "a stranger", answer, &[Reason::ConversationNotFound]);
        }
        assert_eq!(answers[0], answers[1], "{} tells what exists", method.path);
    }
    assert!(walked >= 24, "the methods about a conversation are found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_door_carries_only_what_users_may_call() -> Result<()> {
    let (server, _) = start().await?;
    let address = &server.addresses().http;
    let post = |path: &str, token: Option<&str>| {
        let mut request =
            Request::post(path).header(header::HOST, address).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        door::send(address, request.body(Full::from("{}")).unwrap())
    };
    let user = server.tokens().user("ann");
    let expired =
        server.tokens().user_with(&UserClaims { user: "ann".into(), ttl_seconds: -600, token_type: Some("access") });
    let refresh =
        server.tokens().user_with(&UserClaims { user: "ann".into(), ttl_seconds: 600, token_type: Some("refresh") });
    for (path, rule) in rules() {
        let public = rule.access.users && !rule.streaming;
        if !public {
            assert_eq!(post(path, Some(&user)).await?.0, StatusCode::NOT_FOUND, "{path} at the public door");
            continue;
        }
        for token in [None, Some("nonsense"), Some(expired.as_str()), Some(refresh.as_str())] {
            assert_eq!(post(path, token).await?.0, StatusCode::UNAUTHORIZED, "{path} with {token:?}");
        }
        assert_ne!(post(path, Some(&user)).await?.0, StatusCode::NOT_IMPLEMENTED, "{path} with a good token");
    }
    for path in
        ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/metrics"]
    {
        assert_eq!(post(path, Some(&user)).await?.0, StatusCode::NOT_FOUND, "{path} at the public door");
    }
    Ok(())
}
