//! The service as a process puts it together: behind authorization, called through a channel, its log not there yet.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tempfile::TempDir;
use tonic::{Request, Status};
use tower::Layer as _;
use viberchat_conversation::{Config, Deps, METHODS, Service, build};
use viberchat_kit::auth::{AuthLayer, MethodTable, Scope, ServiceIdentity};
use viberchat_kit::clock::SystemClock;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::{SystemEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::user_directory_service_client::UserDirectoryServiceClient;
use viberchat_proto::conversation::v1::watch_memberships_request::Request as Asked;
use viberchat_proto::conversation::v1::watch_memberships_response::Push;
use viberchat_proto::conversation::v1::*;
use viberchat_proto::types::v1::Role;

type Client = ConversationServiceClient<Channel>;

struct Process {
    service: Service,
    auth: AuthLayer,
    metrics: Metrics,
    lifecycle: Lifecycle,
    _folder: TempDir,
}

impl Process {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config =
            Config { data_file: folder.path().join("conversation.sqlite"), entry_wait_ms: 10, ..Config::default() };
        let (lifecycle, metrics) = (Lifecycle::new(), Metrics::new());
        let deps = Deps {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            keys: Arc::new(Keys::generate(&SystemEntropy)),
            lifecycle: lifecycle.handle(),
            metrics: metrics.clone(),
            message: Channel::late().0,
            bus: None,
        };
        let service = build(config, deps).await.expect("the service starts");
        let auth = AuthLayer::without_tokens(Arc::new(MethodTable::new(&[METHODS])));
        Self { service, auth, metrics, lifecycle, _folder: folder }
    }

    fn client(&self, scopes: &[Scope]) -> Client {
        Client::new(self.channel(scopes))
    }

    fn directory(&self, scopes: &[Scope]) -> UserDirectoryServiceClient<Channel> {
        UserDirectoryServiceClient::new(self.channel(scopes))
    }

    fn channel(&self, scopes: &[Scope]) -> Channel {
        let server = self.auth.layer(self.service.routes());
        Channel::in_process(server, ServiceIdentity::new("gateway", scopes))
    }
}

fn for_user<T>(user: &str, message: T) -> Request<T> {
    on_behalf_of(Request::new(message), &UserId::parse(user).expect("a good id"))
}

fn reason(status: &Status) -> Reason {
    Error::from_status(status).reason
}

#[tokio::test]
async fn users_are_served_by_who_may_act_for_them() {
    let process = Process::start().await;
    assert!(process.service.is_ready().await);
    let mut gateway = process.client(&[Scope::ActForUsers]);
    let direct = GetOrCreateDirectConversationRequest { peer_user_id: "bob".into() };
    let answer = gateway.get_or_create_direct_conversation(for_user("alice", direct.clone())).await.unwrap();
    let conversation = answer.into_inner().conversation.unwrap();
    assert_eq!((conversation.peer_user_id.as_str(), conversation.role()), ("bob", Role::Member));

    let for_nobody = gateway.get_or_create_direct_conversation(direct.clone()).await.unwrap_err();
    assert_eq!(reason(&for_nobody), Reason::PermissionDenied);
    let mut without_scope = process.client(&[Scope::Authorize]);
    let denied = without_scope.get_or_create_direct_conversation(for_user("alice", direct)).await;
    assert_eq!(reason(&denied.unwrap_err()), Reason::PermissionDenied);
    let authorize = AuthorizeMemberRequest { conversation_id: conversation.conversation_id, user_id: "bob".into() };
    assert_eq!(reason(&gateway.authorize_member(authorize.clone()).await.unwrap_err()), Reason::PermissionDenied);
    let mut message = process.client(&[Scope::Authorize]);
    assert_eq!(message.authorize_member(authorize).await.unwrap().into_inner().role(), Role::Member);
}

