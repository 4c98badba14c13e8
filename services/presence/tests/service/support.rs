//! A presence service over a real SQLite file, with a conversation service of the tests behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status as GrpcStatus, Streaming};
use tower::Layer as _;
use viberchat_kit::auth::{Access, AuthLayer, MethodRule, MethodTable, Scope, ServiceIdentity};
use viberchat_kit::bus::{self, Bus};
use viberchat_kit::clock::{ManualClock, Timestamp};
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::{ConversationId, SystemEntropy, UserId};
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_kit::telemetry::Metrics;
use viberchat_presence::{Config, Deps, METHODS, Service, build};
use viberchat_proto::conversation::v1 as conversation;
use viberchat_proto::conversation::v1::conversation_service_server::{ConversationService, ConversationServiceServer};
use viberchat_proto::presence::v1::attach_request::Report;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::presence_service_client::PresenceServiceClient;
use viberchat_proto::presence::v1::watch_request::Request as Asked;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::{self as proto, Status};
use viberchat_proto::types::v1::{RequestContext, Role};

pub(crate) type Client = PresenceServiceClient<Channel>;

/// How long nothing comes where nothing is to come; what comes takes a few milliseconds.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// Where the clocks of the tests stand: minute 1000.
pub(crate) const MINUTE: i64 = 1_000;

/// The conversation service of the tests: who belongs to which conversation.
#[derive(Default)]
pub(crate) struct Members {
    known: parking_lot::Mutex<BTreeMap<String, BTreeSet<String>>>,
    pub(crate) questions: AtomicU64,
    pub(crate) unavailable: AtomicBool,
    /// Questions about this user get no answer at all.
    pub(crate) silent_about: parking_lot::Mutex<Option<String>>,
}

impl Members {
    pub(crate) fn conversation(&self, number: u8, users: &[&str]) -> ConversationId {
        let id = ConversationId::from_bytes([number; 16]);
        self.known.lock().insert(id.to_string(), users.iter().map(|user| (*user).to_owned()).collect());
        id
    }

    pub(crate) fn remove(&self, id: ConversationId, user: &str) {
        assert!(self.known.lock().get_mut(&id.to_string()).unwrap().remove(user));
    }

    pub(crate) fn add(&self, id: ConversationId, user: &str) {
        self.known.lock().get_mut(&id.to_string()).unwrap().insert(user.to_owned());
    }

    fn authorize(&self, request: &conversation::AuthorizeMemberRequest) -> conversation::AuthorizeMemberResponse {
        let known = self.known.lock();
        let is_member = known.get(&request.conversation_id).is_some_and(|users| users.contains(&request.user_id));
        let role = if is_member { Role::Member } else { Role::Unspecified };
        let spans = if is_member { vec![conversation::Span { from_seq: 1, to_seq: 0 }] } else { Vec::new() };
        conversation::AuthorizeMemberResponse { role: role.into(), spans, ..Default::default() }
    }

    fn shared(&self, request: &conversation::BatchCheckSharedRequest) -> Vec<String> {
        let known = self.known.lock();
        let share = |other: &&String| known.values().any(|all| all.contains(&request.user_id) && all.contains(*other));
        request.other_user_ids.iter().filter(share).cloned().collect()
    }

    async fn asked(&self, about: Option<&str>) -> Result<(), GrpcStatus> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let is_silent = about.is_some_and(|user| self.silent_about.lock().as_deref() == Some(user));
        if is_silent {
            std::future::pending::<()>().await;
        }
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(GrpcStatus::unavailable("asleep"));
        }
        Ok(())
    }
}

struct ConversationServer(Arc<Members>);

