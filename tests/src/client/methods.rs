//! The methods that users may call, each with its names at the three doors.

use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use viberchat_proto::{
    conversation::v1 as conversation,
    gateway::v1::{client_frame, reply},
    message::v1 as message,
};

/// A unary method of a service.
pub trait Method: Send + 'static {
    /// What is sent.
    type Request: Message + Serialize + Clone + Send + Sync + 'static;
    /// What is answered.
    type Response: Message + Default + DeserializeOwned + Send + Sync + 'static;
    /// `package.Service/Method`.
    const PATH: &'static str;

    /// The client's frame.
    fn frame(request: Self::Request) -> client_frame::Request;
    /// The reply's content, if the reply is to such a frame.
    fn response(result: reply::Result) -> Option<Self::Response>;
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $area:ident $service:literal $request:ident -> $response:ident as $frame:ident;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl Method for $name {
                type Request = $area::$request;
                type Response = $area::$response;
                const PATH: &'static str = concat!("viberchat.", stringify!($area), ".v1.", $service, "/", stringify!($name));

                fn frame(request: Self::Request) -> client_frame::Request {
                    client_frame::Request::$frame(request)
                }

                fn response(result: reply::Result) -> Option<Self::Response> {
                    match result {
                        reply::Result::$frame(response) => Some(response),
                        _ => None,
                    }
                }
            }
        )*
    };
}

methods! {
    /// Sends a message.
    SendMessage: message "MessageService" SendMessageRequest -> SendMessageResponse as Send;
    /// Edits one.
    EditMessage: message "MessageService" EditMessageRequest -> EditMessageResponse as Edit;
    /// Deletes one.
    DeleteMessage: message "MessageService" DeleteMessageRequest -> DeleteMessageResponse as Delete;
    /// Moves the read position.
    MarkRead: message "MessageService" MarkReadRequest -> MarkReadResponse as MarkRead;
    /// Lists messages.
    ListMessages: message "MessageService" ListMessagesRequest -> ListMessagesResponse as ListMessages;
    /// Reads the log.
    ReadLog: message "MessageService" ReadLogRequest -> ReadLogResponse as ReadLog;
    /// Heads and unread counts.
    BatchGetHeads: message "MessageService" BatchGetHeadsRequest -> BatchGetHeadsResponse as GetHeads;
    /// Read positions.
    ListPositions: message "MessageService" ListPositionsRequest -> ListPositionsResponse as ListPositions;
    /// One's conversations.
    ListConversations: conversation "ConversationService" ListConversationsRequest -> ListConversationsResponse as ListConversations;
    /// One conversation.
    GetConversation: conversation "ConversationService" GetConversationRequest -> GetConversationResponse as GetConversation;
    /// The direct with a user.
    GetOrCreateDirectConversation: conversation "ConversationService"
        GetOrCreateDirectConversationRequest -> GetOrCreateDirectConversationResponse as StartDirect;
    /// A new group.
    CreateGroupConversation: conversation "ConversationService"
        CreateGroupConversationRequest -> CreateGroupConversationResponse as CreateGroup;
    /// Renames a group.
    UpdateConversation: conversation "ConversationService"
        UpdateConversationRequest -> UpdateConversationResponse as UpdateConversation;
    /// Adds members.
    AddMembers: conversation "ConversationService" AddMembersRequest -> AddMembersResponse as AddMembers;
    /// Removes a member.
    RemoveMember: conversation "ConversationService" RemoveMemberRequest -> RemoveMemberResponse as RemoveMember;
    /// Leaves.
    LeaveConversation: conversation "ConversationService" LeaveConversationRequest -> LeaveConversationResponse as Leave;
    /// The members.
    ListMembers: conversation "ConversationService" ListMembersRequest -> ListMembersResponse as ListMembers;
}
