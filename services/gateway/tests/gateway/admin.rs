//! GatewayAdminService behind its access table, over sessions with real sockets.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message as _;
use tower::Layer as _;
use viberchat_gateway::{METHODS, admin_routes};
use viberchat_kit::auth::{AuthLayer, Caller, MethodTable, Scope, ServiceIdentity};
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::SystemEntropy;
use viberchat_kit::keys::Keys;
use viberchat_kit::rpc::Channel;
use viberchat_proto::gateway::v1::gateway_admin_service_client::GatewayAdminServiceClient;
use viberchat_proto::gateway::v1::*;

use crate::support::{Gateway, eventually};

type Admin = GatewayAdminServiceClient<Channel>;

/// The service of this gateway, as different services call it.
struct Door {
    gateway: Gateway,
    keys: Keys,
}

impl Door {
    fn of(gateway: Gateway) -> Self {
        Self { gateway, keys: Keys::generate(&SystemEntropy) }
    }

    fn called_by(&self, name: &str, scopes: &[Scope]) -> Admin {
        let routes = admin_routes(self.gateway.operations.clone(), &self.keys, Arc::new(SystemEntropy));
        let auth = AuthLayer::without_tokens(Arc::new(MethodTable::new(&[METHODS])));
        GatewayAdminServiceClient::new(Channel::in_process(auth.layer(routes), ServiceIdentity::new(name, scopes)))
    }

    fn operator(&self) -> Admin {
        self.called_by("operator", &[Scope::Admin])
    }
}

fn reason<T: std::fmt::Debug>(result: Result<tonic::Response<T>, tonic::Status>) -> Reason {
    Error::from_status(&result.expect_err("it is refused")).reason
}

async fn list(admin: &mut Admin, user: &str, size: u32, token: &str) -> ListSessionsResponse {
    let request = ListSessionsRequest { user_id: user.into(), page_size: size, page_token: token.into() };
    admin.list_sessions(request).await.expect("an operator may").into_inner()
}