/// The attribute has to see the methods, so the macro makes the whole block.
macro_rules! conversation_server {
    (not_asked: $($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl ConversationService for ConversationServer {
            type WatchMembershipsStream = BoxStream<'static, Result<conversation::WatchMembershipsResponse, GrpcStatus>>;

            async fn authorize_member(
                &self,
                request: Request<conversation::AuthorizeMemberRequest>,
            ) -> Result<Response<conversation::AuthorizeMemberResponse>, GrpcStatus> {
                self.0.asked(None).await?;
                Ok(Response::new(self.0.authorize(&request.into_inner())))
            }

            async fn batch_authorize_members(
                &self,
                request: Request<conversation::BatchAuthorizeMembersRequest>,
            ) -> Result<Response<conversation::BatchAuthorizeMembersResponse>, GrpcStatus> {
                self.0.asked(None).await?;
                let requests = request.into_inner().requests;
                let responses = requests.iter().map(|request| self.0.authorize(request)).collect();
                Ok(Response::new(conversation::BatchAuthorizeMembersResponse { responses }))
            }

            async fn batch_check_shared(
                &self,
                request: Request<conversation::BatchCheckSharedRequest>,
            ) -> Result<Response<conversation::BatchCheckSharedResponse>, GrpcStatus> {
                let request = request.into_inner();
                self.0.asked(Some(&request.user_id)).await?;
                let shared_user_ids = self.0.shared(&request);
                Ok(Response::new(conversation::BatchCheckSharedResponse { shared_user_ids }))
            }

            async fn watch_memberships(
                &self,
                _: Request<Streaming<conversation::WatchMembershipsRequest>>,
            ) -> Result<Response<Self::WatchMembershipsStream>, GrpcStatus> {
                Err(GrpcStatus::unimplemented("the presence service does not ask this"))
            }

            $(async fn $name(
                &self,
                _: Request<conversation::$request>,
            ) -> Result<Response<conversation::$response>, GrpcStatus> {
                Err(GrpcStatus::unimplemented("the presence service does not ask this"))
            })*
        }
    };
}

conversation_server! {
    not_asked:
    get_or_create_direct_conversation(GetOrCreateDirectConversationRequest) -> GetOrCreateDirectConversationResponse;
    create_group_conversation(CreateGroupConversationRequest) -> CreateGroupConversationResponse;
    get_conversation(GetConversationRequest) -> GetConversationResponse;
    batch_get_conversations(BatchGetConversationsRequest) -> BatchGetConversationsResponse;
    list_conversations(ListConversationsRequest) -> ListConversationsResponse;
    update_conversation(UpdateConversationRequest) -> UpdateConversationResponse;
    delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse;
    add_members(AddMembersRequest) -> AddMembersResponse;
    remove_member(RemoveMemberRequest) -> RemoveMemberResponse;
    leave_conversation(LeaveConversationRequest) -> LeaveConversationResponse;
    update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse;
    update_member_settings(UpdateMemberSettingsRequest) -> UpdateMemberSettingsResponse;
    list_members(ListMembersRequest) -> ListMembersResponse;
    block_user(BlockUserRequest) -> BlockUserResponse;
    unblock_user(UnblockUserRequest) -> UnblockUserResponse;
    list_blocked_users(ListBlockedUsersRequest) -> ListBlockedUsersResponse;
    record_activity(RecordActivityRequest) -> RecordActivityResponse;
}

static CONVERSATION_METHODS: &[MethodRule] = &[
    MethodRule::unary(
        "/viberchat.conversation.v1.ConversationService/AuthorizeMember",
        Access::service(Scope::Authorize),
    ),
    MethodRule::unary(
        "/viberchat.conversation.v1.ConversationService/BatchAuthorizeMembers",
        Access::service(Scope::Authorize),
    ),
    MethodRule::unary(
        "/viberchat.conversation.v1.ConversationService/BatchCheckShared",
        Access::service(Scope::Authorize),
    ),
];

/// What one test works with.
pub(crate) struct World {
    pub(crate) members: Arc<Members>,
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
}

/// One presence service.
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) metrics: Metrics,
    lifecycle: Lifecycle,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(MINUTE * 60_000 + 59_999));
        Self { members: Arc::default(), clock: Arc::new(clock), folder: TempDir::new().unwrap() }
    }

    /// Whole minutes pass for what is stored.
    pub(crate) fn pass_minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }

    /// A service that has run for long enough to know who is offline.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(|config| config.start_grace_ms = 1).await
    }

    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> Node {
        self.start(change, None).await
    }

    /// One that has run for long enough, and that others hear by the bus at this address.
    pub(crate) async fn node_on_bus(&self, url: &str, namespace: &str) -> Node {
        self.start(|config| config.start_grace_ms = 1, Some(bus_config(url, namespace))).await
    }

    async fn start(&self, change: impl FnOnce(&mut Config), bus: Option<bus::Config>) -> Node {
        let lifecycle = Lifecycle::new();
        let table = Arc::new(MethodTable::new(&[CONVERSATION_METHODS]));
        let server = ConversationServiceServer::new(ConversationServer(self.members.clone()));
        let conversation = Channel::in_process(
            AuthLayer::without_tokens(table).layer(tonic::service::Routes::new(server)),
            ServiceIdentity::new("presence", &[Scope::Authorize]),
        );
        let data_file = self.folder.path().join("presence.sqlite");
        let mut config = Config { data_file, ..Config::default() };
        change(&mut config);
        let settles = config.start_grace_ms == 1;
        let metrics = Metrics::new();
        let clock = self.clock.clone();
        let bus = match bus {
            Some(bus) => Some(Bus::connect(&bus, lifecycle.handle(), &metrics).await.unwrap()),
            None => None,
        };
        let deps = Deps {
            clock,
            lifecycle: lifecycle.handle(),
            metrics: metrics.clone(),
            entropy: Arc::new(SystemEntropy),
            bus,
            conversation,
        };
        let node = Node { service: build(config, deps).await.unwrap(), metrics, lifecycle };
        if settles {
            let mut client = node.client();
            eventually(async || status_of(&mut client, "settler", "settler").await == Status::Offline).await;
        }
        node
    }
}