#[tokio::test]
async fn what_services_ask_for_themselves_needs_its_scope() {
    let process = Process::start().await;
    let authorize = BatchAuthorizeMembersRequest::default;
    let shared = || BatchCheckSharedRequest { user_id: "alice".into(), other_user_ids: Vec::new() };
    let deactivate = || DeactivateUserRequest { user_id: "alice".into() };
    let mut scoped = process.client(&[Scope::Authorize]);
    scoped.batch_authorize_members(authorize()).await.unwrap();
    scoped.batch_check_shared(shared()).await.unwrap();
    process.directory(&[Scope::Directory]).deactivate_user(deactivate()).await.unwrap();
    let others = [Scope::ActForUsers, Scope::Relay, Scope::Admin];
    let mut denied = process.client(&[&others[..], &[Scope::Directory]].concat());
    assert_eq!(reason(&denied.batch_authorize_members(authorize()).await.unwrap_err()), Reason::PermissionDenied);
    assert_eq!(reason(&denied.batch_check_shared(shared()).await.unwrap_err()), Reason::PermissionDenied);
    // Acting for a user gives nothing that a user may not do.
    let for_alice = denied.batch_check_shared(for_user("alice", shared())).await;
    assert_eq!(reason(&for_alice.unwrap_err()), Reason::PermissionDenied);
    let mut denied = process.directory(&[&others[..], &[Scope::Authorize]].concat());
    assert_eq!(reason(&denied.deactivate_user(deactivate()).await.unwrap_err()), Reason::PermissionDenied);
    // A block is a user's own: no service has one.
    let block = BlockUserRequest { user_id: "bob".into() };
    assert_eq!(reason(&scoped.block_user(block).await.unwrap_err()), Reason::PermissionDenied);
}

#[tokio::test]
async fn memberships_are_watched_through_the_real_stack() {
    let process = Process::start().await;
    let mut gateway = process.client(&[Scope::ActForUsers, Scope::Authorize]);
    let follow = WatchMembershipsRequest { context: None, request: Some(Asked::AddUserId("alice".into())) };
    let requests = futures::stream::iter([follow]).chain(futures::stream::pending());
    let mut pushes = gateway.watch_memberships(requests).await.unwrap().into_inner();
    let snapshot = pushes.message().await.unwrap().unwrap().push;
    assert!(matches!(snapshot, Some(Push::Snapshot(MembershipSnapshot { last: true, .. }))), "{snapshot:?}");
    let direct = GetOrCreateDirectConversationRequest { peer_user_id: "bob".into() };
    gateway.get_or_create_direct_conversation(for_user("alice", direct)).await.unwrap();
    let change = match pushes.message().await.unwrap().unwrap().push {
        Some(Push::Change(change)) => change,
        other => panic!("{other:?}"),
    };
    assert_eq!((change.user_id.as_str(), change.kind()), ("alice", MembershipChangeKind::Added));

    let refused = process.client(&[Scope::Relay]).watch_memberships(futures::stream::pending()).await;
    assert_eq!(reason(&refused.unwrap_err()), Reason::PermissionDenied);

    let report = process.lifecycle.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(reason(&pushes.message().await.unwrap_err()), Reason::Draining);
}

#[tokio::test]
async fn without_the_log_a_group_is_pending_and_its_members_do_not_read() {
    let process = Process::start().await;
    let mut gateway = process.client(&[Scope::ActForUsers, Scope::Authorize]);
    let group = CreateGroupConversationRequest {
        name: "Plans".into(),
        request_id: "1".into(),
        ..CreateGroupConversationRequest::default()
    };
    let answer = gateway.create_group_conversation(for_user("alice", group)).await.unwrap().into_inner();
    assert!(answer.pending);
    let conversation_id = answer.conversation.unwrap().conversation_id;
    let authorize = AuthorizeMemberRequest { conversation_id, user_id: "alice".into() };
    let authorization = gateway.authorize_member(authorize).await.unwrap().into_inner();
    assert_eq!((authorization.role(), authorization.spans.len()), (Role::Owner, 0));
    assert!(process.metrics.encode().contains("viberchat_conversation_store_seconds"));
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |config: Config| {
        let deps = Deps {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            keys: Arc::new(Keys::generate(&SystemEntropy)),
            lifecycle: Lifecycle::new().handle(),
            metrics: Metrics::new(),
            message: Channel::late().0,
            bus: None,
        };
        build(config, deps).await.err().expect("it does not start").to_string()
    };
    let invalid = start(Config { watch_poll_ms: 0, ..Config::default() }).await;
    assert_eq!(invalid, "the configuration is invalid");
    let nowhere = start(Config { data_file: folder.path().join("none/x.sqlite"), ..Config::default() }).await;
    assert!(nowhere.contains("none/x.sqlite"), "{nowhere}");
}