#[tokio::test]
async fn sessions_are_listed_page_by_page() {
    let door = Door::of(Gateway::start().await);
    let group = door.gateway.world.group(&["alice", "bob"], 0);
    let mut clients = Vec::new();
    for user in ["alice", "alice", "bob", "alice", "carol"] {
        clients.push(door.gateway.ready(user).await);
    }
    let mut admin = door.operator();
    let all = list(&mut admin, "", 0, "").await;
    assert_eq!((all.sessions.len(), all.next_page_token.as_str()), (5, ""));
    let bob = all.sessions.iter().find(|session| session.user_id == "bob").unwrap();
    assert_eq!((bob.subprotocol.as_str(), bob.conversation_count), ("viberchat.v1.json", 1), "{group}: {bob:?}");
    assert!(bob.connect_time.is_some() && bob.token_expire_time.is_some(), "{bob:?}");

    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&mut admin, "alice", 2, &token).await;
        assert!(page.sessions.iter().all(|session| session.user_id == "alice"));
        seen.extend(page.sessions.into_iter().map(|session| session.session_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn a_page_token_is_for_its_caller_and_filter() {
    let door = Door::of(Gateway::start().await);
    let _clients = [door.gateway.ready("alice").await, door.gateway.ready("alice").await];
    let token = list(&mut door.operator(), "alice", 1, "").await.next_page_token;
    assert!(!token.is_empty());
    let ask =
        |user: &str, token: &str| ListSessionsRequest { user_id: user.into(), page_size: 1, page_token: token.into() };
    assert_eq!(reason(door.operator().list_sessions(ask("", &token)).await), Reason::PageTokenInvalid);
    assert_eq!(reason(door.operator().list_sessions(ask("alice", "junk")).await), Reason::PageTokenInvalid);
    let mut other = door.called_by("other", &[Scope::Admin]);
    assert_eq!(reason(other.list_sessions(ask("alice", &token)).await), Reason::PageTokenInvalid);
    assert_eq!(reason(other.list_sessions(ask("a\nb", "")).await), Reason::InvalidArgument);
}

#[tokio::test]
async fn a_session_is_found_by_its_id_while_it_lasts() {
    let door = Door::of(Gateway::start().await);
    let alice = door.gateway.ready("alice").await;
    let mut admin = door.operator();
    let session = list(&mut admin, "", 0, "").await.sessions.remove(0);
    let ask = |id: &str| GetSessionRequest { session_id: id.to_owned() };
    let found = admin.get_session(ask(&session.session_id)).await.unwrap().into_inner().session.unwrap();
    assert_eq!((found.session_id.as_str(), found.user_id.as_str()), (session.session_id.as_str(), "alice"));
    assert_eq!(reason(admin.get_session(ask("no such session")).await), Reason::SessionNotFound);
    assert_eq!(reason(admin.get_session(ask("")).await), Reason::SessionNotFound);
    drop(alice);
    eventually("the session is gone", || door.gateway.operations.sessions(None).is_empty()).await;
    assert_eq!(reason(admin.get_session(ask(&session.session_id)).await), Reason::SessionNotFound);
}

#[tokio::test]
async fn a_disconnected_user_is_told_not_to_come_back_and_others_stay() {
    let door = Door::of(Gateway::start().await);
    let mut alices = [door.gateway.ready("alice").await, door.gateway.ready("alice").await];
    let mut bob = door.gateway.ready("bob").await;
    let mut admin = door.operator();
    let ask = |user: &str| DisconnectUserRequest { user_id: user.to_owned() };
    assert_eq!(admin.disconnect_user(ask("alice")).await.unwrap().into_inner().session_count, 2);
    for alice in &mut alices {
        assert_eq!(alice.closed().await, 4503);
    }
    eventually("they are gone", || door.gateway.operations.sessions(None).len() == 1).await;
    assert_eq!(admin.disconnect_user(ask("alice")).await.unwrap().into_inner().session_count, 0, "again");
    assert_eq!(admin.disconnect_user(ask("nobody")).await.unwrap().into_inner().session_count, 0);
    assert_eq!(reason(admin.disconnect_user(ask("")).await), Reason::InvalidArgument);
    let answer = bob.call("heartbeat", serde_json::json!({})).await;
    assert!(answer.get("reply").is_some(), "{answer}");
}

#[tokio::test]
async fn a_drained_gateway_sends_everybody_away_and_takes_nobody() {
    let door = Door::of(Gateway::start().await);
    let mut clients = [door.gateway.ready("alice").await, door.gateway.ready("bob").await];
    let mut admin = door.operator();
    assert_eq!(admin.drain(DrainRequest {}).await.unwrap().into_inner().session_count, 2);
    for client in &mut clients {
        assert_eq!(client.closed().await, 4001);
    }
    eventually("they are gone", || door.gateway.operations.sessions(None).is_empty()).await;
    assert!(door.gateway.try_connect().await.is_none());
    assert_eq!(admin.drain(DrainRequest {}).await.unwrap().into_inner().session_count, 0, "again");
    assert!(door.gateway.stop().await.is_clean());
}

#[tokio::test]
async fn only_operators_may() {
    let door = Door::of(Gateway::start().await);
    let alice = door.gateway.ready("alice").await;
    let others: Vec<_> = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect();
    let mut service = door.called_by("service", &others);
    assert_eq!(reason(service.list_sessions(ListSessionsRequest::default()).await), Reason::PermissionDenied);
    assert_eq!(reason(service.get_session(GetSessionRequest::default()).await), Reason::PermissionDenied);
    let user = DisconnectUserRequest { user_id: "alice".into() };
    assert_eq!(reason(service.disconnect_user(user).await), Reason::PermissionDenied);
    assert_eq!(reason(service.drain(DrainRequest {}).await), Reason::PermissionDenied);
    assert_eq!(door.gateway.operations.sessions(None).len(), 1, "nothing was done");
    drop(alice);
}

#[test]
fn every_method_of_the_service_is_in_the_table_and_refuses_users() {
    let set = prost_types::FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).unwrap();
    let services =
        set.file.iter().filter(|file| file.package() == "viberchat.gateway.v1").flat_map(|file| &file.service);
    let described: BTreeSet<_> = services
        .flat_map(|service| {
            service.method.iter().map(|method| format!("/viberchat.gateway.v1.{}/{}", service.name(), method.name()))
        })
        .collect();
    assert_eq!(METHODS.iter().map(|rule| rule.path.to_owned()).collect::<BTreeSet<_>>(), described);
    for rule in METHODS {
        assert!(rule.access.check(&Caller::Anonymous).is_err() && !rule.access.users, "{}", rule.path);
    }
}
