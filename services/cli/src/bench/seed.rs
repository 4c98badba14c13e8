//! Fills a deployment through the internal door, as a backend would: conversations with a message each.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{CreateGroupConversationRequest, GetOrCreateDirectConversationRequest};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;

use super::client::ANSWER_TIMEOUT;
use super::order;
use super::server::Server;

/// Calls under way at once: enough that one sync serves many.
const CALLS: usize = 64;

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
        futures::stream::iter(calls).buffer_unordered(CALLS).try_collect::<()>().await
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

    async fn group(&self, index: usize, members: Vec<String>) -> anyhow::Result<()> {
        let owner = UserId::parse(members.first().context("a group has members")?)?;
        let request = CreateGroupConversationRequest {
            name: format!("Group {index}"),
            member_user_ids: members,
            request_id: format!("group-{index}"),
            ..CreateGroupConversationRequest::default()
        };
        let mut client = self.conversations.clone();
        in_time(client.create_group_conversation(on_behalf_of(tonic::Request::new(request), &owner))).await?;
        Ok(())
    }
}

async fn in_time<T>(call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, call).await.context("no answer in time")?;
    Ok(answer.map_err(|status| anyhow::anyhow!("{:?}: {}", status.code(), status.message()))?.into_inner())
}
