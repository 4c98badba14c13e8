//! The gRPC face: one file for each method, which decodes, authorizes, acts and encodes. Here they are only delegated to.
//!
//! Map: `access` is the table of who may call what; `field` decodes; `change` is what all changes of groups share.

mod access;
mod add_members;
mod authorize_member;
mod batch_get_conversations;
mod batch_get_users;
mod change;
mod create_group;
mod field;
mod get_conversation;
mod get_or_create_direct;
mod leave_conversation;
mod list_conversations;
mod list_members;
mod record_activity;
mod remove_member;
mod search_users;
mod update_conversation;
mod update_member_role;
mod update_member_settings;
mod upsert_users;
mod watch_memberships;

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::{CallContext, Caller};
use viberchat_kit::clock::SharedClock;
use viberchat_kit::error;
use viberchat_kit::id::SharedEntropy;
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Handle;
use viberchat_kit::page::PageSealer;
use viberchat_kit::rpc::into_status;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationService;
use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService;
use viberchat_proto::conversation::v1::*;

use crate::activity::ActivityWriter;
use crate::config::Config;
use crate::domain::Viewer;
use crate::relay::Relay;
use crate::store::ConversationStore;
use crate::watch::{Hub, Wake};

pub use access::METHODS;

/// What the handlers work with.
pub(crate) struct State<S> {
    pub(crate) config: Config,
    pub(crate) store: S,
    pub(crate) relay: Relay<S>,
    pub(crate) activity: ActivityWriter<S>,
    pub(crate) hub: Hub,
    pub(crate) wake: Wake,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) keys: Arc<Keys>,
    pub(crate) pages: PageSealer,
    pub(crate) lifecycle: Handle,
}

/// Both services on one store.
pub(crate) struct Api<S>(Arc<State<S>>);

impl<S> Clone for Api<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Api<S> {
    pub(crate) fn new(state: Arc<State<S>>) -> Self {
        Self(state)
    }
}

/// What page tokens are bound to; users and services do not share names.
fn page_owner(caller: &Caller) -> String {
    match (caller.user(), caller.service_name()) {
        (Some(user), _) => format!("user {user}"),
        (None, Some(service)) => format!("service {service}"),
        (None, None) => String::new(),
    }
}

/// Services that act for nobody see every conversation; the table says which methods they get.
fn viewer(context: &CallContext) -> Viewer {
    context.caller.user().map_or(Viewer::Service, |user| Viewer::User(user.clone()))
}

type Reply<T> = Result<Response<T>, Status>;

/// A handler's way from a request to an answer.
async fn unary<Q, A, F>(request: Request<Q>, handle: impl FnOnce(CallContext, Q) -> F) -> Reply<A>
where
    F: Future<Output = error::Result<A>>,
{
    let context = CallContext::of(&request).map_err(into_status)?;
    let answer = handle(context, request.into_inner()).await;
    answer.map(Response::new).map_err(into_status)
}

#[tonic::async_trait]
impl<S: ConversationStore + Clone> ConversationService for Api<S> {
    type WatchMembershipsStream = watch_memberships::Pushes;

    async fn get_or_create_direct_conversation(
        &self,
        request: Request<GetOrCreateDirectConversationRequest>,
    ) -> Reply<GetOrCreateDirectConversationResponse> {
        unary(request, |context, message| get_or_create_direct::handle(&self.0, context, message)).await
    }

    async fn create_group_conversation(
        &self,
        request: Request<CreateGroupConversationRequest>,
    ) -> Reply<CreateGroupConversationResponse> {
        unary(request, |context, message| create_group::handle(&self.0, context, message)).await
    }

    async fn get_conversation(&self, request: Request<GetConversationRequest>) -> Reply<GetConversationResponse> {
        unary(request, |context, message| get_conversation::handle(&self.0, context, message)).await
    }

    async fn batch_get_conversations(
        &self,
        request: Request<BatchGetConversationsRequest>,
    ) -> Reply<BatchGetConversationsResponse> {
        unary(request, |context, message| batch_get_conversations::handle(&self.0, context, message)).await
    }

    async fn list_conversations(&self, request: Request<ListConversationsRequest>) -> Reply<ListConversationsResponse> {
        unary(request, |context, message| list_conversations::handle(&self.0, context, message)).await
    }

    async fn update_conversation(
        &self,
        request: Request<UpdateConversationRequest>,
    ) -> Reply<UpdateConversationResponse> {
        unary(request, |context, message| update_conversation::handle(&self.0, context, message)).await
    }

    async fn add_members(&self, request: Request<AddMembersRequest>) -> Reply<AddMembersResponse> {
        unary(request, |context, message| add_members::handle(&self.0, context, message)).await
    }

    async fn remove_member(&self, request: Request<RemoveMemberRequest>) -> Reply<RemoveMemberResponse> {
        unary(request, |context, message| remove_member::handle(&self.0, context, message)).await
    }

    async fn leave_conversation(&self, request: Request<LeaveConversationRequest>) -> Reply<LeaveConversationResponse> {
        unary(request, |context, message| leave_conversation::handle(&self.0, context, message)).await
    }

    async fn update_member_role(&self, request: Request<UpdateMemberRoleRequest>) -> Reply<UpdateMemberRoleResponse> {
        unary(request, |context, message| update_member_role::handle(&self.0, context, message)).await
    }

    async fn update_member_settings(
        &self,
        request: Request<UpdateMemberSettingsRequest>,
    ) -> Reply<UpdateMemberSettingsResponse> {
        unary(request, |context, message| update_member_settings::handle(&self.0, context, message)).await
    }

    async fn list_members(&self, request: Request<ListMembersRequest>) -> Reply<ListMembersResponse> {
        unary(request, |context, message| list_members::handle(&self.0, context, message)).await
    }

    async fn authorize_member(&self, request: Request<AuthorizeMemberRequest>) -> Reply<AuthorizeMemberResponse> {
        unary(request, |context, message| authorize_member::handle(&self.0, context, message)).await
    }

    async fn record_activity(&self, request: Request<RecordActivityRequest>) -> Reply<RecordActivityResponse> {
        unary(request, |context, message| record_activity::handle(&self.0, context, message)).await
    }

    async fn watch_memberships(
        &self,
        request: Request<Streaming<WatchMembershipsRequest>>,
    ) -> Reply<Self::WatchMembershipsStream> {
        watch_memberships::handle(&self.0, request).map(Response::new).map_err(into_status)
    }
}

#[tonic::async_trait]
impl<S: ConversationStore + Clone> UserDirectoryService for Api<S> {
    async fn upsert_users(&self, request: Request<UpsertUsersRequest>) -> Reply<UpsertUsersResponse> {
        unary(request, |context, message| upsert_users::handle(&self.0, context, message)).await
    }

    async fn batch_get_users(&self, request: Request<BatchGetUsersRequest>) -> Reply<BatchGetUsersResponse> {
        unary(request, |context, message| batch_get_users::handle(&self.0, context, message)).await
    }

    async fn search_users(&self, request: Request<SearchUsersRequest>) -> Reply<SearchUsersResponse> {
        unary(request, |context, message| search_users::handle(&self.0, context, message)).await
    }
}
