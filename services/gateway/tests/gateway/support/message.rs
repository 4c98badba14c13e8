//! The scripted message service.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::message_service_server::MessageService;
use viberchat_proto::message::v1::send_messages_response::Result as Sent;
use viberchat_proto::message::v1::subscribe_request::Request as Change;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::*;

use super::conversation::noted;
use super::world::{Subscriber, World, shown_to};

type Pushes<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn user_of<T>(request: &Request<T>) -> Result<String, Status> {
    Ok(CallContext::of(request)?.user()?.as_str().to_owned())
}

fn not_scripted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not part of the script"))
}

impl World {
    fn send(&self, user: &str, send: &SendMessageRequest) -> Result<SendMessageResponse, Error> {
        let mut state = self.0.lock();
        state.doors.push(send.door);
        state.log_for(&send.conversation_id, user).map_err(|status| Error::from_status(&status))?;
        if send.text.trim().is_empty() {
            return Err(Error::new(Reason::TextEmpty, "the text is blank"));
        }
        let id = ConversationId::parse(&send.conversation_id).expect("its log was found");
        let message = state.append(id, user, &send.text, &send.client_message_id, true);
        Ok(SendMessageResponse { message: Some(message), duplicate: false })
    }

    fn change_subscription(&self, index: usize, change: Change, correlation_id: u64) {
        let mut state = self.0.lock();
        let state = &mut *state;
        let Some(subscriber) = state.subscribers.get_mut(index) else { return };
        match change {
            Change::Add(add) => {
                for start in add.conversations {
                    let id = ConversationId::parse(&start.conversation_id).expect("a good id");
                    let log = &state.conversations[&id].log;
                    let head_seq = log.len() as u64;
                    let after_seq = start.after_seq.unwrap_or(head_seq);
                    subscriber.follows.insert(id);
                    let subscribed =
                        Subscribed { correlation_id, conversation_id: id.to_string(), after_seq, head_seq };
                    let missed = log.iter().filter(|entry| entry.seq > after_seq).cloned().map(Push::Entry);
                    for push in std::iter::once(Push::Subscribed(subscribed)).chain(missed) {
                        let _sent = subscriber.sender.send(Ok(SubscribeResponse { push: Some(push) }));
                    }
                }
            }
            Change::Remove(remove) => {
                for id in remove.conversation_ids {
                    subscriber.follows.remove(&ConversationId::parse(&id).expect("a good id"));
                }
            }
        }
    }
}

