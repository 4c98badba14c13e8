//! Fills a deployment through the internal door, as a backend would: conversations, and messages in them.

use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{
    AddMembersRequest, CreateGroupConversationRequest, GetOrCreateDirectConversationRequest,
};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::{BatchGetHeadsRequest, SendMessageRequest};

use super::client::ANSWER_TIMEOUT;
use super::order;
use super::server::Server;

/// Calls under way at once: enough that one sync serves many.
const CALLS: usize = 64;

/// Of a call that the server cannot answer now, and the time between two.
const TRIES: u32 = 20;
const BACKOFF: Duration = Duration::from_millis(250);
/// Members that one call may name.
const CALL_MEMBERS_MAX: usize = 200;

/// A conversation that was made.
pub(crate) struct Group {
    pub(crate) conversation: String,
    /// Of a direct the one who asked for it.
    pub(crate) owner: String,
    /// Its last entry.
    pub(crate) head: u64,
}

pub(crate) struct Seed {
    conversations: ConversationServiceClient<Channel>,
    messages: MessageServiceClient<Channel>,
}

impl Seed {
    pub(crate) fn of(server: &Server) -> anyhow::Result<Self> {
        let conversations = ConversationServiceClient::new(server.conversation()?);
        Ok(Self { conversations, messages: MessageServiceClient::new(server.message()?) })
    }

    /// A direct of each pair, with a message that the second one sent.
    pub(crate) async fn directs(&self, pairs: impl Iterator<Item = (String, String)>) -> anyhow::Result<()> {
        let calls = pairs.map(|(user, peer)| self.direct(user, peer));
        futures::stream::iter(calls).buffer_unordered(CALLS).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    /// The same, with what they have become, in their order.
    pub(crate) async fn opened_directs(
        &self,
        pairs: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Vec<Group>> {
        let calls = pairs.map(|(user, peer)| self.direct(user, peer));
        futures::stream::iter(calls).buffered(CALLS).try_collect().await
    }

    /// A group of each list of members; the first one owns it.
    pub(crate) async fn groups(&self, groups: impl Iterator<Item = Vec<String>>) -> anyhow::Result<()> {
        let calls = groups.enumerate().map(|(index, members)| self.group(index, members));
        futures::stream::iter(calls).buffer_unordered(CALLS).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    /// The same, with what they have become, in their order.
    pub(crate) async fn opened_groups(&self, groups: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Vec<Group>> {
        let calls = groups.enumerate().map(|(index, members)| self.group(index, members));
        futures::stream::iter(calls).buffered(CALLS).try_collect().await
    }

    /// One group of its owner and any number of members.
    pub(crate) async fn large_group(&self, name: &str, owner: &str, members: &[String]) -> anyhow::Result<Group> {
        let owner_id = UserId::parse(owner)?;
        let mut parts = members.chunks(CALL_MEMBERS_MAX);
        let request = CreateGroupConversationRequest {
            name: name.to_owned(),
            member_user_ids: parts.next().unwrap_or_default().to_vec(),
            request_id: name.to_owned(),
            ..CreateGroupConversationRequest::default()
        };
        let mut client = self.conversations.clone();
        let created = ask(&owner_id, request, async |request| client.create_group_conversation(request).await).await?;
        let conversation = created.conversation.context("a group has a conversation")?.conversation_id;
        for (index, part) in parts.enumerate() {
            let request = AddMembersRequest {
                conversation_id: conversation.clone(),
                user_ids: part.to_vec(),
                request_id: format!("{name}-{index}"),
            };
            ask(&owner_id, request, async |request| client.add_members(request).await).await?;
        }
        let head = self.settled_head(&conversation, &owner_id, members.len().div_ceil(CALL_MEMBERS_MAX) as u64).await?;
        Ok(Group { conversation, owner: owner.to_owned(), head })
    }

    /// The head once the entries of all changes are in the log.
    async fn settled_head(&self, conversation: &str, owner: &UserId, entries: u64) -> anyhow::Result<u64> {
        let mut client = self.messages.clone();
        for _ in 0..200 {
            let request = BatchGetHeadsRequest { conversation_ids: vec![conversation.to_owned()] };
            let heads = ask(owner, request, async |request| client.batch_get_heads(request).await).await?;
            if let Some(head) = heads.heads.first().filter(|head| head.head_seq >= entries) {
                return Ok(head.head_seq);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("the group's entries are not in the log in time")
    }

    /// Sends messages of the group's owner, some at once; returns the head then.
    pub(crate) async fn messages(
        &self,
        group: &Group,
        requests: impl Iterator<Item = SendMessageRequest>,
    ) -> anyhow::Result<u64> {
        let owner = UserId::parse(&group.owner)?;
        let calls = requests.map(|request| {
            let (mut client, owner) = (self.messages.clone(), &owner);
            async move {
                let sent = ask(owner, request, async |request| client.send_message(request).await).await?;
                anyhow::Ok(sent.message.context("an ack has a message")?.seq)
            }
        });
        let sent = futures::stream::iter(calls).buffer_unordered(CALLS);
        sent.try_fold(group.head, |head, seq| std::future::ready(Ok(head.max(seq)))).await
    }

    async fn direct(&self, user: String, peer: String) -> anyhow::Result<Group> {
        let request = GetOrCreateDirectConversationRequest { peer_user_id: peer.clone() };
        let (user, peer) = (UserId::parse(&user)?, UserId::parse(&peer)?);
        let mut client = self.conversations.clone();
        let direct =
            ask(&user, request, async |request| client.get_or_create_direct_conversation(request).await).await?;
        let conversation = direct.conversation.context("a direct has a conversation")?.conversation_id;
        let request = order::message(&conversation, 0, 0, 0);
        let mut client = self.messages.clone();
        let sent = ask(&peer, request, async |request| client.send_message(request).await).await?;
        let head = sent.message.context("an ack has a message")?.seq;
        Ok(Group { conversation, owner: user.as_str().to_owned(), head })
    }

    async fn group(&self, index: usize, members: Vec<String>) -> anyhow::Result<Group> {
        let owner = UserId::parse(members.first().context("a group has members")?)?;
        let request = CreateGroupConversationRequest {
            name: format!("Group {index}"),
            member_user_ids: members,
            request_id: format!("group-{index}"),
            ..CreateGroupConversationRequest::default()
        };
        let mut client = self.conversations.clone();
        let created = ask(&owner, request, async |request| client.create_group_conversation(request).await).await?;
        let conversation = created.conversation.context("a group has a conversation")?.conversation_id;
        Ok(Group { conversation, owner: owner.as_str().to_owned(), head: created.seq })
    }
}

/// Calls as a user, and again when the server cannot answer now: what is filled in is not what is measured, and each call
/// has an id of its own, so that it counts once.
async fn ask<Q: Clone, A>(
    user: &UserId,
    request: Q,
    mut call: impl AsyncFnMut(tonic::Request<Q>) -> Result<tonic::Response<A>, tonic::Status>,
) -> anyhow::Result<A> {
    let mut tries = 1;
    loop {
        let request = on_behalf_of(tonic::Request::new(request.clone()), user);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, call(request)).await.context("no answer in time")?;
        match answer {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if status.code() == tonic::Code::Unavailable && tries < TRIES => tries += 1,
            Err(status) => anyhow::bail!("{:?}: {}", status.code(), status.message()),
        }
        tokio::time::sleep(BACKOFF).await;
    }
}
