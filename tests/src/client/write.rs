//! Writes, with their place in the history.

use viberchat_proto::{conversation::v1 as conversation, message::v1 as message, types::v1::HistoryVisibility};

use super::{
    AddMembers, AddReaction, BlockUser, Client, CreateGroupConversation, DeleteMessage, EditMessage,
    GetOrCreateDirectConversation, LeaveConversation, MarkDelivered, MarkRead, PinMessage, Refusal, RemoveMember,
    RemoveReaction, SendMessage, UnblockUser, UnpinMessage, UpdateConversation,
    socket::{Pending, read_answer},
};
use crate::history::{Action, Answer, Block, Call, CallId, Delivery, DirectCall, Door, Mark, MarkAnswer};

/// A request about a message: all of them have the same fields, and some one more.
macro_rules! change {
    ($request:ident, $attempt:ident, $message_id:ident $(, $field:ident: $value:expr)*) => {
        message::$request {
            conversation_id: $attempt.conversation.clone(),
            message_id: $message_id.clone(),
            request_id: $attempt.request_id.clone(),
            known_seq: $attempt.known_seq,
            $($field: $value,)*
        }
    };
}

/// The answers to them are alike too.
macro_rules! changed {
    ($answered:expr) => {
        match $answered {
            Ok((response, _)) => stored_answer(response.seq, response.duplicate, response.message),
            Err(refusal) => refusal.answer(),
        }
    };
}

/// A write that can be tried again: the same id and the same known head at every try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where.
    pub conversation: String,
    /// The id.
    pub request_id: String,
    /// The head that the client knew when it first tried.
    pub known_seq: Option<u64>,
    /// What.
    pub action: Action,
}

/// A send on its way.
pub struct Sent {
    call: CallId,
    pending: Pending,
}

impl Client {
    /// Tries a write to the log by a door.
    pub async fn attempt(&self, door: Door, attempt: &Attempt) -> Answer {
        let call = self.begin_call(door, attempt);
        let answer = match &attempt.action {
            Action::Send { text, reply_to } => {
                let sent = self.call::<SendMessage>(door, send_request(attempt, text, reply_to.as_ref())).await;
                sent_answer(sent.map(|(response, _)| response))
            }
            Action::Edit { message_id, text } => {
                let request = change!(EditMessageRequest, attempt, message_id, text: text.clone(), mentioned_user_ids: Vec::new());
                changed!(self.call::<EditMessage>(door, request).await)
            }
            Action::Delete { message_id } => {
                let request = change!(DeleteMessageRequest, attempt, message_id);
                changed!(self.call::<DeleteMessage>(door, request).await)
            }
            Action::React { message_id, emoji } => {
                let request = change!(AddReactionRequest, attempt, message_id, emoji: emoji.clone());
                changed!(self.call::<AddReaction>(door, request).await)
            }
            Action::Unreact { message_id, emoji } => {
                let request = change!(RemoveReactionRequest, attempt, message_id, emoji: emoji.clone());
                changed!(self.call::<RemoveReaction>(door, request).await)
            }
            Action::Pin { message_id } => {
                let request = change!(PinMessageRequest, attempt, message_id);
                changed!(self.call::<PinMessage>(door, request).await)
            }
            Action::Unpin { message_id } => {
                let request = change!(UnpinMessageRequest, attempt, message_id);
                changed!(self.call::<UnpinMessage>(door, request).await)
            }
            Action::AddMembers { members } => {
                let request = conversation::AddMembersRequest {
                    conversation_id: attempt.conversation.clone(),
                    user_ids: members.clone(),
                    request_id: attempt.request_id.clone(),
                };
                let answered = self.call::<AddMembers>(door, request).await;
                system_answer(answered.map(|(response, _)| (response.seq, response.pending)))
            }
            Action::RemoveMember { member } => self.remove(door, attempt, member).await,
            Action::Update => {
                let request = conversation::UpdateConversationRequest {
                    conversation_id: attempt.conversation.clone(),
                    name: Some(attempt.request_id.clone()),
                    request_id: attempt.request_id.clone(),
                    ..Default::default()
                };
                let answered = self.call::<UpdateConversation>(door, request).await;
                system_answer(answered.map(|(response, _)| (response.seq, response.pending)))
            }
            Action::CreateGroup { .. } => Answer::NotAttempted("groups are made by `create_group`".into()),
        };
        self.recorder().end(call, answer.clone());
        answer
    }