pub(crate) fn bus_config(url: &str, namespace: &str) -> bus::Config {
    bus::Config { url: url.into(), namespace: namespace.into(), ..bus::Config::default() }
}

impl Node {
    /// A client of the gateway: reports sessions, acts for users, follows typing without one.
    pub(crate) fn client(&self) -> Client {
        self.client_as(&[Scope::ActForUsers, Scope::Relay])
    }

    pub(crate) fn client_as(&self, scopes: &[Scope]) -> Client {
        let table = Arc::new(MethodTable::new(&[METHODS]));
        let server = AuthLayer::without_tokens(table).layer(self.service.routes());
        Client::new(Channel::in_process(server, ServiceIdentity::new("gateway", scopes)))
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metric_of(&format!("presence_{name}"))
    }

    /// The same of any part.
    pub(crate) fn metric_of(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(&format!("viberchat_{name} ")));
        line.unwrap_or_else(|| panic!("no metric {name}")).split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        let report = self.lifecycle.shutdown(Duration::from_secs(5)).await;
        assert!(report.is_clean(), "{report:?}");
        self.service.close().await;
    }
}

/// Polls until it is so.
pub(crate) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never came to be so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request of a user.
pub(crate) fn by<T>(user: &str, message: T) -> Request<T> {
    on_behalf_of(Request::new(message), &UserId::parse(user).unwrap())
}

pub(crate) fn reason(status: &GrpcStatus) -> Reason {
    Error::from_status(status).reason
}

pub(crate) fn for_user(user: &str, correlation_id: u64) -> Option<RequestContext> {
    Some(RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..RequestContext::default() })
}

/// What a user sees of another: the status and the minute of last seen.
pub(crate) type Seen = (Status, Option<i64>);

pub(crate) fn seen(presence: &proto::Presence) -> Seen {
    let minute = presence.last_seen_time.as_ref().map(|time| {
        assert_eq!((time.seconds % 60, time.nanos), (0, 0), "coarse");
        time.seconds / 60
    });
    (presence.status(), minute)
}

pub(crate) async fn try_see(client: &mut Client, viewer: &str, user: &str) -> Result<Seen, GrpcStatus> {
    let request = proto::BatchGetPresenceRequest { user_ids: vec![user.to_owned()] };
    let presences = client.batch_get_presence(by(viewer, request)).await?.into_inner().presences;
    assert_eq!((presences.len(), presences[0].user_id.as_str()), (1, user));
    Ok(seen(&presences[0]))
}

pub(crate) async fn see(client: &mut Client, viewer: &str, user: &str) -> Seen {
    try_see(client, viewer, user).await.unwrap()
}

pub(crate) async fn status_of(client: &mut Client, viewer: &str, user: &str) -> Status {
    see(client, viewer, user).await.0
}

pub(crate) async fn set_status(client: &mut Client, user: &str, status: Status) -> Seen {
    let request = proto::SetStatusRequest { status: status.into() };
    let answer = client.set_status(by(user, request)).await.unwrap().into_inner();
    seen(&answer.presence.unwrap())
}

/// A gateway of the tests.
pub(crate) struct Gateway {
    requests: mpsc::Sender<proto::AttachRequest>,
    answers: Streaming<proto::AttachResponse>,
}

impl Gateway {
    /// Attaches, and is welcome.
    pub(crate) async fn attach(client: &mut Client, incarnation: &str) -> Self {
        let mut gateway = Self::open(client).await;
        gateway.say(Report::Hello(proto::AttachHello { incarnation_id: incarnation.to_owned() })).await;
        assert!(matches!(gateway.answer().await.unwrap(), Some(Answer::Welcome(_))));
        gateway
    }

