//! A message service over a real store, with a conversation service of the tests behind it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::stream::BoxStream;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use tower::Layer as _;
use viberchat_engines::Server;
use viberchat_kit::auth::{Access, AuthLayer, MethodRule, MethodTable, Scope, ServiceIdentity};
use viberchat_kit::bus::Bus;
use viberchat_kit::clock::SystemClock;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::{ConversationId, Entropy as _, SystemEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_kit::telemetry::Metrics;
use viberchat_message::{CassandraConfig, Config, Deps, METHODS, Service, StoreEngine, build};
use viberchat_proto::conversation::v1 as conversation;
use viberchat_proto::conversation::v1::conversation_service_server::{ConversationService, ConversationServiceServer};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::{self as proto, EntryBody, entry_body};
use viberchat_proto::types::v1 as types;

pub(crate) type Client = MessageServiceClient<Channel>;

/// What the conversation service of the tests knows of a conversation.
#[derive(Clone, Debug, Default)]
struct Known {
    direct: bool,
    version: u64,
    members: BTreeMap<String, types::Role>,
    spans: BTreeMap<String, Vec<conversation::Span>>,
    peer_gone: bool,
    blocked: bool,
    history: types::HistoryVisibility,
    cleared: BTreeMap<String, u64>,
    /// Members beside those in `members`.
    others: u32,
}

/// The conversation service of the tests: answers who may do what, and notes what it is told.
#[derive(Default)]
pub(crate) struct Members {
    known: parking_lot::Mutex<HashMap<String, Known>>,
    pub(crate) activity: parking_lot::Mutex<Vec<conversation::RecordActivityRequest>>,
    pub(crate) questions: AtomicU64,
    pub(crate) unavailable: AtomicBool,
    /// Questions get no answer at all.
    pub(crate) silent: AtomicBool,
    /// RecordActivity fails this many times more.
    pub(crate) activity_failures: AtomicU64,
}

impl Members {
    pub(crate) fn direct(&self, users: [&str; 2]) -> ConversationId {
        let id = new_id();
        let members = users.map(|user| (user.to_owned(), types::Role::Member)).into();
        self.known.lock().insert(id.to_string(), Known { direct: true, members, ..Known::default() });
        id
    }

    pub(crate) fn set_peer_gone(&self, id: ConversationId) {
        self.known.lock().get_mut(&id.to_string()).unwrap().peer_gone = true;
    }

    pub(crate) fn set_blocked(&self, id: ConversationId, blocked: bool) {
        self.known.lock().get_mut(&id.to_string()).unwrap().blocked = blocked;
    }

    /// Those who join later see only what comes during their stays.
    pub(crate) fn hide_history(&self, id: ConversationId) {
        self.known.lock().get_mut(&id.to_string()).unwrap().history = types::HistoryVisibility::SinceJoining;
    }

    /// The user has deleted the chat for themselves up to here.
    pub(crate) fn clear(&self, id: ConversationId, user: &str, cleared_seq: u64) {
        self.known.lock().get_mut(&id.to_string()).unwrap().cleared.insert(user.to_owned(), cleared_seq);
    }

    /// So many more members than those who are named.
    pub(crate) fn set_others(&self, id: ConversationId, others: u32) {
        self.known.lock().get_mut(&id.to_string()).unwrap().others = others;
    }

    /// The log has the entry of leaving.
    pub(crate) fn left(&self, id: ConversationId, user: &str, to_seq: u64) {
        let mut known = self.known.lock();
        let spans = known.get_mut(&id.to_string()).unwrap().spans.get_mut(user).unwrap();
        spans.last_mut().unwrap().to_seq = to_seq;
    }

    /// Commits the end of a group, which the log has not heard of. Returns the version.
    pub(crate) fn close(&self, id: ConversationId) -> u64 {
        let mut known = self.known.lock();
        let known = known.get_mut(&id.to_string()).unwrap();
        known.members.clear();
        known.version += 1;
        known.version
    }

    /// A group whose creation is not in the log yet: nobody's stay has begun.
    pub(crate) fn group(&self, members: &[(&str, types::Role)]) -> ConversationId {
        let id = new_id();
        let members = members.iter().map(|(user, role)| ((*user).to_owned(), *role)).collect();
        self.known.lock().insert(id.to_string(), Known { version: 1, members, ..Known::default() });
        id
    }

    /// The log has the entry of joining.
    pub(crate) fn joined(&self, id: ConversationId, user: &str, from_seq: u64) {
        let mut known = self.known.lock();
        let spans = &mut known.get_mut(&id.to_string()).unwrap().spans;
        spans.entry(user.to_owned()).or_default().push(conversation::Span { from_seq, to_seq: 0 });
    }

    /// Commits a removal, which the log has not heard of. Returns the version.
    pub(crate) fn remove(&self, id: ConversationId, user: &str) -> u64 {
        let mut known = self.known.lock();
        let known = known.get_mut(&id.to_string()).unwrap();
        known.members.remove(user).unwrap();
        known.version += 1;
        known.version
    }

    /// Commits an addition, which the log has not heard of. Returns the version.
    pub(crate) fn add(&self, id: ConversationId, user: &str, role: types::Role) -> u64 {
        let mut known = self.known.lock();
        let known = known.get_mut(&id.to_string()).unwrap();
        known.members.insert(user.to_owned(), role);
        known.version += 1;
        known.version
    }

    fn authorize(&self, request: &conversation::AuthorizeMemberRequest) -> conversation::AuthorizeMemberResponse {
        let known = self.known.lock();
        let Some(known) = known.get(&request.conversation_id) else { return Default::default() };
        let kind = if known.direct { types::ConversationKind::Direct } else { types::ConversationKind::Group };
        let peer = match (known.direct, known.peer_gone) {
            (false, _) => conversation::PeerState::Unspecified,
            (true, false) => conversation::PeerState::Present,
            (true, true) => conversation::PeerState::Gone,
        };
        let role = known.members.get(&request.user_id).copied().unwrap_or_default();
        let mut spans = known.spans.get(&request.user_id).cloned().unwrap_or_default();
        if known.direct && role != types::Role::Unspecified {
            spans.push(conversation::Span::default());
        }
        conversation::AuthorizeMemberResponse {
            conversation_version: known.version,
            kind: kind.into(),
            role: role.into(),
            spans,
            peer_state: peer.into(),
            history: known.history.into(),
            cleared_seq: known.cleared.get(&request.user_id).copied().unwrap_or_default(),
            blocked: known.blocked,
            member_count: u32::try_from(known.members.len()).unwrap() + known.others,
        }
    }
}

fn new_id() -> ConversationId {
    ConversationId::new(&SystemClock, &SystemEntropy)
}

struct ConversationServer(Arc<Members>);

/// The attribute has to see the methods, so the macro makes the whole block.
macro_rules! conversation_server {
    (not_asked: $($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl ConversationService for ConversationServer {
            type WatchMembershipsStream = BoxStream<'static, Result<conversation::WatchMembershipsResponse, Status>>;

            async fn authorize_member(
                &self,
                request: Request<conversation::AuthorizeMemberRequest>,
            ) -> Result<Response<conversation::AuthorizeMemberResponse>, Status> {
                self.0.questions.fetch_add(1, Ordering::SeqCst);
                if self.0.silent.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                if self.0.unavailable.load(Ordering::SeqCst) {
                    return Err(Status::unavailable("asleep"));
                }
                Ok(Response::new(self.0.authorize(&request.into_inner())))
            }

            async fn batch_authorize_members(
                &self,
                request: Request<conversation::BatchAuthorizeMembersRequest>,
            ) -> Result<Response<conversation::BatchAuthorizeMembersResponse>, Status> {
                self.0.questions.fetch_add(1, Ordering::SeqCst);
                if self.0.silent.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                if self.0.unavailable.load(Ordering::SeqCst) {
                    return Err(Status::unavailable("asleep"));
                }
                let requests = request.into_inner().requests;
                assert!(requests.len() <= 200, "a question names {} pairs", requests.len());
                let responses = requests.iter().map(|request| self.0.authorize(request)).collect();
                Ok(Response::new(conversation::BatchAuthorizeMembersResponse { responses }))
            }

            async fn record_activity(
                &self,
                request: Request<conversation::RecordActivityRequest>,
            ) -> Result<Response<conversation::RecordActivityResponse>, Status> {
                let failing = self.0.activity_failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                if failing.is_ok() {
                    return Err(Status::unavailable("asleep"));
                }
                self.0.activity.lock().push(request.into_inner());
                Ok(Response::new(conversation::RecordActivityResponse {}))
            }

            async fn watch_memberships(
                &self,
                _: Request<Streaming<conversation::WatchMembershipsRequest>>,
            ) -> Result<Response<Self::WatchMembershipsStream>, Status> {
                Err(Status::unimplemented("the message service does not ask this"))
            }

            $(async fn $name(
                &self,
                _: Request<conversation::$request>,
            ) -> Result<Response<conversation::$response>, Status> {
                Err(Status::unimplemented("the message service does not ask this"))
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
    add_members(AddMembersRequest) -> AddMembersResponse;
    remove_member(RemoveMemberRequest) -> RemoveMemberResponse;
    leave_conversation(LeaveConversationRequest) -> LeaveConversationResponse;
    update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse;
    update_member_settings(UpdateMemberSettingsRequest) -> UpdateMemberSettingsResponse;
    list_members(ListMembersRequest) -> ListMembersResponse;
    delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse;
    block_user(BlockUserRequest) -> BlockUserResponse;
    unblock_user(UnblockUserRequest) -> UnblockUserResponse;
    list_blocked_users(ListBlockedUsersRequest) -> ListBlockedUsersResponse;
    batch_check_shared(BatchCheckSharedRequest) -> BatchCheckSharedResponse;
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
    MethodRule::unary("/viberchat.conversation.v1.ConversationService/RecordActivity", Access::service(Scope::Relay)),
];

/// The keyspace that the tests of this process share, if they are those on Cassandra. Without a Cassandra, which is said, the
/// store is a file.
pub(crate) fn cassandra() -> Option<&'static CassandraConfig> {
    static KEYSPACE: OnceLock<Option<CassandraConfig>> = OnceLock::new();
    if env!("CARGO_CRATE_NAME") != "service_on_cassandra" {
        return None;
    }
    let keyspace = KEYSPACE.get_or_init(|| {
        let address = Server::Cassandra.address()?;
        let mut random = [0; 8];
        SystemEntropy.fill(&mut random);
        Some(CassandraConfig {
            contact_points: vec![address],
            namespace: format!("test_{:016x}", u64::from_be_bytes(random)),
            replication_factor: 1,
            migrate_on_start: true,
            connect_timeout_ms: 60_000,
            request_timeout_ms: 30_000,
            append_timeout_ms: 30_000,
            ..CassandraConfig::default()
        })
    });
    keyspace.as_ref()
}

/// One message service. Several may share a folder.
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) metrics: Metrics,
    lifecycle: Lifecycle,
}

/// What one test works with.
pub(crate) struct World {
    pub(crate) members: Arc<Members>,
    pub(crate) folder: TempDir,
    pub(crate) keys: Arc<Keys>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            members: Arc::default(),
            folder: TempDir::new().unwrap(),
            keys: Arc::new(Keys::generate(&SystemEntropy)),
        }
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.folder.path().join("message.sqlite")
    }

    /// Starts a message service on the world's file.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(|_| {}).await
    }

    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> Node {
        self.start(change, None).await
    }

    /// One that others hear by the bus at this address.
    pub(crate) async fn node_on_bus(&self, url: &str, namespace: &str) -> Node {
        let bus = viberchat_kit::bus::Config { url: url.into(), namespace: namespace.into(), ..Default::default() };
        self.start(|_| {}, Some(bus)).await
    }

    async fn start(&self, change: impl FnOnce(&mut Config), bus: Option<viberchat_kit::bus::Config>) -> Node {
        let lifecycle = Lifecycle::new();
        let table = Arc::new(MethodTable::new(&[CONVERSATION_METHODS]));
        let server = ConversationServiceServer::new(ConversationServer(self.members.clone()));
        let routes = tonic::service::Routes::new(server);
        let conversation = Channel::in_process(
            AuthLayer::without_tokens(table).layer(routes),
            ServiceIdentity::new("message", &[Scope::Authorize, Scope::Relay]),
        );
        let mut config = Config { data_file: self.data_file(), ..Config::default() };
        if let Some(cassandra) = cassandra() {
            config.store = StoreEngine::Cassandra;
            config.cassandra = cassandra.clone();
            // What takes longer here is no silence.
            config.heartbeat_interval_ms = 600_000;
        }
        change(&mut config);
        let metrics = Metrics::new();
        let bus = match bus {
            Some(bus) => Some(Bus::connect(&bus, lifecycle.handle(), &metrics).await.unwrap()),
            None => None,
        };
        let deps = Deps {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            keys: self.keys.clone(),
            lifecycle: lifecycle.handle(),
            metrics: metrics.clone(),
            conversation,
            bus,
        };
        Node { service: build(config, deps).await.unwrap(), metrics, lifecycle }
    }
}