    async fn remove(&self, door: Door, attempt: &Attempt, member: &str) -> Answer {
        let (conversation_id, request_id) = (attempt.conversation.clone(), attempt.request_id.clone());
        if member == self.user() {
            let request = conversation::LeaveConversationRequest { conversation_id, request_id };
            let answered = self.call::<LeaveConversation>(door, request).await;
            return system_answer(answered.map(|(response, _)| (response.seq, response.pending)));
        }
        let request = conversation::RemoveMemberRequest { conversation_id, user_id: member.to_owned(), request_id };
        let answered = self.call::<RemoveMember>(door, request).await;
        system_answer(answered.map(|(response, _)| (response.seq, response.pending)))
    }

    /// Puts a send on the socket without waiting for its answer. `None`: no session; nothing was sent.
    pub async fn begin_send(&self, attempt: &Attempt) -> Option<Sent> {
        let Action::Send { text, reply_to } = &attempt.action else { return None };
        let socket = self.socket()?;
        let call = self.begin_call(Door::Socket, attempt);
        match socket.begin::<SendMessage>(send_request(attempt, text, reply_to.as_ref())).await {
            Ok(pending) => Some(Sent { call, pending }),
            Err(refusal) => {
                self.recorder().end(call, refusal.answer());
                None
            }
        }
    }

    /// Waits for the answer of a send on its way.
    pub async fn finish_send(&self, sent: Sent) -> Answer {
        let answered = read_answer::<SendMessage>(sent.pending).await;
        let answer = sent_answer(answered.map(|(response, _)| response));
        self.recorder().end(sent.call, answer.clone());
        answer
    }

    /// Makes a group and returns its id.
    ///
    /// # Errors
    /// The refusal.
    pub async fn create_group(&self, door: Door, members: &[String], request_id: &str) -> Result<String, Refusal> {
        self.create_group_with(door, members, request_id, HistoryVisibility::Shared).await
    }

    /// The same, with what those who join later see.
    ///
    /// # Errors
    /// The refusal.
    pub async fn create_group_with(
        &self,
        door: Door,
        members: &[String],
        request_id: &str,
        history: HistoryVisibility,
    ) -> Result<String, Refusal> {
        let attempt = Attempt {
            conversation: String::new(),
            request_id: request_id.to_owned(),
            known_seq: None,
            action: Action::CreateGroup { members: members.to_vec() },
        };
        let call = self.begin_call(door, &attempt);
        let request = conversation::CreateGroupConversationRequest {
            name: format!("group {request_id}"),
            member_user_ids: members.to_vec(),
            request_id: request_id.to_owned(),
            history: history.into(),
            ..Default::default()
        };
        match self.call::<CreateGroupConversation>(door, request).await {
            Ok((response, _)) => {
                let id = response.conversation.map(|conversation| conversation.conversation_id).unwrap_or_default();
                self.recorder().name_conversation(call, &id);
                self.recorder().end(call, system_answer(Ok((response.seq, response.pending))));
                Ok(id)
            }
            Err(refusal) => {
                self.recorder().end(call, refusal.answer());
                Err(refusal)
            }
        }
    }

    /// Finds or makes the direct with a peer.
    ///
    /// # Errors
    /// The refusal.
    pub async fn start_direct(&self, door: Door, peer: &str) -> Result<String, Refusal> {
        let begun = self.recorder().now();
        let request = conversation::GetOrCreateDirectConversationRequest { peer_user_id: peer.to_owned() };
        let answered = self.call::<GetOrCreateDirectConversation>(door, request).await;
        let (conversation, created) = match &answered {
            Ok((response, _)) => {
                (response.conversation.as_ref().map(|found| found.conversation_id.clone()), response.created)
            }
            Err(_) => (None, false),
        };
        let (user, peer) = (self.user().to_owned(), peer.to_owned());
        self.recorder().direct(DirectCall { user, peer, begun, conversation: conversation.clone(), created });
        answered?;
        conversation.ok_or_else(|| Refusal::lost("an answer without a conversation"))
    }