    pub(crate) async fn open(client: &mut Client) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let answers = client.attach(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, answers }
    }

    pub(crate) async fn say(&self, report: Report) {
        self.requests.send(proto::AttachRequest { report: Some(report) }).await.unwrap();
    }

    /// What is answered; `None`: the stream has ended well.
    pub(crate) async fn answer(&mut self) -> Result<Option<Answer>, GrpcStatus> {
        let answer = timeout(Duration::from_secs(10), self.answers.message()).await.expect("an answer comes");
        Ok(answer?.map(|answer| answer.answer.unwrap()))
    }

    /// How the stream ends; heartbeats on the way are left out.
    pub(crate) async fn end(&mut self) -> Option<Reason> {
        loop {
            match self.answer().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(reason(&status)),
            }
        }
    }

    pub(crate) async fn report(&self, sessions: &[(&str, &str, proto::SessionState)], complete: bool) {
        let sessions = sessions
            .iter()
            .map(|(session, user, state)| proto::SessionReport {
                session_id: (*session).to_owned(),
                user_id: (*user).to_owned(),
                state: (*state).into(),
            })
            .collect();
        self.say(Report::Sessions(proto::SessionsChanged { sessions, complete })).await;
    }

    /// One active session for each user, named like them.
    pub(crate) async fn bring(&self, users: &[&str]) {
        let sessions: Vec<_> = users.iter().map(|user| (*user, *user, proto::SessionState::Active)).collect();
        self.report(&sessions, false).await;
    }

    pub(crate) async fn take_away(&self, user: &str) {
        self.report(&[(user, user, proto::SessionState::Gone)], false).await;
    }

    pub(crate) async fn detach(self) {
        self.say(Report::Detach(proto::AttachDetach {})).await;
        let Self { requests, mut answers } = self;
        while answers.message().await.unwrap().is_some() {}
        drop(requests);
    }
}

/// A stream of presences.
pub(crate) struct Watching {
    requests: mpsc::Sender<proto::WatchRequest>,
    pub(crate) pushes: Streaming<proto::WatchResponse>,
}

impl Watching {
    pub(crate) async fn open(client: &mut Client) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let pushes = client.watch(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, pushes }
    }

    pub(crate) async fn ask(&self, user: &str, correlation_id: u64, asked: Asked) {
        let context = for_user(user, correlation_id);
        self.requests.send(proto::WatchRequest { context, request: Some(asked) }).await.unwrap();
    }

    pub(crate) async fn add(&self, watcher: &str, correlation_id: u64, users: &[&str]) {
        let user_ids = users.iter().map(|user| (*user).to_owned()).collect();
        self.ask(watcher, correlation_id, Asked::Add(proto::WatchAdd { user_ids })).await;
    }

    pub(crate) async fn remove(&self, watcher: &str, users: &[&str]) {
        let user_ids = users.iter().map(|user| (*user).to_owned()).collect();
        self.ask(watcher, 0, Asked::Remove(proto::WatchRemove { user_ids })).await;
    }

    pub(crate) async fn push(&mut self) -> Push {
        let push = timeout(Duration::from_secs(10), self.pushes.message()).await.expect("a push comes");
        push.unwrap().expect("the stream goes on").push.unwrap()
    }

    pub(crate) async fn snapshot(&mut self) -> (u64, Vec<(String, Seen)>) {
        match self.push().await {
            Push::Snapshot(snapshot) => {
                let presences = snapshot.presences.iter().map(|one| (one.user_id.clone(), seen(one))).collect();
                (snapshot.correlation_id, presences)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Follows one user; returns what the snapshot says.
    pub(crate) async fn follow(&mut self, watcher: &str, user: &str) -> Seen {
        self.add(watcher, 1, &[user]).await;
        self.snapshot().await.1[0].1
    }

    pub(crate) async fn change(&mut self) -> (String, String, Seen) {
        match self.push().await {
            Push::Change(change) => {
                let presence = change.presence.unwrap();
                (change.watcher_user_id, presence.user_id.clone(), seen(&presence))
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn refused(&mut self) -> (u64, String) {
        match self.push().await {
            Push::Refused(refusal) => (refusal.correlation_id, refusal.error.unwrap().reason),
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that everything that was to be pushed was pushed: nothing comes, then the answer to a new request.
    pub(crate) async fn assert_quiet(&mut self) {
        let push = timeout(QUIET, self.pushes.message()).await;
        assert!(push.is_err(), "{push:?}");
        self.add("quiet", 999, &["quiet"]).await;
        let (correlation_id, _) = self.snapshot().await;
        assert_eq!(correlation_id, 999);
        self.remove("quiet", &[]).await;
    }
}
