//! A user with three doors. Every call, answer, push and read goes into the history.
//!
//! Map: `methods` what can be called, `socket`, `http` and `grpc` the doors, `listener` a gRPC stream of entries, `refusal` why a
//! call did not succeed, `documented` whether it may not for that reason; `write`, `read` and `soft` the calls as the history has them.

mod documented;
mod grpc;
pub mod http;
mod listener;
mod methods;
mod read;
mod refusal;
pub mod socket;
mod soft;
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
        AddMembers, AddReaction, Ask, BatchGetConversations, BatchGetHeads, BatchGetPresence, BatchGetUsers, BlockUser,
        CreateGroupConversation, DeleteConversation, DeleteMessage, EditMessage, Focus, Frame, GetConversation,
        GetMessage, GetOrCreateDirectConversation, Heartbeat, LeaveConversation, ListBlockedUsers, ListConversations,
        ListMembers, ListMessages, ListPinnedMessages, ListPositions, MarkDelivered, MarkRead, Method, PinMessage,
        ReadLog, RefreshToken, RemoveMember, RemoveReaction, SearchUsers, SendMessage, SetStatus, SetTyping,
        UnblockUser, UnpinMessage, UnwatchPresence, UpdateConversation, UpdateMemberRole, UpdateMemberSettings,
        WatchPresence,
    },
    refusal::Refusal,
    socket::{Encoding, Followed, Socket},
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
    encoding: Encoding,
    recorder: Recorder,
    http: HttpDoor,
    grpc: GrpcDoor,
    socket: Option<Socket>,
    /// What the last session had, to resume from.
    last: Option<Followed>,
}

impl Client {
    /// A user of a server, who is not connected yet. By gRPC a service acts for the user, on the socket frames are JSON.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(server: &Server, user: &str, recorder: &Recorder) -> Result<Self> {
        Self::with_encoding(server, user, Encoding::Json, recorder)
    }

    /// The same with frames in this encoding.
    ///
    /// # Errors
    /// If the address is none.
    pub fn with_encoding(server: &Server, user: &str, encoding: Encoding, recorder: &Recorder) -> Result<Self> {
        let (token, addresses) = (server.tokens().user(user), server.addresses());
        let service = server.tokens().service("tests", &[Scope::ActForUsers]);
        Ok(Self {
            user: user.to_owned(),
            address: addresses.http.clone(),
            encoding,
            recorder: recorder.clone(),
            http: HttpDoor::new(&addresses.http, &token),
            grpc: GrpcDoor::new(&server.services(), &service, Some(user))?,
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
            let (address, encoding) = (self.address.as_str(), self.encoding);
            let opening = Opening { address, encoding, user: &self.user, token: &self.token, resume };
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
    pub async fn call<M: Method + Frame>(
        &self,
        door: Door,
        request: M::Request,
    ) -> Result<(M::Response, Bytes), Refusal> {
        match door {
            Door::Socket => documented::check(M::PATH, true, self.ask::<M>(request).await),
            Door::Http | Door::Grpc => self.call_outside::<M>(door, request).await,
        }
    }

    /// Calls a method that may have no frame by another door than the socket.
    ///
    /// # Errors
    /// The refusal, or a loss.
    pub async fn call_outside<M: Method>(
        &self,
        door: Door,
        request: M::Request,
    ) -> Result<(M::Response, Bytes), Refusal> {
        let answered = match door {
            Door::Socket => Err(Refusal::unreachable("no frame")),
            Door::Http => self.http.call::<M>(&request).await,
            Door::Grpc => self.grpc.call::<M>(&request).await,
        };
        documented::check(M::PATH, false, answered)
    }

    /// Sends a frame and waits for its reply.
    ///
    /// # Errors
    /// The refusal, or a loss.
    pub async fn ask<F: Frame>(&self, request: F::Request) -> Result<(F::Response, Bytes), Refusal> {
        match self.socket() {
            Some(socket) => socket.call::<F>(request).await,
            None => Err(Refusal::unreachable("no session")),
        }
    }
}