impl Node {
    /// A client of the gateway: acts for users, and follows without one.
    pub(crate) fn client(&self) -> Client {
        self.client_as("gateway", &[Scope::ActForUsers, Scope::Relay])
    }

    pub(crate) fn client_as(&self, name: &str, scopes: &[Scope]) -> Client {
        let table = Arc::new(MethodTable::new(&[METHODS]));
        let server = AuthLayer::without_tokens(table).layer(self.service.routes());
        MessageServiceClient::new(Channel::in_process(server, ServiceIdentity::new(name, scopes)))
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(&format!("viberchat_{name} "))).unwrap_or("0 0");
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        let Self { service, lifecycle, .. } = self;
        let report = lifecycle.shutdown(Duration::from_secs(5)).await;
        assert!(report.is_clean(), "{report:?}");
        drop(service);
    }
}

/// A request of a user.
pub(crate) fn by<T>(user: &str, message: T) -> Request<T> {
    on_behalf_of(Request::new(message), &UserId::parse(user).unwrap())
}

/// Appends the creation of a group and lets its members' stays begin.
pub(crate) async fn create_group(
    world: &World,
    client: &mut Client,
    members: &[(&str, types::Role)],
) -> ConversationId {
    let id = world.members.group(members);
    let listed = members.iter().map(|(user, role)| member_role(user, *role)).collect();
    let created = proto::ConversationCreated { name: "group".to_owned(), members: listed, history: 0 };
    let seq = system(client, id, 1, members[0].0, entry_body::Body::ConversationCreated(created)).await.unwrap().seq;
    for (user, _) in members {
        world.members.joined(id, user, seq);
    }
    id
}

