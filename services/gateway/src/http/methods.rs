//! The unary methods that users may call as JSON over HTTP: one line each. What stands here and what the services' own
//! tables give to users is the same; a test walks the descriptors.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;
use viberchat_kit::auth::{Access, CallContext, Caller, MethodRule};
use viberchat_kit::error::{Error, Outcome, Result};
use viberchat_kit::rpc::for_caller;
use viberchat_proto::conversation::v1 as conversation;
use viberchat_proto::message::v1 as message;
use viberchat_proto::presence::v1 as presence;

use crate::upstream::{Upstream, refused};

/// The answer as JSON.
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

/// Its calls are heard of here first.
pub(crate) const SET_TYPING: &str = "/viberchat.presence.v1.PresenceService/SetTyping";

/// The conversation of a [`SET_TYPING`].
pub(crate) fn conversation_of_typing(body: &[u8]) -> String {
    decode(body).map(|request: presence::SetTypingRequest| request.conversation_id).unwrap_or_default()
}

/// Its calls count against the rate of sends.
pub(crate) const SEND_MESSAGE: &str = "/viberchat.message.v1.MessageService/SendMessage";

macro_rules! methods {
    ($($path:literal $client:ident.$method:ident($request:ty) $prepare:ident)*) => {
        /// Whom each takes: the services say the same once more.
        pub(crate) const METHODS: &[MethodRule] = &[$(MethodRule::unary($path, Access::USERS),)*];

        /// Begins a call. `None`: no such method.
        pub(crate) fn call(upstream: &Upstream, context: CallContext, path: &str, body: &[u8]) -> Option<Result<Call>> {
            match path {
                $($path => Some(decode::<$request>(body).map(|mut request| {
                    $prepare(&mut request, &context);
                    let mut client = upstream.$client.clone();
                    let call: Call = Box::pin(async move {
                        let answer = client.$method(for_caller(&context, request)).await.map_err(refused)?;
                        Ok(encode(&answer.into_inner()))
                    });
                    call
                })),)*
                _ => None,
            }
        }
    };
}

methods! {
    "/viberchat.message.v1.MessageService/SendMessage" message.send_message(message::SendMessageRequest) by_http
    "/viberchat.message.v1.MessageService/EditMessage" message.edit_message(message::EditMessageRequest) as_is
    "/viberchat.message.v1.MessageService/DeleteMessage" message.delete_message(message::DeleteMessageRequest) as_is
    "/viberchat.message.v1.MessageService/AddReaction" message.add_reaction(message::AddReactionRequest) as_is
    "/viberchat.message.v1.MessageService/RemoveReaction"
        message.remove_reaction(message::RemoveReactionRequest) as_is
    "/viberchat.message.v1.MessageService/PinMessage" message.pin_message(message::PinMessageRequest) as_is
    "/viberchat.message.v1.MessageService/UnpinMessage" message.unpin_message(message::UnpinMessageRequest) as_is
    "/viberchat.message.v1.MessageService/ListPinnedMessages"
        message.list_pinned_messages(message::ListPinnedMessagesRequest) as_is
    "/viberchat.message.v1.MessageService/GetMessage" message.get_message(message::GetMessageRequest) as_is
    "/viberchat.message.v1.MessageService/ListMessages" message.list_messages(message::ListMessagesRequest) as_is
    "/viberchat.message.v1.MessageService/ReadLog" message.read_log(message::ReadLogRequest) as_is
    "/viberchat.message.v1.MessageService/BatchGetHeads" message.batch_get_heads(message::BatchGetHeadsRequest) as_is
    "/viberchat.message.v1.MessageService/MarkRead" message.mark_read(message::MarkReadRequest) as_is
    "/viberchat.message.v1.MessageService/MarkDelivered"
        message.mark_delivered(message::MarkDeliveredRequest) as_is
    "/viberchat.message.v1.MessageService/ListPositions" message.list_positions(message::ListPositionsRequest) as_is
    "/viberchat.conversation.v1.ConversationService/GetOrCreateDirectConversation"
        conversation.get_or_create_direct_conversation(conversation::GetOrCreateDirectConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/CreateGroupConversation"
        conversation.create_group_conversation(conversation::CreateGroupConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/GetConversation"
        conversation.get_conversation(conversation::GetConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/BatchGetConversations"
        conversation.batch_get_conversations(conversation::BatchGetConversationsRequest) as_is
    "/viberchat.conversation.v1.ConversationService/ListConversations"
        conversation.list_conversations(conversation::ListConversationsRequest) as_is
    "/viberchat.conversation.v1.ConversationService/UpdateConversation"
        conversation.update_conversation(conversation::UpdateConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/AddMembers"
        conversation.add_members(conversation::AddMembersRequest) as_is
    "/viberchat.conversation.v1.ConversationService/RemoveMember"
        conversation.remove_member(conversation::RemoveMemberRequest) as_is
    "/viberchat.conversation.v1.ConversationService/LeaveConversation"
        conversation.leave_conversation(conversation::LeaveConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/UpdateMemberRole"
        conversation.update_member_role(conversation::UpdateMemberRoleRequest) as_is
    "/viberchat.conversation.v1.ConversationService/UpdateMemberSettings"
        conversation.update_member_settings(conversation::UpdateMemberSettingsRequest) as_is
    "/viberchat.conversation.v1.ConversationService/ListMembers"
        conversation.list_members(conversation::ListMembersRequest) as_is
    "/viberchat.conversation.v1.ConversationService/DeleteConversation"
        conversation.delete_conversation(conversation::DeleteConversationRequest) as_is
    "/viberchat.conversation.v1.ConversationService/BlockUser"
        conversation.block_user(conversation::BlockUserRequest) as_is
    "/viberchat.conversation.v1.ConversationService/UnblockUser"
        conversation.unblock_user(conversation::UnblockUserRequest) as_is
    "/viberchat.conversation.v1.ConversationService/ListBlockedUsers"
        conversation.list_blocked_users(conversation::ListBlockedUsersRequest) as_is
    "/viberchat.conversation.v1.UserDirectoryService/BatchGetUsers"
        directory.batch_get_users(conversation::BatchGetUsersRequest) as_is
    "/viberchat.conversation.v1.UserDirectoryService/SearchUsers"
        directory.search_users(conversation::SearchUsersRequest) as_is
    "/viberchat.presence.v1.PresenceService/SetStatus" presence.set_status(presence::SetStatusRequest) as_is
    "/viberchat.presence.v1.PresenceService/BatchGetPresence"
        presence.batch_get_presence(presence::BatchGetPresenceRequest) as_is
    "/viberchat.presence.v1.PresenceService/SetTyping" presence.set_typing(presence::SetTypingRequest) as_is
}

fn as_is<T>(_: &mut T, _: &CallContext) {}

/// The door is ours to say, and only a service may leave the sender's position where it is.
fn by_http(request: &mut message::SendMessageRequest, context: &CallContext) {
    request.door = message::Door::Http.into();
    if matches!(context.caller, Caller::User(_)) {
        request.keep_read_position = false;
    }
}

/// Nothing at all is the empty request.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("is not JSON of the request (line {}, column {})", error.line(), error.column());
        Error::invalid_argument("body", place).with_outcome(Outcome::NotAttempted)
    })
}

fn encode(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("a protobuf message always has a JSON form")
}

#[cfg(test)]
mod tests;
