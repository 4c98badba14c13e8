//! What the tests of this crate share: the service on a real SQLite file, and a log that keeps the rules of the real one.

mod fault;
mod log;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tonic::{Request, Response, Status};
use viberchat_engines::Server;
use viberchat_kit::auth::{Caller, Scope, ServiceIdentity};
use viberchat_kit::clock::{ManualClock, Timestamp};
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::{ConversationId, SeededEntropy, SystemEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::{Lifecycle, ShutdownReport};
use viberchat_kit::store::postgres::{DatabaseUrl, Settings};
use viberchat_kit::telemetry::Metrics;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
use viberchat_proto::conversation::v1::*;

pub(crate) use fault::{Fault, Faults};
pub(crate) use log::FakeLog;

use crate::config::Config;
use crate::metrics::ServiceMetrics;
use crate::rpc::{Api, State};
use crate::service::{Parts, assemble};
use crate::store::decorated::Decorated;
use crate::store::sqlite::{Options, SqliteStore};

/// 2023-11-14.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a good id")
}

/// Of a schema that nobody has used, brought up to date on start. `None`: there is no PostgreSQL, which has been said.
pub(crate) fn postgres_settings() -> Option<Settings> {
    let url = DatabaseUrl::parse(&Server::Postgres.address()?).expect("the address of a server");
    Some(Settings {
        url: Some(url),
        namespace: viberchat_engines::namespace("t"),
        connections_max: 10,
        // A busy machine.
        connect_timeout_ms: 20_000,
        statement_timeout_ms: 20_000,
        lock_timeout_ms: 20_000,
        migrate_on_start: true,
        ..Settings::default()
    })
}

/// SQLite, failing where a test says so.
pub(crate) type TestStore = Decorated<SqliteStore, Faults>;

/// A service of its own file, ended when dropped.
pub(crate) struct TestService {
    pub(crate) api: Api<TestStore>,
    pub(crate) state: Arc<State<TestStore>>,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<FakeLog>,
    pub(crate) clock: Arc<ManualClock>,
    lifecycle: Lifecycle,
    directory: Arc<TempDir>,
}

impl TestService {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self::open(directory, Arc::default(), change).await
    }

    /// As another process on the same file and the same log.
    pub(crate) async fn second(&self) -> Self {
        Self::open(self.directory.clone(), self.log.clone(), |_| {}).await
    }

    async fn open(directory: Arc<TempDir>, log: Arc<FakeLog>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            data_file: directory.path().join("conversation.sqlite"),
            // A busy machine makes nothing pending that is not.
            entry_wait_ms: 20_000,
            ..Config::default()
        };
        change(&mut config);
        let options = Options { data_file: config.data_file.clone(), reader_connections: 2 };
        let faults = Faults::default();
        let store = SqliteStore::open(&options).await.expect("the store opens");
        let store = Decorated::new(store, faults.clone());
        let lifecycle = Lifecycle::new();
        let clock = Arc::new(ManualClock::new(START));
        let parts = Parts {
            clock: clock.clone(),
            keys: Arc::new(Keys::generate(&SeededEntropy::new(1))),
            entropy: Arc::new(SystemEntropy),
            lifecycle: lifecycle.handle(),
            metrics: ServiceMetrics::register(&Metrics::new()),
            log: log.clone(),
            others: None,
        };
        let state = Arc::new(assemble(config, store, parts).await.expect("the store answers"));
        Self { api: Api::new(state.clone()), state, faults, log, clock, lifecycle, directory }
    }

    /// A group whose entry is in the log.
    pub(crate) async fn group(&self, owner: &str, members: &[&str]) -> ConversationId {
        let created = self.api.create_group_conversation(by(owner, new_group(members))).await;
        let conversation = created.expect("the group is created").into_inner().conversation;
        let id = ConversationId::parse(&conversation.expect("always there").conversation_id).expect("an id");
        eventually("the entry", async || (!self.authorize(id, owner).await.spans.is_empty()).then_some(())).await;
        id
    }

    pub(crate) async fn direct(&self, creator: &str, peer: &str) -> ConversationId {
        let request = GetOrCreateDirectConversationRequest { peer_user_id: peer.to_owned() };
        let answer = self.api.get_or_create_direct_conversation(by(creator, request)).await;
        let conversation = answer.expect("the direct is created").into_inner().conversation;
        ConversationId::parse(&conversation.expect("always there").conversation_id).expect("an id")
    }

    pub(crate) async fn authorize(&self, conversation: ConversationId, user: &str) -> AuthorizeMemberResponse {
        let request = AuthorizeMemberRequest { conversation_id: conversation.to_string(), user_id: user.to_owned() };
        self.api.authorize_member(by_service(request)).await.expect("the service may ask").into_inner()
    }

    /// Ends everything that runs, as a stop of the process does.
    pub(crate) async fn stop(self) -> ShutdownReport {
        self.lifecycle.shutdown(PATIENCE).await
    }
}

pub(crate) fn new_group(members: &[&str]) -> CreateGroupConversationRequest {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    CreateGroupConversationRequest {
        name: "Plans".to_owned(),
        member_user_ids: members.iter().map(|member| (*member).to_owned()).collect(),
        request_id: format!("create-{next}"),
        ..CreateGroupConversationRequest::default()
    }
}

/// A call of a user.
pub(crate) fn by<T>(id: &str, message: T) -> Request<T> {
    called(Caller::User(user(id)), message)
}

/// A call of a service for itself.
pub(crate) fn by_service<T>(message: T) -> Request<T> {
    let scopes = [Scope::Authorize, Scope::Relay, Scope::Directory];
    let identity = ServiceIdentity::new("message", &scopes);
    called(Caller::Service { identity, on_behalf_of: None }, message)
}

/// A call of a service that acts for a user.
pub(crate) fn by_service_for<T>(id: &str, message: T) -> Request<T> {
    let identity = ServiceIdentity::new("gateway", &[Scope::ActForUsers]);
    called(Caller::Service { identity, on_behalf_of: Some(user(id)) }, message)
}

fn called<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

/// Why a call was refused.
pub(crate) fn refusal<T>(answer: Result<Response<T>, Status>) -> Error {
    match answer {
        Ok(_) => panic!("the call was answered"),
        Err(status) => Error::from_status(&status),
    }
}

pub(crate) fn reason<T>(answer: Result<Response<T>, Status>) -> Reason {
    refusal(answer).reason
}

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
