//! The scripted presence service.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use viberchat_kit::auth::CallContext;
use viberchat_kit::id::ConversationId;
use viberchat_proto::presence::v1::attach_request::Report;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::presence_service_server::PresenceService;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::watch_typing_response::Push as TypingPush;
use viberchat_proto::presence::v1::*;

use super::message::until_first_ends;
use super::world::World;

type Pushes<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What it knows, and what a test can do to it.
#[derive(Default)]
pub(crate) struct PresenceState {
    /// Nothing can be reached.
    pub(crate) is_down: bool,
    /// Incarnations that said hello.
    pub(crate) incarnations: Vec<String>,
    /// As the gateway reported: user and state by session.
    pub(crate) sessions: HashMap<String, (String, SessionState)>,
    /// Lists of all sessions that were complete.
    pub(crate) lists: usize,
    pub(crate) heartbeats: usize,
    pub(crate) is_detached: bool,
    attached: Vec<UnboundedSender<Result<AttachResponse, Status>>>,
    watches: Vec<Watching>,
    typings: Vec<Typing>,
    statuses: HashMap<String, Status_>,
    /// User, conversation, and whether they type.
    pub(crate) typed: Vec<(String, String, bool)>,
    /// Users whom nobody may see.
    pub(crate) strangers: HashSet<String>,
    /// Requests to follow are never answered.
    pub(crate) watch_hangs: bool,
}

use viberchat_proto::presence::v1::Status as Status_;

struct Watching {
    sender: UnboundedSender<Result<WatchResponse, Status>>,
    pairs: HashSet<(String, String)>,
}

struct Typing {
    sender: UnboundedSender<Result<WatchTypingResponse, Status>>,
    follows: HashSet<String>,
}

impl PresenceState {
    fn presence(&self, user: &str) -> Presence {
        let status = self.statuses.get(user).copied().unwrap_or(Status_::Offline);
        Presence { user_id: user.to_owned(), status: status.into(), ..Presence::default() }
    }

    fn check(&self) -> Result<(), Status> {
        if self.is_down { Err(Status::unavailable("down")) } else { Ok(()) }
    }
}

impl World {
    /// Sets the status and tells the watchers.
    pub(crate) fn set_status(&self, user: &str, status: Status_) {
        let mut state = self.0.lock();
        state.presence.statuses.insert(user.to_owned(), status);
        let presence = state.presence.presence(user);
        for watching in &state.presence.watches {
            for (watcher, _) in watching.pairs.iter().filter(|(_, watched)| watched == user) {
                let change = PresenceChange { watcher_user_id: watcher.clone(), presence: Some(presence.clone()) };
                let _sent = watching.sender.send(Ok(WatchResponse { push: Some(Push::Change(change)) }));
            }
        }
    }

    /// Tells that somebody types to who follows the conversation.
    pub(crate) fn type_in(&self, id: ConversationId, user: &str, typing: bool) {
        let conversation_id = id.to_string();
        let state = self.0.lock();
        for stream in state.presence.typings.iter().filter(|stream| stream.follows.contains(&conversation_id)) {
            let change = TypingChange { conversation_id: conversation_id.clone(), user_id: user.to_owned(), typing };
            let _sent = stream.sender.send(Ok(WatchTypingResponse { push: Some(TypingPush::Change(change)) }));
        }
    }

    pub(crate) fn follows_typing(&self, id: ConversationId) -> bool {
        self.0.lock().presence.typings.iter().any(|stream| stream.follows.contains(&id.to_string()))
    }

    pub(crate) fn watches_presence(&self, watcher: &str, user: &str) -> bool {
        let pair = (watcher.to_owned(), user.to_owned());
        self.0.lock().presence.watches.iter().any(|watching| watching.pairs.contains(&pair))
    }

    /// All its streams break.
    pub(crate) fn break_presence(&self) {
        let mut state = self.0.lock();
        state.presence.attached.clear();
        state.presence.watches.clear();
        state.presence.typings.clear();
        state.presence.sessions.clear();
    }

    /// States of the sessions of a user as they were reported.
    pub(crate) fn reported(&self, user: &str) -> Vec<SessionState> {
        let state = self.0.lock();
        let of_user = state.presence.sessions.values().filter(|(owner, _)| owner == user);
        of_user.map(|(_, state)| *state).collect()
    }

    fn report(&self, report: Report) {
        let mut state = self.0.lock();
        let presence = &mut state.presence;
        match report {
            Report::Hello(hello) => {
                presence.incarnations.push(hello.incarnation_id);
                let welcome = AttachResponse { answer: Some(Answer::Welcome(AttachWelcome {})) };
                presence.attached.iter().for_each(|sender| _ = sender.send(Ok(welcome)));
            }
            Report::Sessions(changed) => {
                for session in changed.sessions {
                    let state = session.state();
                    if state == SessionState::Gone {
                        presence.sessions.remove(&session.session_id);
                    } else {
                        presence.sessions.insert(session.session_id, (session.user_id, state));
                    }
                }
                presence.lists += usize::from(changed.complete);
            }
            Report::Heartbeat(_) => presence.heartbeats += 1,
            Report::Detach(_) => presence.is_detached = true,
        }
    }

