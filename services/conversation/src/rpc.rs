//! The gRPC face: one file for each method, which decodes, authorizes, acts and encodes. Here they are only delegated to.
//!
//! Map: `access` is the table of who may call what, `caller` refuses users who do not take part; `field` decodes; `change`
//! is what all changes of groups share.

mod access;
mod add_members;
mod authorize_member;
mod batch_authorize_members;
mod batch_check_shared;
mod batch_get_conversations;
mod batch_get_users;
mod block_user;
mod caller;
mod change;
mod create_group;
mod deactivate_user;
mod delete_conversation;
mod field;
mod get_conversation;
mod get_or_create_direct;
mod leave_conversation;
mod list_blocked_users;
mod list_conversations;
mod list_members;
mod record_activity;
mod remove_member;
mod search_users;
mod unblock_user;
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
use viberchat_kit::id::{SharedEntropy, UserId};
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

/// Whether the caller may see what is only for a user and for services. A service that acts for a user sees what that
/// user sees.
fn sees_private(context: &CallContext, user: &UserId) -> bool {
    context.caller.user().is_none_or(|caller| caller == user)
}

type Reply<T> = Result<Response<T>, Status>;

/// A handler's way from a request to an answer.
async fn unary<S, Q, A, F>(state: &State<S>, request: Request<Q>, handle: impl FnOnce(CallContext, Q) -> F) -> Reply<A>
where
    S: ConversationStore,
    F: Future<Output = error::Result<A>>,
{
    let context = CallContext::of(&request).map_err(into_status)?;
    caller::check(state, &context).await.map_err(into_status)?;
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
        unary(&self.0, request, |context, message| get_or_create_direct::handle(&self.0, context, message)).await
    }

    async fn create_group_conversation(
        &self,
        request: Request<CreateGroupConversationRequest>,
    ) -> Reply<CreateGroupConversationResponse> {
        unary(&self.0, request, |context, message| create_group::handle(&self.0, context, message)).await
    }

    async fn get_conversation(&self, request: Request<GetConversationRequest>) -> Reply<GetConversationResponse> {
        unary(&self.0, request, |context, message| get_conversation::handle(&self.0, context, message)).await
    }

    async fn batch_get_conversations(
        &self,
        request: Request<BatchGetConversationsRequest>,
    ) -> Reply<BatchGetConversationsResponse> {
        unary(&self.0, request, |context, message| batch_get_conversations::handle(&self.0, context, message)).await
    }

    async fn list_conversations(&self, request: Request<ListConversationsRequest>) -> Reply<ListConversationsResponse> {
        unary(&self.0, request, |context, message| list_conversations::handle(&self.0, context, message)).await
    }

    async fn delete_conversation(
        &self,
        request: Request<DeleteConversationRequest>,
    ) -> Reply<DeleteConversationResponse> {
        unary(&self.0, request, |context, message| delete_conversation::handle(&self.0, context, message)).await
    }

    async fn update_conversation(
        &self,
        request: Request<UpdateConversationRequest>,
    ) -> Reply<UpdateConversationResponse> {
        unary(&self.0, request, |context, message| update_conversation::handle(&self.0, context, message)).await
    }

    async fn add_members(&self, request: Request<AddMembersRequest>) -> Reply<AddMembersResponse> {
        unary(&self.0, request, |context, message| add_members::handle(&self.0, context, message)).await
    }

    async fn remove_member(&self, request: Request<RemoveMemberRequest>) -> Reply<RemoveMemberResponse> {
        unary(&self.0, request, |context, message| remove_member::handle(&self.0, context, message)).await
    }

    async fn leave_conversation(&self, request: Request<LeaveConversationRequest>) -> Reply<LeaveConversationResponse> {
        unary(&self.0, request, |context, message| leave_conversation::handle(&self.0, context, message)).await
    }

    async fn update_member_role(&self, request: Request<UpdateMemberRoleRequest>) -> Reply<UpdateMemberRoleResponse> {
        unary(&self.0, request, |context, message| update_member_role::handle(&self.0, context, message)).await
    }

    async fn update_member_settings(
        &self,
        request: Request<UpdateMemberSettingsRequest>,
    ) -> Reply<UpdateMemberSettingsResponse> {
        unary(&self.0, request, |context, message| update_member_settings::handle(&self.0, context, message)).await
    }

    async fn list_members(&self, request: Request<ListMembersRequest>) -> Reply<ListMembersResponse> {
        unary(&self.0, request, |context, message| list_members::handle(&self.0, context, message)).await
    }

    async fn block_user(&self, request: Request<BlockUserRequest>) -> Reply<BlockUserResponse> {
        unary(&self.0, request, |context, message| block_user::handle(&self.0, context, message)).await
    }

    async fn unblock_user(&self, request: Request<UnblockUserRequest>) -> Reply<UnblockUserResponse> {
        unary(&self.0, request, |context, message| unblock_user::handle(&self.0, context, message)).await
    }

    async fn list_blocked_users(&self, request: Request<ListBlockedUsersRequest>) -> Reply<ListBlockedUsersResponse> {
        unary(&self.0, request, |context, message| list_blocked_users::handle(&self.0, context, message)).await
    }

    async fn authorize_member(&self, request: Request<AuthorizeMemberRequest>) -> Reply<AuthorizeMemberResponse> {
        unary(&self.0, request, |context, message| authorize_member::handle(&self.0, context, message)).await
    }

    async fn batch_authorize_members(
        &self,
        request: Request<BatchAuthorizeMembersRequest>,
    ) -> Reply<BatchAuthorizeMembersResponse> {
        unary(&self.0, request, |context, message| batch_authorize_members::handle(&self.0, context, message)).await
    }

    async fn batch_check_shared(&self, request: Request<BatchCheckSharedRequest>) -> Reply<BatchCheckSharedResponse> {
        unary(&self.0, request, |context, message| batch_check_shared::handle(&self.0, context, message)).await
    }

    async fn record_activity(&self, request: Request<RecordActivityRequest>) -> Reply<RecordActivityResponse> {
        unary(&self.0, request, |context, message| record_activity::handle(&self.0, context, message)).await
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
        unary(&self.0, request, |context, message| upsert_users::handle(&self.0, context, message)).await
    }

    async fn batch_get_users(&self, request: Request<BatchGetUsersRequest>) -> Reply<BatchGetUsersResponse> {
        unary(&self.0, request, |context, message| batch_get_users::handle(&self.0, context, message)).await
    }

    async fn search_users(&self, request: Request<SearchUsersRequest>) -> Reply<SearchUsersResponse> {
        unary(&self.0, request, |context, message| search_users::handle(&self.0, context, message)).await
    }

    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Reply<DeactivateUserResponse> {
        unary(&self.0, request, |context, message| deactivate_user::handle(&self.0, context, message)).await
    }
}
