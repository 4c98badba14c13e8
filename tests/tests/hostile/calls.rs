//! Well-formed frames on a good session that ask for what one may not have, or with fields that cannot be.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use viberchat_tests::cluster::Server;

use super::{door, sockets::RawSocket};

/// Frames under way at once; fewer than the gateway takes before it stops reading.
const WINDOW: usize = 8;

/// An attacker with two conversations: one of others, one of their own.
pub(crate) struct Scene {
    attacker: String,
    /// The attacker's.
    pub(crate) token: String,
    /// Of alice and bob, whom the attacker does not know.
    pub(crate) foreign: String,
    /// A message in it.
    pub(crate) foreign_message: String,
    own: String,
    /// A page token that was given to alice.
    pub(crate) foreign_page: String,
}

impl Scene {
    /// Alice writes to bob and to carol, the attacker to carol. With another attacker alice only repeats herself.
    pub(crate) async fn set(server: &Server, attacker: &str) -> Result<Self> {
        let (alice, token) = (server.tokens().user("alice"), server.tokens().user(attacker));
        let foreign = start_direct(server, &alice, "bob").await?;
        let message = send(server, &alice, &foreign).await?;
        let second = start_direct(server, &alice, "carol").await?;
        send(server, &alice, &second).await?;
        let own = start_direct(server, &token, "carol").await?;
        send(server, &token, &own).await?;
        let page = door::good_call(server, &alice, door::LIST, &json!({"pageSize": 1})).await?;
        let text = |value: &Value, what: &str| value.as_str().map(str::to_owned).with_context(|| what.to_owned());
        Ok(Self {
            token,
            attacker: attacker.to_owned(),
            foreign,
            foreign_message: text(&message["message"]["messageId"], "a message id")?,
            own,
            foreign_page: text(&page["nextPageToken"], "a second page")?,
        })
    }

    /// Frames without their id, and the reason that each has to get.
    pub(crate) fn bad_requests(&self) -> Vec<(Value, &'static str)> {
        let (foreign, own, message) = (&self.foreign, &self.own, &self.foreign_message);
        let long = "x".repeat(16 * 1024 + 1);
        let unknown = "01a20000-0000-7000-8000-000000000000";
        // Sends into one conversation stand a window apart: one that fails takes those under way behind it along.
        vec![
            (json!({"send": {"conversationId": own, "clientMessageId": "m", "text": " \n"}}), "TEXT_EMPTY"),
            (
                json!({"send": {"conversationId": foreign, "clientMessageId": "m", "text": "let me in"}}),
                "CONVERSATION_NOT_FOUND",
            ),
            (
                json!({"send": {"conversationId": unknown, "clientMessageId": "m", "text": "let me in"}}),
                "CONVERSATION_NOT_FOUND",
            ),
            (
                json!({"send": {"conversationId": "../../etc", "clientMessageId": "m", "text": "hi"}}),
                "INVALID_ARGUMENT",
            ),
            (
                json!({"edit": {"conversationId": foreign, "messageId": message, "requestId": "r", "text": "mine"}}),
                "CONVERSATION_NOT_FOUND",
            ),
            (
                json!({"delete": {"conversationId": foreign, "messageId": message, "requestId": "r"}}),
                "CONVERSATION_NOT_FOUND",
            ),
            (json!({"delete": {"conversationId": own, "messageId": message, "requestId": "r"}}), "MESSAGE_NOT_FOUND"),
            (json!({"markRead": {"conversationId": own, "seq": "999999"}}), "INVALID_ARGUMENT"),
            (json!({"send": {"conversationId": own, "clientMessageId": "m", "text": long}}), "TEXT_TOO_LONG"),
            (json!({"markRead": {"conversationId": foreign, "seq": "1"}}), "CONVERSATION_NOT_FOUND"),
            (json!({"listMessages": {"conversationId": foreign}}), "CONVERSATION_NOT_FOUND"),
            (
                json!({"listMessages": {"conversationId": own, "pageToken": "AAAAAAAAAAAAAAAAAAAA"}}),
                "PAGE_TOKEN_INVALID",
            ),
            (json!({"listConversations": {"pageSize": 1, "pageToken": self.foreign_page}}), "PAGE_TOKEN_INVALID"),
            (json!({"readLog": {"conversationId": foreign}}), "CONVERSATION_NOT_FOUND"),
            (json!({"listPositions": {"conversationId": foreign}}), "CONVERSATION_NOT_FOUND"),
            (json!({"getConversation": {"conversationId": foreign}}), "CONVERSATION_NOT_FOUND"),
            (json!({"send": {"conversationId": own, "text": "no id"}}), "INVALID_ARGUMENT"),
            (json!({"listMembers": {"conversationId": foreign}}), "CONVERSATION_NOT_FOUND"),
            (json!({"leave": {"conversationId": foreign, "requestId": "r"}}), "CONVERSATION_NOT_FOUND"),
            (json!({"addMembers": {"conversationId": own, "userIds": ["eve"], "requestId": "r"}}), "DIRECT_IS_FIXED"),
            (json!({"startDirect": {"peerUserId": self.attacker}}), "SELF_CONVERSATION"),
            (json!({"startDirect": {"peerUserId": "bad\u{0}id"}}), "INVALID_ARGUMENT"),
            (json!({"createGroup": {"name": " ", "memberUserIds": ["carol"], "requestId": "r"}}), "INVALID_ARGUMENT"),
            (json!({"searchUsers": {"query": ""}}), "INVALID_ARGUMENT"),
        ]
    }
}

/// Sends bad requests on one session; each gets exactly one error, with its reason.
pub(crate) async fn on_sessions(server: &Server, scene: &Scene, count: usize) -> Result<()> {
    let mut socket = RawSocket::welcomed(server, &scene.token).await?;
    let requests = scene.bad_requests();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < WINDOW {
            let mut frame = requests[sent % requests.len()].0.clone();
            frame["id"] = json!(sent + 2);
            socket.send(&frame).await?;
            sent += 1;
        }
        let frame = socket.next_answer().await?;
        let id = frame["id"].as_u64().context("an id")?;
        let index = usize::try_from(id)? - 2;
        let (request, reason) = &requests[index % requests.len()];
        ensure!(frame["error"]["reason"] == *reason, "{request} got {frame}, not {reason}");
        answered += 1;
    }
    Ok(())
}

async fn start_direct(server: &Server, token: &str, peer: &str) -> Result<String> {
    let answer = door::good_call(server, token, door::START_DIRECT, &json!({"peerUserId": peer})).await?;
    let id = answer["conversation"]["conversationId"].as_str().context("a conversation")?;
    Ok(id.to_owned())
}

async fn send(server: &Server, token: &str, conversation: &str) -> Result<Value> {
    let message = json!({"conversationId": conversation, "clientMessageId": "good", "text": "hello"});
    door::good_call(server, token, door::SEND, &message).await
}