    /// Moves the read position.
    ///
    /// # Errors
    /// The refusal.
    pub async fn mark_read(&self, door: Door, conversation: &str, seq: u64) -> Result<MarkAnswer, Refusal> {
        let mark = Mark {
            user: self.user().to_owned(),
            conversation: conversation.to_owned(),
            seq,
            begun: self.recorder().now(),
            ended: None,
            answer: None,
        };
        let request = message::MarkReadRequest { conversation_id: conversation.to_owned(), seq };
        let answered = self.call::<MarkRead>(door, request).await.map(|(response, _)| {
            let position = response.position.unwrap_or_default();
            MarkAnswer {
                read_seq: position.read_seq,
                read_message_no: position.read_message_no,
                unread: response.unread_count,
                as_of: response.as_of_seq,
            }
        });
        self.recorder().mark(Mark { answer: answered.clone().ok(), ..mark });
        answered
    }

    /// Moves the delivered position and returns where it is.
    ///
    /// # Errors
    /// The refusal.
    pub async fn mark_delivered(&self, door: Door, conversation: &str, seq: u64) -> Result<u64, Refusal> {
        let begun = self.recorder().now();
        let request = message::MarkDeliveredRequest { conversation_id: conversation.to_owned(), seq };
        let answered = self.call::<MarkDelivered>(door, request).await;
        let answered = answered.map(|(response, _)| response.position.unwrap_or_default().delivered_seq);
        let (user, conversation) = (self.user().to_owned(), conversation.to_owned());
        let delivered_seq = answered.clone().ok();
        self.recorder().delivery(Delivery { user, conversation, seq, begun, ended: None, delivered_seq });
        answered
    }

    /// Blocks a user, or takes the block away.
    ///
    /// # Errors
    /// The refusal.
    pub async fn block(&self, door: Door, peer: &str, blocked: bool) -> Result<(), Refusal> {
        let begun = self.recorder().now();
        let user_id = peer.to_owned();
        let answered = match blocked {
            true => self.call::<BlockUser>(door, conversation::BlockUserRequest { user_id }).await.map(drop),
            false => self.call::<UnblockUser>(door, conversation::UnblockUserRequest { user_id }).await.map(drop),
        };
        let (user, peer) = (self.user().to_owned(), peer.to_owned());
        self.recorder().block(Block { user, peer, blocked, begun, ended: None }, answered.is_ok());
        answered
    }

    fn begin_call(&self, door: Door, attempt: &Attempt) -> CallId {
        self.recorder().begin(Call {
            user: self.user().to_owned(),
            door,
            session: self.socket().filter(|_| door == Door::Socket).map(super::Socket::session),
            conversation: attempt.conversation.clone(),
            request_id: attempt.request_id.clone(),
            action: attempt.action.clone(),
            begun: 0,
            ended: None,
            answer: Answer::Unknown("no answer".into()),
        })
    }
}

fn send_request(attempt: &Attempt, text: &str, reply_to: Option<&String>) -> message::SendMessageRequest {
    message::SendMessageRequest {
        conversation_id: attempt.conversation.clone(),
        client_message_id: attempt.request_id.clone(),
        known_seq: attempt.known_seq,
        text: text.to_owned(),
        reply_to_message_id: reply_to.cloned().unwrap_or_default(),
        ..Default::default()
    }
}

fn sent_answer(answered: Result<message::SendMessageResponse, Refusal>) -> Answer {
    match answered {
        Ok(response) => {
            let seq = response.message.as_ref().map_or(0, |message| message.seq);
            stored_answer(seq, response.duplicate, response.message)
        }
        Err(refusal) => refusal.answer(),
    }
}

fn stored_answer(seq: u64, duplicate: bool, message: Option<message::Message>) -> Answer {
    let message_id = message.map(|message| message.message_id).unwrap_or_default();
    match seq {
        0 => Answer::Unchanged,
        seq => Answer::Stored { seq, message_id, duplicate },
    }
}

fn system_answer(answered: Result<(u64, bool), Refusal>) -> Answer {
    match answered {
        Ok((_, true)) => Answer::Pending,
        // An idempotent repetition is not told from the first answer.
        Ok((seq, false)) => Answer::Stored { seq, message_id: String::new(), duplicate: false },
        Err(refusal) => refusal.answer(),
    }
}
