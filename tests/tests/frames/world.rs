//! A server, and those who use it in one way.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tonic::{Request, transport::Channel};
use viberchat_kit::auth::Scope;
use viberchat_proto::{conversation::v1 as conversation, message::v1 as message};
use viberchat_tests::{
    client::{
        BatchGetHeads, Client, CreateGroupConversation, Frame, GetOrCreateDirectConversation, Method, ReadLog, Refusal,
        SendMessage, Socket, channel,
        socket::{Encoding, Opening},
    },
    cluster::{Server, Settings},
    history::{Door, Push, Recorder},
};

/// How long something may take that follows.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// By which door, and with which frames.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    name: &'static str,
    door: Door,
    encoding: Encoding,
}

/// All of them: the sockets first, then HTTP, then gRPC.
pub(crate) const WAYS: &[Way] = &[
    Way { name: "json", door: Door::Socket, encoding: Encoding::Json },
    Way { name: "binary", door: Door::Socket, encoding: Encoding::Binary },
    Way { name: "http", door: Door::Http, encoding: Encoding::Binary },
    Way { name: "grpc", door: Door::Grpc, encoding: Encoding::Json },
];

impl Way {
    pub(crate) fn is_socket(&self) -> bool {
        self.door == Door::Socket
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

type Asked = Arc<Mutex<BTreeSet<&'static str>>>;

/// A server, and those who use it in one way.
pub(crate) struct World {
    pub(crate) server: Server,
    way: Way,
    recorder: Recorder,
    asked: Asked,
}

impl World {
    pub(crate) async fn open() -> Result<Self> {
        Self::open_with(|settings| settings).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let settings = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?
            // Nobody is offline for a while after a start; that is the subject of a test of its own.
            .set("PRESENCE__START_GRACE_MS", "1")
            .set("GATEWAY__SIGNALS_PER_SECOND_MAX", "0");
        let server = Server::start(&change(settings)).await?;
        Ok(Self { server, way: WAYS[0], recorder: Recorder::default(), asked: Asked::default() })
    }

    pub(crate) fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    /// The frames and methods that were called so far.
    pub(crate) fn asked(&self) -> BTreeSet<&'static str> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a call that does not go through a [`User`].
    pub(crate) fn note(&self, name: &'static str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// The name of a user: others in each way.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.way.name)
    }

    /// A user with a session, whichever way the calls go.
    pub(crate) async fn user(&self, name: &str) -> Result<User> {
        let mut client = Client::with_encoding(&self.server, &self.name(name), self.way.encoding, &self.recorder)?;
        client.connect().await?;
        ensure!(client.wait_for_push(LIMIT, 0, |push| matches!(push, Push::Ready)).await, "{name} is not ready");
        Ok(User { client, door: self.way.door, asked: self.asked.clone() })
    }

    /// A session that begins with this token.
    pub(crate) async fn session(&self, name: &str, token: &str) -> Result<Socket> {
        let (address, user) = (self.server.addresses().http.as_str(), self.name(name));
        let opening = Opening { address, encoding: self.way.encoding, user: &user, token, resume: None };
        Socket::open(opening, &self.recorder).await
    }

    /// What everybody saw so far.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// gRPC without a client in front.
    pub(crate) fn channel(&self) -> Result<Channel> {
        Ok(channel(&self.server.addresses().grpc)?)
    }

    /// A request of a service with these scopes.
    pub(crate) fn by_service<T>(&self, scopes: &[Scope], message: T) -> Result<Request<T>> {
        by_token(&self.server.tokens().service("tests", scopes), message)
    }
}

/// A request with this token.
pub(crate) fn by_token<T>(token: &str, message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

/// Somebody with a session.
pub(crate) struct User {
    pub(crate) client: Client,
    door: Door,
    asked: Asked,
}

impl User {
    pub(crate) fn name(&self) -> &str {
        self.client.user()
    }

    /// Calls a method in the way of this world.
    pub(crate) async fn call<M: Method + Frame>(&self, request: M::Request) -> Result<M::Response, Refusal> {
        self.note(if self.door == Door::Socket { M::FRAME } else { M::PATH });
        self.client.call::<M>(self.door, request).await.map(|(response, _)| response)
    }

    /// Calls a method that has no frame.
    pub(crate) async fn call_outside<M: Method>(&self, request: M::Request) -> Result<M::Response, Refusal> {
        self.note(M::PATH);
        self.client.call_outside::<M>(self.door, request).await.map(|(response, _)| response)
    }

    /// Sends a frame, whichever way the calls go.
    pub(crate) async fn ask<F: Frame>(&self, request: F::Request) -> Result<F::Response, Refusal> {
        self.note(F::FRAME);
        self.client.ask::<F>(request).await.map(|(response, _)| response)
    }

    pub(crate) fn note(&self, name: &'static str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// Makes a group with these members.
    pub(crate) async fn group(&self, name: &str, members: &[&User]) -> Result<String> {
        let request = conversation::CreateGroupConversationRequest {
            name: name.into(),
            member_user_ids: members.iter().map(|member| member.name().to_owned()).collect(),
            request_id: format!("make {name}"),
            ..Default::default()
        };
        let made = self.call::<CreateGroupConversation>(request).await?;
        let group = made.conversation.context("a conversation")?.conversation_id;
        // What stands in the log before a session knows is not pushed to it, but said by the head.
        for member in members.iter().filter(|member| member.client.socket().is_some()) {
            member.hears_of(&group).await?;
        }
        Ok(group)
    }

    /// The direct with a peer.
    pub(crate) async fn direct(&self, peer: &User) -> Result<String, Refusal> {
        let request = conversation::GetOrCreateDirectConversationRequest { peer_user_id: peer.name().to_owned() };
        let found = self.call::<GetOrCreateDirectConversation>(request).await?;
        Ok(found.conversation.unwrap_or_default().conversation_id)
    }

    /// Sends a text; the text is the id too.
    pub(crate) async fn send(&self, conversation: &str, text: &str) -> Result<message::Message, Refusal> {
        self.send_with(conversation, text, |_| {}).await
    }

    /// The same with more in it.
    pub(crate) async fn send_with(
        &self,
        conversation: &str,
        text: &str,
        change: impl FnOnce(&mut message::SendMessageRequest),
    ) -> Result<message::Message, Refusal> {
        let mut request = message::SendMessageRequest {
            conversation_id: conversation.to_owned(),
            client_message_id: text.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        };
        change(&mut request);
        Ok(self.call::<SendMessage>(request).await?.message.unwrap_or_default())
    }

    /// The entries after a seq.
    pub(crate) async fn log(&self, conversation: &str, after_seq: u64) -> Result<Vec<message::LogEntry>, Refusal> {
        let request =
            message::ReadLogRequest { conversation_id: conversation.to_owned(), after_seq, limit: 0, bytes_max: 0 };
        Ok(self.call::<ReadLog>(request).await?.entries)
    }

    /// The head of a conversation; none if it is not the user's to see.
    pub(crate) async fn head(&self, conversation: &str) -> Result<Option<message::Head>, Refusal> {
        let request = message::BatchGetHeadsRequest { conversation_ids: vec![conversation.to_owned()] };
        Ok(self.call::<BatchGetHeads>(request).await?.heads.into_iter().next())
    }

    /// Waits for a push like this after the first `skip` ones.
    pub(crate) async fn hears(&self, skip: usize, what: &str, wanted: impl Fn(&Push) -> bool) -> Result<()> {
        let heard = self.client.wait_for_push(LIMIT, skip, wanted).await;
        ensure!(heard, "{} did not hear {what}: {:?}", self.name(), self.client.pushes());
        Ok(())
    }

    /// Waits until the session knows that it has this conversation.
    pub(crate) async fn hears_of(&self, conversation: &str) -> Result<()> {
        let added = |push: &Push| matches!(push, Push::Added { conversation: added, .. } if added == conversation);
        self.hears(0, "of the conversation", added).await
    }

    /// Waits until the session has this entry.
    pub(crate) async fn hears_entry(&self, conversation: &str, seq: u64) -> Result<()> {
        let wanted =
            |push: &Push| matches!(push, Push::Entry(entry) if entry.conversation == conversation && entry.seq == seq);
        self.hears(0, &format!("entry {seq}"), wanted).await
    }

    /// How much was pushed so far.
    pub(crate) fn heard(&self) -> usize {
        self.client.pushes().len()
    }
}

/// The reason of a refusal that must be one.
pub(crate) fn reason<T>(answered: Result<T, Refusal>) -> String {
    answered.err().map_or_else(|| "taken".to_owned(), |refusal| refusal.reason)
}

/// Tries until the answer is the one that is due within a second.
pub(crate) async fn soon(what: &str, mut check: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let polled = async {
        while !check().await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, polled).await.with_context(|| what.to_owned())?
}