pub(crate) fn member_role(user: &str, role: types::Role) -> types::MemberRole {
    types::MemberRole { user_id: user.to_owned(), role: role.into() }
}

pub(crate) async fn system(
    client: &mut Client,
    id: ConversationId,
    version: u64,
    actor: &str,
    body: entry_body::Body,
) -> Result<proto::AppendSystemEntryResponse, Status> {
    let request = proto::AppendSystemEntryRequest {
        conversation_id: id.to_string(),
        version,
        actor_user_id: actor.to_owned(),
        body: Some(EntryBody { body: Some(body) }),
    };
    client.append_system_entry(request).await.map(Response::into_inner)
}

pub(crate) fn removed(user: &str) -> entry_body::Body {
    entry_body::Body::MemberRemoved(proto::MemberRemoved { user_id: user.to_owned(), ..Default::default() })
}

pub(crate) fn added(user: &str) -> entry_body::Body {
    let members = vec![member_role(user, types::Role::Member)];
    entry_body::Body::MembersAdded(proto::MembersAdded { members })
}

/// A send of a new client, which knows nothing of the log.
pub(crate) fn message(id: ConversationId, request_id: &str, text: &str) -> proto::SendMessageRequest {
    proto::SendMessageRequest {
        conversation_id: id.to_string(),
        client_message_id: request_id.to_owned(),
        text: text.to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn send(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    request_id: &str,
    text: &str,
) -> Result<proto::SendMessageResponse, Status> {
    client.send_message(by(user, message(id, request_id, text))).await.map(Response::into_inner)
}

pub(crate) async fn sent(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    request_id: &str,
    text: &str,
) -> proto::Message {
    send(client, user, id, request_id, text).await.unwrap().message.unwrap()
}

pub(crate) async fn edit(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
    text: &str,
) -> Result<proto::EditMessageResponse, Status> {
    let request = proto::EditMessageRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        text: text.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
        mentioned_user_ids: Vec::new(),
    };
    client.edit_message(by(user, request)).await.map(Response::into_inner)
}

pub(crate) async fn delete(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
) -> Result<proto::DeleteMessageResponse, Status> {
    let request = proto::DeleteMessageRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    client.delete_message(by(user, request)).await.map(Response::into_inner)
}

/// The last place that an entry stands for.
pub(crate) fn end_of(entry: &proto::LogEntry) -> u64 {
    match entry.body.as_ref().and_then(|body| body.body.as_ref()) {
        Some(entry_body::Body::Hidden(hidden)) => hidden.to_seq,
        _ => entry.seq,
    }
}

/// Whether it stands for what its reader may not see.
pub(crate) fn is_hidden(entry: &proto::LogEntry) -> bool {
    matches!(entry.body.as_ref().and_then(|body| body.body.as_ref()), Some(entry_body::Body::Hidden(_)))
}

/// The whole log, as a user reads it; checks that it is 1 … head.
pub(crate) async fn log(client: &mut Client, user: &str, id: ConversationId) -> Vec<proto::LogEntry> {
    let mut entries: Vec<proto::LogEntry> = Vec::new();
    loop {
        let after_seq = entries.last().map_or(0, end_of);
        let request = proto::ReadLogRequest { conversation_id: id.to_string(), after_seq, limit: 200, bytes_max: 0 };
        let page = client.read_log(by(user, request)).await.unwrap().into_inner();
        for entry in page.entries {
            assert_eq!(entry.seq, entries.last().map_or(0, end_of) + 1, "the log has no gap");
            entries.push(entry);
        }
        if entries.last().map_or(0, end_of) >= page.head_seq {
            return entries;
        }
    }
}

/// Why a call was refused.
pub(crate) fn refusal(status: &Status) -> Error {
    Error::from_status(status)
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, reason: Reason) -> Error {
    let error = refusal(&result.expect_err("it is refused"));
    assert_eq!(error.reason, reason, "{error:?}");
    error
}

/// Polls until it holds.
pub(crate) async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether any file of a folder contains these bytes.
pub(crate) fn folder_contains(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

pub(crate) async fn react(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
    emoji: &str,
) -> Result<proto::AddReactionResponse, Status> {
    let request = proto::AddReactionRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        emoji: emoji.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    client.add_reaction(by(user, request)).await.map(Response::into_inner)
}

pub(crate) async fn unreact(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
    emoji: &str,
) -> Result<proto::RemoveReactionResponse, Status> {
    let request = proto::RemoveReactionRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        emoji: emoji.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    client.remove_reaction(by(user, request)).await.map(Response::into_inner)
}

pub(crate) async fn pin(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
) -> Result<proto::PinMessageResponse, Status> {
    let request = proto::PinMessageRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    client.pin_message(by(user, request)).await.map(Response::into_inner)
}

pub(crate) async fn unpin(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
    request_id: &str,
) -> Result<proto::UnpinMessageResponse, Status> {
    let request = proto::UnpinMessageRequest {
        conversation_id: id.to_string(),
        message_id: message_id.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    client.unpin_message(by(user, request)).await.map(Response::into_inner)
}

pub(crate) async fn get_message(
    client: &mut Client,
    user: &str,
    id: ConversationId,
    message_id: &str,
) -> Result<proto::Message, Status> {
    let request = proto::GetMessageRequest { conversation_id: id.to_string(), message_id: message_id.to_owned() };
    client.get_message(by(user, request)).await.map(|found| found.into_inner().message.unwrap())
}

pub(crate) async fn list_messages(client: &mut Client, user: &str, id: ConversationId) -> Vec<proto::Message> {
    let request = proto::ListMessagesRequest { conversation_id: id.to_string(), page_size: 200, ..Default::default() };
    let page = client.list_messages(by(user, request)).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "", "one page has all");
    page.messages
}

pub(crate) async fn list_pinned(client: &mut Client, user: &str, id: ConversationId) -> Vec<proto::Message> {
    let request = proto::ListPinnedMessagesRequest { conversation_id: id.to_string(), ..Default::default() };
    client.list_pinned_messages(by(user, request)).await.unwrap().into_inner().messages
}

pub(crate) async fn heads(client: &mut Client, user: &str, ids: &[ConversationId]) -> Vec<proto::Head> {
    let request = proto::BatchGetHeadsRequest { conversation_ids: ids.iter().map(ToString::to_string).collect() };
    client.batch_get_heads(by(user, request)).await.unwrap().into_inner().heads
}

/// An answer about a member serves for a second: from then on the last change counts.
pub(crate) async fn until_answers_are_old() {
    tokio::time::sleep(Duration::from_millis(1_050)).await;
}
