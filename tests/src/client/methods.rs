//! What users may call, each with its names at the three doors: a frame of the client protocol, and a method over HTTP and gRPC.

use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use viberchat_proto::{
    conversation::v1 as conversation,
    gateway::v1::{self as gateway, client_frame, reply},
    message::v1 as message,
    presence::v1 as presence,
};

/// Something to ask for.
pub trait Ask: Send + 'static {
    /// What is sent.
    type Request: Message + Serialize + Clone + Send + Sync + 'static;
    /// What is answered.
    type Response: Message + Default + DeserializeOwned + Send + Sync + 'static;
}

/// A frame of the client protocol.
pub trait Frame: Ask {
    /// The field of `ClientFrame`.
    const FRAME: &'static str;

    /// The client's frame.
    fn frame(request: Self::Request) -> client_frame::Request;
    /// The reply's content, if the reply is to such a frame.
    fn response(result: Option<reply::Result>) -> Option<Self::Response>;
}

/// A unary method of a service.
pub trait Method: Ask {
    /// `package.Service/Method`.
    const PATH: &'static str;
}

macro_rules! asks {
    ($($(#[$doc:meta])* $name:ident: $area:ident $request:ident -> $response:ident;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl Ask for $name {
                type Request = $area::$request;
                type Response = $area::$response;
            }
        )*
    };
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $area:ident $service:literal $request:ident -> $response:ident $(as $frame:ident $field:literal)?;)*) => {
        asks! { $($(#[$doc])* $name: $area $request -> $response;)* }

        $(
            impl Method for $name {
                const PATH: &'static str = concat!("viberchat.", stringify!($area), ".v1.", $service, "/", stringify!($name));
            }

            $(frame! { $name as $frame $field })?
        )*
    };
}

macro_rules! frame {
    ($name:ident as $frame:ident $field:literal) => {
        impl Frame for $name {
            const FRAME: &'static str = $field;

            fn frame(request: Self::Request) -> client_frame::Request {
                client_frame::Request::$frame(request)
            }

            fn response(result: Option<reply::Result>) -> Option<Self::Response> {
                match result {
                    Some(reply::Result::$frame(response)) => Some(response),
                    _ => None,
                }
            }
        }
    };
    // Answered without content.
    ($name:ident as $frame:ident $field:literal, empty) => {
        impl Frame for $name {
            const FRAME: &'static str = $field;

            fn frame(request: Self::Request) -> client_frame::Request {
                client_frame::Request::$frame(request)
            }

            fn response(result: Option<reply::Result>) -> Option<Self::Response> {
                result.is_none().then(Self::Response::default)
            }
        }
    };
}

methods! {
    /// Sends a message.
    SendMessage: message "MessageService" SendMessageRequest -> SendMessageResponse as Send "send";
    /// Edits one.
    EditMessage: message "MessageService" EditMessageRequest -> EditMessageResponse as Edit "edit";
    /// Deletes one.
    DeleteMessage: message "MessageService" DeleteMessageRequest -> DeleteMessageResponse as Delete "delete";
    /// Reacts to one.
    AddReaction: message "MessageService" AddReactionRequest -> AddReactionResponse as React "react";
    /// Takes a reaction back.
    RemoveReaction: message "MessageService" RemoveReactionRequest -> RemoveReactionResponse as Unreact "unreact";
    /// Pins a message.
    PinMessage: message "MessageService" PinMessageRequest -> PinMessageResponse as Pin "pin";
    /// Takes a pin away.
    UnpinMessage: message "MessageService" UnpinMessageRequest -> UnpinMessageResponse as Unpin "unpin";
    /// The pinned messages.
    ListPinnedMessages: message "MessageService"
        ListPinnedMessagesRequest -> ListPinnedMessagesResponse as ListPinned "list_pinned";
    /// One message.
    GetMessage: message "MessageService" GetMessageRequest -> GetMessageResponse as GetMessage "get_message";
    /// Moves the read position.
    MarkRead: message "MessageService" MarkReadRequest -> MarkReadResponse as MarkRead "mark_read";
    /// Moves the delivered position.
    MarkDelivered: message "MessageService" MarkDeliveredRequest -> MarkDeliveredResponse as MarkDelivered "mark_delivered";
    /// Lists messages.
    ListMessages: message "MessageService" ListMessagesRequest -> ListMessagesResponse as ListMessages "list_messages";
    /// Reads the log.
    ReadLog: message "MessageService" ReadLogRequest -> ReadLogResponse as ReadLog "read_log";
    /// Heads and unread counts.
    BatchGetHeads: message "MessageService" BatchGetHeadsRequest -> BatchGetHeadsResponse as GetHeads "get_heads";
    /// Read and delivered positions.
    ListPositions: message "MessageService" ListPositionsRequest -> ListPositionsResponse as ListPositions "list_positions";
    /// One's conversations.
    ListConversations: conversation "ConversationService"
        ListConversationsRequest -> ListConversationsResponse as ListConversations "list_conversations";
    /// One conversation.
    GetConversation: conversation "ConversationService"
        GetConversationRequest -> GetConversationResponse as GetConversation "get_conversation";
    /// Several.
    BatchGetConversations: conversation "ConversationService" BatchGetConversationsRequest -> BatchGetConversationsResponse;
    /// The direct with a user.
    GetOrCreateDirectConversation: conversation "ConversationService"
        GetOrCreateDirectConversationRequest -> GetOrCreateDirectConversationResponse as StartDirect "start_direct";
    /// A new group.
    CreateGroupConversation: conversation "ConversationService"
        CreateGroupConversationRequest -> CreateGroupConversationResponse as CreateGroup "create_group";
    /// Renames a group.
    UpdateConversation: conversation "ConversationService"
        UpdateConversationRequest -> UpdateConversationResponse as UpdateConversation "update_conversation";
    /// Deletes a group for everyone.
    DeleteConversation: conversation "ConversationService"
        DeleteConversationRequest -> DeleteConversationResponse as DeleteConversation "delete_conversation";
    /// Adds members.
    AddMembers: conversation "ConversationService" AddMembersRequest -> AddMembersResponse as AddMembers "add_members";
    /// Removes a member.
    RemoveMember: conversation "ConversationService"
        RemoveMemberRequest -> RemoveMemberResponse as RemoveMember "remove_member";
    /// Leaves.
    LeaveConversation: conversation "ConversationService"
        LeaveConversationRequest -> LeaveConversationResponse as Leave "leave";
    /// Changes a role.
    UpdateMemberRole: conversation "ConversationService"
        UpdateMemberRoleRequest -> UpdateMemberRoleResponse as UpdateRole "update_role";
    /// The members.
    ListMembers: conversation "ConversationService" ListMembersRequest -> ListMembersResponse as ListMembers "list_members";
    /// One's own settings.
    UpdateMemberSettings: conversation "ConversationService"
        UpdateMemberSettingsRequest -> UpdateMemberSettingsResponse as UpdateSettings "update_settings";
    /// Blocks a user.
    BlockUser: conversation "ConversationService" BlockUserRequest -> BlockUserResponse as BlockUser "block_user";
    /// Takes a block away.
    UnblockUser: conversation "ConversationService" UnblockUserRequest -> UnblockUserResponse as UnblockUser "unblock_user";
    /// Whom one has blocked.
    ListBlockedUsers: conversation "ConversationService"
        ListBlockedUsersRequest -> ListBlockedUsersResponse as ListBlocked "list_blocked";
    /// Profiles.
    BatchGetUsers: conversation "UserDirectoryService" BatchGetUsersRequest -> BatchGetUsersResponse as GetUsers "get_users";
    /// Finds users.
    SearchUsers: conversation "UserDirectoryService" SearchUsersRequest -> SearchUsersResponse as SearchUsers "search_users";
    /// Says that one types.
    SetTyping: presence "PresenceService" SetTypingRequest -> SetTypingResponse as SetTyping "set_typing";
    /// Sets one's status.
    SetStatus: presence "PresenceService" SetStatusRequest -> SetStatusResponse as SetStatus "set_status";
    /// Presences, once.
    BatchGetPresence: presence "PresenceService" BatchGetPresenceRequest -> BatchGetPresenceResponse;
}

asks! {
    /// Follows the presence of users.
    WatchPresence: gateway WatchPresence -> WatchedPresence;
    /// Follows it no more.
    UnwatchPresence: gateway UnwatchPresence -> Ready;
    /// Names what is on the screen.
    Focus: gateway Focus -> Ready;
    /// Gives the session a newer token.
    RefreshToken: gateway RefreshToken -> RefreshedToken;
    /// Lives.
    Heartbeat: gateway Heartbeat -> Ready;
}

frame! { WatchPresence as WatchPresence "watch_presence" }
frame! { UnwatchPresence as UnwatchPresence "unwatch_presence", empty }
frame! { Focus as Focus "focus", empty }
frame! { RefreshToken as RefreshToken "refresh_token" }
frame! { Heartbeat as Heartbeat "heartbeat", empty }
