//! The scripted conversation service.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::CallContext;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationService;
use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService;
use viberchat_proto::conversation::v1::watch_memberships_request::Request as Change;
use viberchat_proto::conversation::v1::watch_memberships_response::Push;
use viberchat_proto::conversation::v1::*;

use super::message::until_first_ends;
use super::world::{State, Watcher, World};

/// Methods that answer with nothing in it, and are noted.
macro_rules! noted {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(
            fn $method<'life0, 'async_trait>(
                &'life0 self,
                _: Request<$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                self.0.lock().noted.push(stringify!($method));
                Box::pin(async { Ok(Response::new(<$response>::default())) })
            }
        )*
    };
}
pub(crate) use noted;

macro_rules! not_scripted {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(
            fn $method<'life0, 'async_trait>(
                &'life0 self,
                _: Request<$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(async { Err(Status::unimplemented("not part of the script")) })
            }
        )*
    };
}

#[tonic::async_trait]
impl ConversationService for World {
    type WatchMembershipsStream = Pin<Box<dyn Stream<Item = Result<WatchMembershipsResponse, Status>> + Send>>;

    not_scripted! {
        get_or_create_direct_conversation(GetOrCreateDirectConversationRequest) -> GetOrCreateDirectConversationResponse;
        create_group_conversation(CreateGroupConversationRequest) -> CreateGroupConversationResponse;
        batch_get_conversations(BatchGetConversationsRequest) -> BatchGetConversationsResponse;
        list_conversations(ListConversationsRequest) -> ListConversationsResponse;
        update_conversation(UpdateConversationRequest) -> UpdateConversationResponse;
        add_members(AddMembersRequest) -> AddMembersResponse;
        remove_member(RemoveMemberRequest) -> RemoveMemberResponse;
        leave_conversation(LeaveConversationRequest) -> LeaveConversationResponse;
        update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse;
        update_member_settings(UpdateMemberSettingsRequest) -> UpdateMemberSettingsResponse;
        list_members(ListMembersRequest) -> ListMembersResponse;
        authorize_member(AuthorizeMemberRequest) -> AuthorizeMemberResponse;
        record_activity(RecordActivityRequest) -> RecordActivityResponse;
        batch_check_shared(BatchCheckSharedRequest) -> BatchCheckSharedResponse;
    }

    noted! {
        delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse;
        block_user(BlockUserRequest) -> BlockUserResponse;
        unblock_user(UnblockUserRequest) -> UnblockUserResponse;
        list_blocked_users(ListBlockedUsersRequest) -> ListBlockedUsersResponse;
    }

    async fn batch_authorize_members(
        &self,
        request: Request<BatchAuthorizeMembersRequest>,
    ) -> Result<Response<BatchAuthorizeMembersResponse>, Status> {
        let mut state = self.0.lock();
        let requests = request.into_inner().requests;
        state.authorizations += requests.len();
        let responses = requests.iter().map(|request| state.authorize(request)).collect();
        Ok(Response::new(BatchAuthorizeMembersResponse { responses }))
    }

    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Result<Response<GetConversationResponse>, Status> {
        let context = CallContext::of(&request)?;
        let conversation_id = request.into_inner().conversation_id;
        self.0.lock().log_for(&conversation_id, context.user()?.as_str())?;
        let conversation = Conversation { conversation_id, ..Conversation::default() };
        Ok(Response::new(GetConversationResponse { conversation: Some(conversation) }))
    }

    async fn watch_memberships(
        &self,
        request: Request<Streaming<WatchMembershipsRequest>>,
    ) -> Result<Response<Self::WatchMembershipsStream>, Status> {
        let (sender, receiver) = unbounded_channel();
        let index = {
            let mut state = self.0.lock();
            state.watchers.push(Watcher { sender, users: <_>::default() });
            state.watchers.len() - 1
        };
        let world = self.clone();
        let requests = request.into_inner();
        let reading = futures::stream::unfold((requests, world), move |(mut requests, world)| async move {
            while let Some(Ok(request)) = requests.next().await {
                let correlation_id = request.context.unwrap_or_default().correlation_id;
                world.change_watch(index, request.request, correlation_id);
            }
            None::<(Result<WatchMembershipsResponse, Status>, _)>
        });
        let pushes = UnboundedReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(until_first_ends(pushes, reading))))
    }
}

impl World {
    fn change_watch(&self, index: usize, change: Option<Change>, correlation_id: u64) {
        let mut state = self.0.lock();
        let state = &mut *state;
        if state.memberships_hang {
            return;
        }
        match change {
            Some(Change::AddUserId(user)) => state.follow_from_snapshot(index, user, correlation_id),
            Some(Change::Resume(WatchMembershipsResume { user_id, membership_version })) => {
                if membership_version < state.changes_since {
                    return state.follow_from_snapshot(index, user_id, correlation_id);
                }
                state.resumes.push(user_id.clone());
                let missed = state.changes.iter().filter(|change| change.user_id == user_id);
                let missed = missed.filter(|change| change.membership_version > membership_version).cloned();
                let resumed = MembershipsResumed { correlation_id, user_id: user_id.clone() };
                let Some(watcher) = state.watchers.get_mut(index) else { return };
                for push in [Push::Resumed(resumed)].into_iter().chain(missed.map(Push::Change)) {
                    let _sent = watcher.sender.send(Ok(WatchMembershipsResponse { push: Some(push) }));
                }
                watcher.users.insert(user_id);
            }
            Some(Change::RemoveUserId(user)) => {
                if let Some(watcher) = state.watchers.get_mut(index) {
                    watcher.users.remove(&user);
                }
            }
            None => {}
        }
    }
}

impl State {
    /// In two pages, so that both kinds are there.
    fn follow_from_snapshot(&mut self, index: usize, user: String, correlation_id: u64) {
        let of_user = self.conversations.iter().filter(|(_, conversation)| conversation.members.contains(&user));
        let memberships: Vec<_> = of_user.map(|(id, _)| self.membership(*id)).collect();
        let membership_version = self.membership_version();
        self.snapshots.push(user.clone());
        let Some(watcher) = self.watchers.get_mut(index) else { return };
        let (first, last) = memberships.split_at(memberships.len() / 2);
        for (page, is_last) in [(first, false), (last, true)] {
            let snapshot = MembershipSnapshot {
                correlation_id,
                user_id: user.clone(),
                memberships: page.to_vec(),
                last: is_last,
                membership_version,
            };
            let push = Some(Push::Snapshot(snapshot));
            let _sent = watcher.sender.send(Ok(WatchMembershipsResponse { push }));
        }
        watcher.users.insert(user);
    }
}

#[tonic::async_trait]
impl UserDirectoryService for World {
    not_scripted! {
        upsert_users(UpsertUsersRequest) -> UpsertUsersResponse;
        search_users(SearchUsersRequest) -> SearchUsersResponse;
        deactivate_user(DeactivateUserRequest) -> DeactivateUserResponse;
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let bare = |user_id: String| User { user_id, ..User::default() };
        let users = request.into_inner().user_ids.into_iter().map(bare).collect();
        Ok(Response::new(BatchGetUsersResponse { users }))
    }
}
