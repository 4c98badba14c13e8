//! The demo people and what they said so far. Planted again it changes nothing: each write has a fixed id.

use tonic::Request;
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::{Channel, on_behalf_of};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::user_directory_service_client::UserDirectoryServiceClient;
use viberchat_proto::conversation::v1::{
    CreateGroupConversationRequest, GetOrCreateDirectConversationRequest, UpsertUsersRequest, User,
};
use viberchat_proto::message::v1::SendMessageRequest;
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;

/// Answers in directs.
pub(super) const BOT: &str = "viber-bot";

const PEOPLE: &[(&str, &str)] =
    &[("alice", "Alice Lindqvist"), ("bob", "Bob Okafor"), ("carol", "Carol Nguyen"), (BOT, "Viber Bot")];

const DIRECT: &[(&str, &str)] = &[
    ("bob", "Morning! Did you see that the new chat is up?"),
    ("alice", "Just opened it. It even remembers what I had not read."),
    ("bob", "Open a second window as me and answer yourself 🙂"),
];

const GROUP: &[(&str, &str)] = &[
    ("carol", "Train or car on Saturday?"),
    ("alice", "Train. Then nobody has to drive back."),
    ("bob", "Train. I bring sandwiches."),
];

pub(super) async fn plant(channel: Channel) -> anyhow::Result<()> {
    let users = PEOPLE
        .iter()
        .map(|(id, name)| User {
            user_id: (*id).into(),
            username: (*id).into(),
            display_name: (*name).into(),
            ..User::default()
        })
        .collect();
    UserDirectoryServiceClient::new(channel.clone()).upsert_users(UpsertUsersRequest { users }).await?;

    let direct = direct(&channel, "alice", "bob").await?;
    say(&channel, &direct, DIRECT).await?;
    let with_bot = self::direct(&channel, BOT, "alice").await?;
    say(&channel, &with_bot, &[(BOT, "Hi Alice! Write me something and I will answer.")]).await?;
    let with_bot = self::direct(&channel, BOT, "bob").await?;
    say(&channel, &with_bot, &[(BOT, "Hi Bob! Write me something and I will answer.")]).await?;

    let group = CreateGroupConversationRequest {
        name: "Weekend trip".into(),
        member_user_ids: vec!["bob".into(), "carol".into()],
        request_id: "demo-group".into(),
        ..Default::default()
    };
    let group = ConversationServiceClient::new(channel.clone())
        .create_group_conversation(on_behalf_of(Request::new(group), &UserId::parse("alice")?))
        .await?
        .into_inner();
    let group = group.conversation.map(|conversation| conversation.conversation_id).unwrap_or_default();
    say(&channel, &group, GROUP).await
}

async fn direct(channel: &Channel, user: &str, peer: &str) -> anyhow::Result<String> {
    let request = GetOrCreateDirectConversationRequest { peer_user_id: peer.into() };
    let response = ConversationServiceClient::new(channel.clone())
        .get_or_create_direct_conversation(on_behalf_of(Request::new(request), &UserId::parse(user)?))
        .await?
        .into_inner();
    Ok(response.conversation.map(|conversation| conversation.conversation_id).unwrap_or_default())
}

async fn say(channel: &Channel, conversation_id: &str, lines: &[(&str, &str)]) -> anyhow::Result<()> {
    for (index, (user, text)) in lines.iter().enumerate() {
        let request = SendMessageRequest {
            conversation_id: conversation_id.into(),
            client_message_id: format!("demo-{index}"),
            text: (*text).into(),
            ..Default::default()
        };
        MessageServiceClient::new(channel.clone())
            .send_message(on_behalf_of(Request::new(request), &UserId::parse(user)?))
            .await?;
    }
    Ok(())
}
