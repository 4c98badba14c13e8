//! A user with three doors. Every call, answer, push and read goes into the history.
//!
//! Map: `methods` what can be called, `socket`, `http` and `grpc` the doors, `listener` a gRPC stream of entries, `refusal` why a
//! call did not succeed; `write` and `read` the calls as the history has them.

mod grpc;
pub mod http;
mod listener;
mod methods;
mod read;
mod refusal;
pub mod socket;
mod write;

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use viberchat_kit::auth::Scope;

use self::{grpc::GrpcDoor, http::HttpDoor, socket::Opening};
pub use self::{
    grpc::channel,
    listener::Listener,
    methods::{
        AddMembers, BatchGetHeads, CreateGroupConversation, DeleteMessage, EditMessage, GetConversation,
        GetOrCreateDirectConversation, LeaveConversation, ListConversations, ListMembers, ListMessages, ListPositions,
        MarkRead, Method, ReadLog, RemoveMember, SendMessage, UpdateConversation,
    },
    refusal::Refusal,
    socket::{Followed, Socket},
    write::{Attempt, Sent},
};
use crate::{
    cluster::Server,
    history::{Door, Recorder},
};

/// After this an answer counts as lost.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A user.
pub struct Client {
    user: String,
    token: String,
    address: String,
    recorder: Recorder,
    http: HttpDoor,
    grpc: GrpcDoor,
    socket: Option<Socket>,
    /// What the last session had, to resume from.
    last: Option<Followed>,
}

impl Client {
    /// A user of a server, who is not connected yet. By gRPC a service acts for the user.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(server: &Server, user: &str, recorder: &Recorder) -> Result<Self> {
        let (token, addresses) = (server.tokens().user(user), server.addresses());
        let service = server.tokens().service("tests", &[Scope::ActForUsers]);
        Ok(Self {
            user: user.to_owned(),
            address: addresses.http.clone(),
            recorder: recorder.clone(),
            http: HttpDoor::new(&addresses.http, &token),
            grpc: GrpcDoor::new(channel(&addresses.grpc)?, &service, Some(user)),
            token,
            socket: None,
            last: None,
        })
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The history that is written.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Opens a session, if none is open: a first one from the heads, a later one from where the last one was.
    ///
    /// # Errors
    /// If the server does not welcome.
    pub async fn connect(&mut self) -> Result<&Socket> {
        if self.socket.as_ref().is_some_and(Socket::is_over) {
            self.leave();
        }
        if self.socket.is_none() {
            let resume = self.last.as_ref().map(|last| last.cursors.clone());
            let opening = Opening { address: &self.address, user: &self.user, token: &self.token, resume };
            self.socket = Some(Socket::open(opening, &self.recorder).await?);
        }
        Ok(self.socket.as_ref().expect("was opened"))
    }

    /// The session, if one is open.
    #[must_use]
    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref().filter(|socket| !socket.is_over())
    }

    /// Ends the session, keeping what is needed to resume it.
    pub fn leave(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.last = Some(socket.followed());
        }
    }

    /// Cuts the session in the middle of a frame.
    pub async fn cut(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.cut().await;
            self.last = Some(socket.followed());
        }
    }

    /// The head that the user knows of a conversation, as a client sends it along with a write.
    #[must_use]
    pub fn known_seq(&self, conversation: &str) -> Option<u64> {
        let cursors = match &self.socket {
            Some(socket) => socket.followed().cursors,
            None => self.last.as_ref()?.cursors.clone(),
        };
        cursors.get(conversation).copied()
    }

    /// Calls a method by a door. The answer comes with its bytes.
    ///
    /// # Errors
    /// The refusal, or a loss.
    pub async fn call<M: Method>(&self, door: Door, request: M::Request) -> Result<(M::Response, Bytes), Refusal> {
        match door {
            Door::Socket => match self.socket() {
                Some(socket) => socket.call::<M>(request).await,
                None => Err(Refusal::unreachable("no session")),
            },
            Door::Http => self.http.call::<M>(&request).await,
            Door::Grpc => self.grpc.call::<M>(&request).await,
        }
    }
}
