//! Who is there and who types, with its place in the history.

use std::time::Duration;

use viberchat_proto::{gateway::v1 as gateway, presence::v1 as presence};

use super::{Client, Focus, Refusal, SetStatus, SetTyping, UnwatchPresence, WatchPresence};
use crate::history::{Door, PresenceView, Push, Status, StatusSet, presence_of};

/// How often what was pushed is looked at.
const POLL: Duration = Duration::from_millis(5);

impl Client {
    /// Follows the presence of users in the session. The snapshot stands in the history as a push.
    ///
    /// # Errors
    /// The refusal.
    pub async fn watch_presence(&self, users: &[String]) -> Result<Vec<PresenceView>, Refusal> {
        let (watched, _) = self.ask::<WatchPresence>(gateway::WatchPresence { user_ids: users.to_vec() }).await?;
        Ok(watched.presences.iter().map(presence_of).collect())
    }

    /// Follows the presence of users no more.
    ///
    /// # Errors
    /// The refusal.
    pub async fn unwatch_presence(&self, users: &[String]) -> Result<(), Refusal> {
        self.ask::<UnwatchPresence>(gateway::UnwatchPresence { user_ids: users.to_vec() }).await.map(drop)
    }

    /// Names the conversations on the screen.
    ///
    /// # Errors
    /// The refusal.
    pub async fn focus(&self, conversations: &[String]) -> Result<(), Refusal> {
        self.ask::<Focus>(gateway::Focus { conversation_ids: conversations.to_vec() }).await.map(drop)
    }

    /// Says that one types, or no more.
    ///
    /// # Errors
    /// The refusal.
    pub async fn set_typing(&self, door: Door, conversation: &str, typing: bool) -> Result<(), Refusal> {
        let request = presence::SetTypingRequest { conversation_id: conversation.to_owned(), typing };
        self.call::<SetTyping>(door, request).await.map(drop)
    }

    /// Sets one's status.
    ///
    /// # Errors
    /// The refusal.
    pub async fn set_status(&self, door: Door, status: presence::Status) -> Result<PresenceView, Refusal> {
        let begun = self.recorder().now();
        let request = presence::SetStatusRequest { status: status.into() };
        let answered = self.call::<SetStatus>(door, request).await;
        let shown = match status {
            presence::Status::Invisible => Status::Invisible,
            presence::Status::Away => Status::Away,
            presence::Status::Busy => Status::Busy,
            _ => Status::Online,
        };
        let set = StatusSet { user: self.user().to_owned(), status: shown, begun, ended: None };
        self.recorder().status(set, answered.is_ok());
        answered.map(|(response, _)| presence_of(&response.presence.unwrap_or_default()))
    }

    /// What was pushed to the session so far.
    #[must_use]
    pub fn pushes(&self) -> Vec<Push> {
        self.socket().map(|socket| self.recorder().pushes(socket.session())).unwrap_or_default()
    }

    /// Waits until something like this was pushed to the session after the first `skip` pushes.
    pub async fn wait_for_push(&self, limit: Duration, skip: usize, wanted: impl Fn(&Push) -> bool) -> bool {
        let polled = async {
            while !self.pushes().iter().skip(skip).any(&wanted) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(limit, polled).await.is_ok()
    }
}
