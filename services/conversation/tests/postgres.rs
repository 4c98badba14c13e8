//! Two instances of the service on one PostgreSQL, each called through its own channel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout};
use tonic::{Request, Streaming};
use tower::Layer as _;
use viberchat_conversation::{Config, Deps, METHODS, Service, build, migrate_schema};
use viberchat_engines::Server;
use viberchat_kit::auth::{AuthLayer, MethodTable, Scope, ServiceIdentity};
use viberchat_kit::clock::SystemClock;
use viberchat_kit::id::{SystemEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_kit::store::Engine;
use viberchat_kit::store::postgres::{DatabaseUrl, Settings};
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::watch_memberships_request::Request as Asked;
use viberchat_proto::conversation::v1::watch_memberships_response::Push;
use viberchat_proto::conversation::v1::*;

type Client = ConversationServiceClient<Channel>;

const PATIENCE: Duration = Duration::from_secs(60);

/// Of a schema that nobody has used. `None`: there is no PostgreSQL, which has been said.
fn config() -> Option<Config> {
    let url = DatabaseUrl::parse(&Server::Postgres.address()?).expect("the address of a server");
    let postgres = Settings {
        url: Some(url),
        namespace: viberchat_engines::namespace("s"),
        // A busy machine.
        connect_timeout_ms: 60_000,
        statement_timeout_ms: 60_000,
        lock_timeout_ms: 60_000,
        ..Settings::default()
    };
    Some(Config { store: Engine::Postgres, postgres, entry_wait_ms: 10, ..Config::default() })
}

struct Instance {
    service: Service,
    auth: AuthLayer,
    _lifecycle: Lifecycle,
}

impl Instance {
    async fn start(config: &Config) -> Self {
        let lifecycle = Lifecycle::new();
        let service = build(config.clone(), deps(&lifecycle)).await.expect("the service starts");
        let auth = AuthLayer::without_tokens(Arc::new(MethodTable::new(&[METHODS])));
        Self { service, auth, _lifecycle: lifecycle }
    }

    fn client(&self) -> Client {
        let server = self.auth.layer(self.service.routes());
        let scopes = [Scope::ActForUsers, Scope::Authorize];
        Client::new(Channel::in_process(server, ServiceIdentity::new("gateway", &scopes)))
    }
}

fn deps(lifecycle: &Lifecycle) -> Deps {
    Deps {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        keys: Arc::new(Keys::generate(&SystemEntropy)),
        lifecycle: lifecycle.handle(),
        metrics: Metrics::new(),
        message: Channel::late().0,
        bus: None,
    }
}

/// Two instances on a new schema.
async fn two() -> Option<[Instance; 2]> {
    let config = config()?;
    migrate_schema(&config, false).await.expect("the schema is made");
    Some([Instance::start(&config).await, Instance::start(&config).await])
}

fn for_user<T>(user: &str, message: T) -> Request<T> {
    on_behalf_of(Request::new(message), &UserId::parse(user).expect("a good id"))
}

async fn direct(client: &mut Client, creator: &str, peer: &str) -> String {
    let request = GetOrCreateDirectConversationRequest { peer_user_id: peer.to_owned() };
    let answer = client.get_or_create_direct_conversation(for_user(creator, request)).await;
    answer.expect("the direct is there").into_inner().conversation.expect("always there").conversation_id
}

/// From both sides, through both instances, 64 at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pairs_that_meet_64_times_at_once_have_two_hundred_conversations() {
    const PAIRS: usize = 200;
    const CALLS: usize = 64;
    let Some(instances) = two().await else { return };
    let clients = [instances[0].client(), instances[1].client()];
    let pairs = (0..PAIRS).map(|pair| {
        let clients = &clients;
        async move {
            let users = [format!("low-{pair}"), format!("high-{pair}")];
            let calls = (0..CALLS).map(|call| {
                let (mut client, users) = (clients[call % 2].clone(), &users);
                async move { direct(&mut client, &users[call / 2 % 2], &users[1 - call / 2 % 2]).await }
            });
            let ids: BTreeSet<_> = futures::future::join_all(calls).await.into_iter().collect();
            assert_eq!(ids.len(), 1, "pair {pair}");
            ids
        }
    });
    let all: Vec<_> = futures::stream::iter(pairs).buffer_unordered(6).collect().await;
    assert_eq!(all.into_iter().flatten().collect::<BTreeSet<_>>().len(), PAIRS);
}

