//! What a user puts on messages: reactions and pins; and how far they have come.

use std::time::Duration;

use rand::{Rng as _, seq::IndexedRandom as _};

use super::Actor;
use crate::history::Action;

/// Few, so that users give the same ones.
const EMOJI: [&str; 3] = ["👍", "🎉", "❤️"];

/// After this the sessions of one who was added follow the conversation.
const FOLLOWED: Duration = Duration::from_millis(300);

impl Actor {
    /// Gives a reaction to one of the newest messages, or takes it back, whether it is there or not.
    pub(super) async fn react(&mut self, conversation: &str) {
        let Some(message_id) = self.choose_message(conversation).await else { return };
        let emoji = EMOJI[self.rng.random_range(0..EMOJI.len())].to_owned();
        let action = match self.rng.random_bool(0.6) {
            true => Action::React { message_id, emoji },
            false => Action::Unreact { message_id, emoji },
        };
        self.write(conversation, action).await;
    }

    /// Reacts to a message from before somebody joined, once their sessions follow the conversation: those who see only
    /// their own stays hear that something is hidden.
    pub(super) async fn react_to_the_past(&mut self, conversation: &str, message_id: String) {
        tokio::time::sleep(FOLLOWED).await;
        let emoji = EMOJI[self.rng.random_range(0..EMOJI.len())].to_owned();
        self.write(conversation, Action::React { message_id, emoji }).await;
    }

    /// Pins one of the newest messages, or takes the pin away; members of a group are refused.
    pub(super) async fn pin(&mut self, conversation: &str) {
        let Some(message_id) = self.choose_message(conversation).await else { return };
        let action = if self.rng.random_bool(0.6) { Action::Pin { message_id } } else { Action::Unpin { message_id } };
        self.write(conversation, action).await;
    }

    /// Moves the delivered position, sometimes back, which must change nothing.
    pub(super) async fn deliver(&mut self, conversation: &str) {
        let Some(known) = self.client.known_seq(conversation) else { return };
        let door = self.any_door();
        let seq = if self.rng.random_bool(0.7) { known } else { self.rng.random_range(0..=known) };
        drop(self.client.mark_delivered(door, conversation, seq).await);
    }

    pub(super) async fn write(&mut self, conversation: &str, action: Action) {
        let attempt = self.attempt(conversation, action);
        let door = self.any_door();
        let answer = self.client.attempt(door, &attempt).await;
        self.carry_through(attempt, answer).await;
    }

    pub(super) async fn choose_message(&mut self, conversation: &str) -> Option<String> {
        let door = self.any_door();
        let newest = self.client.list_newest(door, conversation, 8).await.ok()?;
        newest.choose(&mut self.rng).map(|message| message.message_id.clone())
    }
}