    fn watch_change(&self, index: usize, request: WatchRequest) {
        let mut state = self.0.lock();
        let presence = &mut state.presence;
        let context = request.context.unwrap_or_default();
        let watcher = context.on_behalf_of;
        match request.request {
            Some(watch_request::Request::Add(add)) => {
                if presence.watch_hangs {
                    return;
                }
                let (unseen, seen): (Vec<_>, Vec<_>) =
                    add.user_ids.into_iter().partition(|user| presence.strangers.contains(user));
                let unknown = unseen.into_iter().map(|user_id| Presence { user_id, ..Presence::default() });
                let presences = seen.iter().map(|user| presence.presence(user)).chain(unknown).collect();
                let Some(watching) = presence.watches.get_mut(index) else { return };
                // Who may not be seen is not followed, or no more.
                watching.pairs.retain(|(other, user)| other != &watcher || !presence.strangers.contains(user));
                watching.pairs.extend(seen.into_iter().map(|user| (watcher.clone(), user)));
                let snapshot = PresenceSnapshot { correlation_id: context.correlation_id, presences };
                let _sent = watching.sender.send(Ok(WatchResponse { push: Some(Push::Snapshot(snapshot)) }));
            }
            Some(watch_request::Request::Remove(remove)) => {
                let Some(watching) = presence.watches.get_mut(index) else { return };
                for user in remove.user_ids {
                    watching.pairs.remove(&(watcher.clone(), user));
                }
            }
            None => {}
        }
    }

    fn typing_change(&self, index: usize, request: WatchTypingRequest) {
        let mut state = self.0.lock();
        let Some(stream) = state.presence.typings.get_mut(index) else { return };
        match request.request {
            Some(watch_typing_request::Request::Add(add)) => stream.follows.extend(add.conversation_ids),
            Some(watch_typing_request::Request::Remove(remove)) => {
                stream.follows.retain(|id| !remove.conversation_ids.contains(id));
            }
            None => {}
        }
    }
}

/// `receiver`'s pushes, while the requests are given to `take`; both ends end with the other.
fn serve<Q: Send + 'static, A: Send + Sync + 'static>(
    receiver: tokio::sync::mpsc::UnboundedReceiver<Result<A, Status>>,
    requests: Streaming<Q>,
    take: impl Fn(Q) + Send + 'static,
) -> Response<Pushes<A>> {
    let reading = futures::stream::unfold((requests, take), |(mut requests, take)| async move {
        while let Some(Ok(request)) = requests.next().await {
            take(request);
        }
        None::<(Result<A, Status>, _)>
    });
    Response::new(Box::pin(until_first_ends(UnboundedReceiverStream::new(receiver), reading)))
}

#[tonic::async_trait]
impl PresenceService for World {
    type AttachStream = Pushes<AttachResponse>;
    type WatchStream = Pushes<WatchResponse>;
    type WatchTypingStream = Pushes<WatchTypingResponse>;

    async fn attach(&self, request: Request<Streaming<AttachRequest>>) -> Result<Response<Self::AttachStream>, Status> {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.0.lock();
        state.presence.check()?;
        state.presence.attached.push(sender);
        drop(state);
        let world = self.clone();
        Ok(serve(receiver, request.into_inner(), move |request: AttachRequest| {
            request.report.into_iter().for_each(|report| world.report(report));
        }))
    }

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.0.lock();
        state.presence.check()?;
        state.presence.watches.push(Watching { sender, pairs: HashSet::new() });
        let index = state.presence.watches.len() - 1;
        drop(state);
        let world = self.clone();
        Ok(serve(receiver, request.into_inner(), move |request| world.watch_change(index, request)))
    }

    async fn watch_typing(
        &self,
        request: Request<Streaming<WatchTypingRequest>>,
    ) -> Result<Response<Self::WatchTypingStream>, Status> {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.0.lock();
        state.presence.check()?;
        state.presence.typings.push(Typing { sender, follows: HashSet::new() });
        let index = state.presence.typings.len() - 1;
        drop(state);
        let world = self.clone();
        Ok(serve(receiver, request.into_inner(), move |request| world.typing_change(index, request)))
    }

    async fn set_status(&self, request: Request<SetStatusRequest>) -> Result<Response<SetStatusResponse>, Status> {
        self.0.lock().presence.check()?;
        let user = CallContext::of(&request)?.user()?.as_str().to_owned();
        let status = request.into_inner().status();
        World::set_status(self, &user, status);
        let presence = self.0.lock().presence.presence(&user);
        Ok(Response::new(SetStatusResponse { presence: Some(presence) }))
    }

    async fn batch_get_presence(
        &self,
        request: Request<BatchGetPresenceRequest>,
    ) -> Result<Response<BatchGetPresenceResponse>, Status> {
        let state = self.0.lock();
        let presences = request.into_inner().user_ids.iter().map(|user| state.presence.presence(user)).collect();
        Ok(Response::new(BatchGetPresenceResponse { presences }))
    }

    async fn set_typing(&self, request: Request<SetTypingRequest>) -> Result<Response<SetTypingResponse>, Status> {
        self.0.lock().presence.check()?;
        let user = CallContext::of(&request)?.user()?.as_str().to_owned();
        let typing = request.into_inner();
        self.0.lock().presence.typed.push((user, typing.conversation_id, typing.typing));
        Ok(Response::new(SetTypingResponse {}))
    }
}