#[tonic::async_trait]
impl MessageService for World {
    type SendMessagesStream = Pushes<SendMessagesResponse>;
    type SubscribeStream = Pushes<SubscribeResponse>;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let user = user_of(&request)?;
        Ok(Response::new(self.send(&user, &request.into_inner())?))
    }

    async fn send_messages(
        &self,
        request: Request<Streaming<SendMessagesRequest>>,
    ) -> Result<Response<Pushes<SendMessagesResponse>>, Status> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().senders.push(sender.clone());
        let weak = sender.downgrade();
        drop(sender);
        let world = self.clone();
        let requests = request.into_inner();
        // The requests are read as long as the answers are.
        let reading = futures::stream::unfold((requests, world, weak), |(mut requests, world, weak)| async move {
            while let Some(Ok(request)) = requests.next().await {
                let context = request.context.unwrap_or_default();
                {
                    let mut state = world.0.lock();
                    if state.sends_hang {
                        state.sends_unanswered += 1;
                        continue;
                    }
                }
                let result = match world.send(&context.on_behalf_of, &request.send.unwrap_or_default()) {
                    Ok(response) => Sent::Response(response),
                    Err(error) => Sent::Error(error.to_proto()),
                };
                let answer = SendMessagesResponse { correlation_id: context.correlation_id, result: Some(result) };
                let sender = weak.upgrade()?;
                let _sent = sender.send(Ok(answer));
            }
            None::<(Result<SendMessagesResponse, Status>, _)>
        });
        let answers = UnboundedReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(until_first_ends(answers, reading))))
    }

    async fn edit_message(&self, _: Request<EditMessageRequest>) -> Result<Response<EditMessageResponse>, Status> {
        Err(Error::new(Reason::MessageNotFound, "no such message").into())
    }

    async fn delete_message(
        &self,
        _: Request<DeleteMessageRequest>,
    ) -> Result<Response<DeleteMessageResponse>, Status> {
        not_scripted()
    }

    noted! {
        get_message(GetMessageRequest) -> GetMessageResponse;
        add_reaction(AddReactionRequest) -> AddReactionResponse;
        remove_reaction(RemoveReactionRequest) -> RemoveReactionResponse;
        pin_message(PinMessageRequest) -> PinMessageResponse;
        unpin_message(UnpinMessageRequest) -> UnpinMessageResponse;
        list_pinned_messages(ListPinnedMessagesRequest) -> ListPinnedMessagesResponse;
        mark_delivered(MarkDeliveredRequest) -> MarkDeliveredResponse;
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let user = user_of(&request)?;
        let request = request.into_inner();
        let state = self.0.lock();
        let log = state.log_for(&request.conversation_id, &user)?;
        let size = if request.page_size == 0 { 50 } else { request.page_size.min(200) } as usize;
        let messages = log.iter().rev().take(size).map(|entry| Message {
            conversation_id: entry.conversation_id.clone(),
            seq: entry.seq,
            text: match entry.body.as_ref().and_then(|body| body.body.as_ref()) {
                Some(entry_body::Body::Message(sent)) => sent.text.clone(),
                _ => String::new(),
            },
            ..Message::default()
        });
        let messages = messages.collect();
        Ok(Response::new(ListMessagesResponse { messages, as_of_seq: log.len() as u64, ..<_>::default() }))
    }

    async fn read_log(&self, request: Request<ReadLogRequest>) -> Result<Response<ReadLogResponse>, Status> {
        let user = user_of(&request)?;
        let request = request.into_inner();
        let mut state = self.0.lock();
        state.reads += 1;
        // 0 is as much as there is.
        let bytes_max = if request.bytes_max == 0 { u32::MAX } else { request.bytes_max };
        state.read_bytes_max = state.read_bytes_max.max(bytes_max);
        if state.reads_fail > 0 {
            state.reads_fail -= 1;
            return Err(Error::new(Reason::StoreUnavailable, "not now").into());
        }
        let log = state.log_for(&request.conversation_id, &user)?;
        let after = usize::try_from(request.after_seq).unwrap_or(usize::MAX);
        let id = ConversationId::parse(&request.conversation_id).expect("its log was found");
        let visible_from = state.conversations[&id].visible_from.get(&user).copied().unwrap_or(0);
        let entries = log.iter().skip(after).take(request.limit as usize);
        let mut bytes = 0;
        let entries = entries.take_while(|entry| {
            let is_first = bytes == 0;
            bytes += entry.encoded_len();
            is_first || bytes <= bytes_max as usize
        });
        let entries = entries.map(|entry| shown_to(entry, visible_from)).collect();
        Ok(Response::new(ReadLogResponse { entries, head_seq: log.len() as u64 }))
    }

    async fn batch_get_heads(
        &self,
        request: Request<BatchGetHeadsRequest>,
    ) -> Result<Response<BatchGetHeadsResponse>, Status> {
        let user = user_of(&request)?;
        let state = self.0.lock();
        let head = |id: &String| {
            let head_seq = state.log_for(id, &user).ok()?.len() as u64;
            Some(Head { conversation_id: id.clone(), head_seq, unread_count: head_seq, ..Head::default() })
        };
        let heads = request.into_inner().conversation_ids.iter().filter_map(head).collect();
        Ok(Response::new(BatchGetHeadsResponse { heads }))
    }

    async fn mark_read(&self, request: Request<MarkReadRequest>) -> Result<Response<MarkReadResponse>, Status> {
        let user = user_of(&request)?;
        let request = request.into_inner();
        let head = self.0.lock().log_for(&request.conversation_id, &user)?.len() as u64;
        if request.seq > head {
            return Err(Error::invalid_argument("seq", "is past the head").into());
        }
        let position = Position {
            conversation_id: request.conversation_id,
            user_id: user,
            read_seq: request.seq,
            read_message_no: request.seq,
            ..Position::default()
        };
        Ok(Response::new(MarkReadResponse {
            position: Some(position),
            unread_count: head - request.seq,
            as_of_seq: head,
        }))
    }

    async fn list_positions(
        &self,
        _: Request<ListPositionsRequest>,
    ) -> Result<Response<ListPositionsResponse>, Status> {
        not_scripted()
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Pushes<SubscribeResponse>>, Status> {
        let (sender, receiver) = unbounded_channel();
        let index = {
            let mut state = self.0.lock();
            state.subscribers.push(Subscriber { sender, follows: <_>::default() });
            state.subscribers.len() - 1
        };
        let world = self.clone();
        let requests = request.into_inner();
        let reading = futures::stream::unfold((requests, world), move |(mut requests, world)| async move {
            while let Some(Ok(request)) = requests.next().await {
                let correlation_id = request.context.unwrap_or_default().correlation_id;
                if let Some(change) = request.request {
                    world.change_subscription(index, change, correlation_id);
                }
            }
            None::<(Result<SubscribeResponse, Status>, _)>
        });
        let pushes = UnboundedReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(until_first_ends(pushes, reading))))
    }

    async fn append_system_entry(
        &self,
        _: Request<AppendSystemEntryRequest>,
    ) -> Result<Response<AppendSystemEntryResponse>, Status> {
        not_scripted()
    }
}

/// `answers`, while `reading` is polled beside; ends with either.
pub(crate) fn until_first_ends<T: Send + Sync + 'static>(
    answers: impl Stream<Item = T> + Send + 'static,
    reading: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    let answers = answers.map(Some).chain(futures::stream::iter([None]));
    let reading = reading.map(Some).chain(futures::stream::iter([None]));
    futures::stream::select(answers, reading)
        .take_while(|item| std::future::ready(item.is_some()))
        .filter_map(std::future::ready)
}