async fn next_change(pushes: &mut Streaming<WatchMembershipsResponse>) -> MembershipChange {
    loop {
        let push = timeout(PATIENCE, pushes.message()).await.expect("something is pushed");
        if let Some(Push::Change(change)) = push.expect("the stream goes on").expect("the stream goes on").push {
            return change;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_instance_is_heard_at_the_other_within_a_second() {
    let Some(instances) = two().await else { return };
    let (mut one, mut other) = (instances[0].client(), instances[1].client());
    let follow = WatchMembershipsRequest { context: None, request: Some(Asked::AddUserId("alice".into())) };
    let requests = futures::stream::iter([follow]).chain(futures::stream::pending());
    let mut pushes = other.watch_memberships(requests).await.unwrap().into_inner();
    let snapshot = pushes.message().await.unwrap().unwrap().push;
    assert!(matches!(snapshot, Some(Push::Snapshot(MembershipSnapshot { last: true, .. }))), "{snapshot:?}");
    let mut slowest = Duration::ZERO;
    let mut last_version = 0;
    for round in 0..10 {
        let conversation_id = direct(&mut one, "alice", &format!("peer-{round}")).await;
        let begin = Instant::now();
        let change = next_change(&mut pushes).await;
        assert_eq!(change.kind(), MembershipChangeKind::Added);
        assert_eq!(change.membership.unwrap().conversation_id, conversation_id);
        assert!(change.membership_version > last_version);
        last_version = change.membership_version;
        slowest = slowest.max(begin.elapsed());
        let pin = UpdateMemberSettingsRequest { conversation_id, pinned: Some(true), ..Default::default() };
        one.update_member_settings(for_user("alice", pin)).await.unwrap();
        let begin = Instant::now();
        assert_eq!(next_change(&mut pushes).await.kind(), MembershipChangeKind::Changed);
        slowest = slowest.max(begin.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn what_one_instance_has_stopped_the_other_refuses_at_once() {
    let Some(instances) = two().await else { return };
    let (mut one, mut other) = (instances[0].client(), instances[1].client());
    let conversation_id = direct(&mut one, "alice", "bob").await;
    for blocked in [true, false] {
        let user_id = "bob".to_owned();
        if blocked {
            one.block_user(for_user("alice", BlockUserRequest { user_id })).await.unwrap();
        } else {
            one.unblock_user(for_user("alice", UnblockUserRequest { user_id })).await.unwrap();
        }
        let authorize = AuthorizeMemberRequest { conversation_id: conversation_id.clone(), user_id: "bob".to_owned() };
        assert_eq!(other.authorize_member(authorize).await.unwrap().into_inner().blocked, blocked);
    }
}

#[tokio::test]
async fn a_schema_is_migrated_only_where_that_is_configured() {
    let Some(config) = config() else { return };
    let refused = build(config.clone(), deps(&Lifecycle::new())).await.err().expect("it does not start");
    let place = refused.to_string();
    assert!(place.contains(&config.postgres.namespace), "{place}");
    let why = std::error::Error::source(&refused).expect("a reason").to_string();
    assert!(why.contains("viberchat migrate schema"), "{why}");
    let dry = migrate_schema(&config, true).await.unwrap();
    let reports = futures::future::join_all((0..4).map(|_| migrate_schema(&config, false))).await;
    let made: Vec<_> = reports.into_iter().flat_map(|report| report.unwrap().changes).collect();
    assert_eq!(made, dry.changes, "what was said was done, once");
    assert!(migrate_schema(&config, false).await.unwrap().changes.is_empty());
    let mut ready = config.clone();
    ready.postgres.migrate_on_start = true;
    for config in [config, ready] {
        assert!(Instance::start(&config).await.service.is_ready().await);
    }
}
