//! A subscription by gRPC, as a gateway or a backend holds one. In the history it is a session that follows only what it
//! named.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use prost::Message as _;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tonic::{Request, Streaming, transport::Channel};
use viberchat_kit::auth::Scope;
use viberchat_proto::{
    message::v1::{
        SubscribeAdd, SubscribeRequest, SubscribeResponse, SubscribeStart,
        message_service_client::MessageServiceClient, subscribe_request, subscribe_response,
    },
    types::v1::RequestContext,
};

use super::{Followed, channel};
use crate::{
    cluster::Server,
    history::{Push, Recorder, SessionId, entry_of, position_of},
};

/// One stream of a user's conversations.
pub struct Listener {
    session: SessionId,
    recorder: Recorder,
    followed: Arc<Mutex<Followed>>,
    _task: JoinSet<()>,
}

impl Listener {
    /// Follows conversations from their beginning, by a service that acts for the user.
    ///
    /// # Errors
    /// If the server does not take the stream.
    pub async fn open(server: &Server, user: &str, conversations: &[String], recorder: &Recorder) -> Result<Self> {
        let channel: Channel = channel(&server.services().message)?;
        let token = server.tokens().service("listener", &[Scope::ActForUsers]);
        let add = SubscribeAdd { conversations: conversations.iter().map(|id| from_the_beginning(id)).collect() };
        let first = SubscribeRequest {
            context: Some(RequestContext { on_behalf_of: user.to_owned(), correlation_id: 1, ..Default::default() }),
            request: Some(subscribe_request::Request::Add(add)),
        };
        // The requests stay open: a stream whose other side ends may be ended too.
        let mut request = Request::new(tokio_stream::once(first).chain(tokio_stream::pending()));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        let session = recorder.open_listener(user);
        let pushes = MessageServiceClient::new(channel).subscribe(request).await?.into_inner();
        recorder.welcome(session, 0);
        let followed = Arc::new(Mutex::new(Followed::default()));
        let mut task = JoinSet::new();
        task.spawn(listen(pushes, session, recorder.clone(), followed.clone()));
        Ok(Self { session, recorder: recorder.clone(), followed, _task: task })
    }

    /// Waits until what was pushed is as asked for.
    pub async fn wait_until(&self, limit: Duration, reached: impl Fn(&Followed) -> bool) -> bool {
        let polled = async {
            while !reached(&self.followed.lock().unwrap_or_else(PoisonError::into_inner)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, polled).await.is_ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.recorder.leave_session(self.session);
    }
}

fn from_the_beginning(conversation: &str) -> SubscribeStart {
    SubscribeStart { conversation_id: conversation.to_owned(), after_seq: Some(0) }
}

async fn listen(
    mut pushes: Streaming<SubscribeResponse>,
    session: SessionId,
    recorder: Recorder,
    followed: Arc<Mutex<Followed>>,
) {
    while let Ok(Some(response)) = pushes.message().await {
        let raw = response.encode_to_vec();
        let push = match response.push {
            Some(subscribe_response::Push::Subscribed(begun)) => {
                Push::Added { conversation: begun.conversation_id, head: begun.after_seq }
            }
            Some(subscribe_response::Push::Entry(entry)) => Push::Entry(entry_of(&entry)),
            Some(subscribe_response::Push::Position(position)) => Push::Positions(vec![position_of(&position)]),
            Some(subscribe_response::Push::Unsubscribed(ended)) => {
                Push::Removed { conversation: ended.conversation_id }
            }
            Some(subscribe_response::Push::Heartbeat(_)) => Push::Heartbeat,
            None => Push::Other,
        };
        followed.lock().unwrap_or_else(PoisonError::into_inner).take(&push);
        recorder.push(session, push, &raw);
    }
    // The server stops or was killed; whoever wants to listen on opens another one.
    recorder.leave_session(session);
}
