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

/// Members that one call may name.
const CALL_MEMBERS_MAX: usize = 200;

/// A group that was made.
pub(crate) struct Group {
    pub(crate) conversation: String,
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
        let channel = server.grpc()?;
        let conversations = ConversationServiceClient::new(channel.clone());
        Ok(Self { conversations, messages: MessageServiceClient::new(channel) })
    }

    /// A direct of each pair, with a message that the second one sent.
    pub(crate) async fn directs(&self, pairs: impl Iterator<Item = (String, String)>) -> anyhow::Result<()> {
        let calls = pairs.map(|(user, peer)| self.direct(user, peer));
        futures::stream::iter(calls).buffer_unordered(CALLS).try_collect::<()>().await
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
        let request = on_behalf_of(tonic::Request::new(request), &owner_id);
        let created = in_time(client.create_group_conversation(request)).await?;
        let conversation = created.conversation.context("a group has a conversation")?.conversation_id;
        for (index, part) in parts.enumerate() {
            let request = AddMembersRequest {
                conversation_id: conversation.clone(),
                user_ids: part.to_vec(),
                request_id: format!("{name}-{index}"),
            };
            in_time(client.add_members(on_behalf_of(tonic::Request::new(request), &owner_id))).await?;
        }
        let head = self.settled_head(&conversation, &owner_id, members.len().div_ceil(CALL_MEMBERS_MAX) as u64).await?;
        Ok(Group { conversation, owner: owner.to_owned(), head })
    }

    /// The head once the entries of all changes are in the log.
    async fn settled_head(&self, conversation: &str, owner: &UserId, entries: u64) -> anyhow::Result<u64> {
        let mut client = self.messages.clone();
        for _ in 0..200 {
            let request = BatchGetHeadsRequest { conversation_ids: vec![conversation.to_owned()] };
            let heads = in_time(client.batch_get_heads(on_behalf_of(tonic::Request::new(request), owner))).await?;
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
            let mut client = self.messages.clone();
            let request = on_behalf_of(tonic::Request::new(request), &owner);
            async move {
                let sent = in_time(client.send_message(request)).await?;
                anyhow::Ok(sent.message.context("an ack has a message")?.seq)
            }
        });
        let sent = futures::stream::iter(calls).buffer_unordered(CALLS);
        sent.try_fold(group.head, |head, seq| std::future::ready(Ok(head.max(seq)))).await
    }

    async fn direct(&self, user: String, peer: String) -> anyhow::Result<()> {
        let request = GetOrCreateDirectConversationRequest { peer_user_id: peer.clone() };
        let request = on_behalf_of(tonic::Request::new(request), &UserId::parse(&user)?);
        let mut client = self.conversations.clone();
        let direct = in_time(client.get_or_create_direct_conversation(request)).await?;
        let conversation = direct.conversation.context("a direct has a conversation")?.conversation_id;
        let request = tonic::Request::new(order::message(&conversation, 0, 0, 0));
        let mut client = self.messages.clone();
        in_time(client.send_message(on_behalf_of(request, &UserId::parse(&peer)?))).await?;
        Ok(())
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
        let request = on_behalf_of(tonic::Request::new(request), &owner);
        let created = in_time(client.create_group_conversation(request)).await?;
        let conversation = created.conversation.context("a group has a conversation")?.conversation_id;
        Ok(Group { conversation, owner: owner.as_str().to_owned(), head: created.seq })
    }
}

async fn in_time<T>(call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, call).await.context("no answer in time")?;
    Ok(answer.map_err(|status| anyhow::anyhow!("{:?}: {}", status.code(), status.message()))?.into_inner())
}
