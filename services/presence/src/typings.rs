//! Who types, and who follows it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use viberchat_kit::id::{ConversationId, UserId};

use crate::domain::typing::{Noted, Typing, TypingLimits, Typists};
use crate::hub::{Hub, Inbox};
use crate::metrics::ServiceMetrics;
use crate::others::Others;

/// Who types.
pub(crate) struct Typings {
    /// Written by SetTyping, the saver and the sweep; read by streams. Never held across an await.
    state: Mutex<State>,
    others: Option<Arc<Others>>,
    metrics: ServiceMetrics,
}

struct State {
    typing: Typing,
    hub: Hub<ConversationId>,
}

impl Typings {
    /// Nobody yet.
    pub(crate) fn new(limits: TypingLimits, others: Option<Arc<Others>>, metrics: ServiceMetrics) -> Self {
        let state = State { typing: Typing::new(limits), hub: Hub::default() };
        Self { state: Mutex::new(state), others, metrics }
    }

    /// The user types, unless `is_hidden` says that nobody may know. Asked here, so that a user who hides is either seen
    /// by it, or ended by [`Typings::stop_everywhere`] afterwards.
    pub(crate) fn start(&self, conversation: ConversationId, user: &UserId, is_hidden: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        if is_hidden() {
            return;
        }
        let lifetime = state.typing.lifetime();
        let noted = state.typing.start(conversation, user, Instant::now().into_std());
        // Under the lock: others hear of a begin and an end in their order.
        if noted == Noted::Changed
            && let Some(others) = &self.others
        {
            others.tell_typing(conversation, user, lifetime);
        }
        self.publish(&state, conversation, noted);
    }

    /// The same at another instance, which has asked whether the user belongs there.
    pub(crate) fn start_elsewhere(
        &self,
        conversation: ConversationId,
        user: &UserId,
        lifetime: Duration,
        is_hidden: impl FnOnce() -> bool,
    ) {
        let mut state = self.state.lock();
        if is_hidden() {
            return;
        }
        let noted = state.typing.start_for(conversation, user, lifetime, Instant::now().into_std());
        self.publish(&state, conversation, noted);
    }

    /// The user types no more.
    pub(crate) fn stop(&self, conversation: ConversationId, user: &UserId) {
        let mut state = self.state.lock();
        let noted = state.typing.stop(conversation, user);
        if noted == Noted::Changed
            && let Some(others) = &self.others
        {
            others.tell_typing(conversation, user, Duration::ZERO);
        }
        self.publish(&state, conversation, noted);
    }

    /// The same, said by another instance.
    pub(crate) fn stop_elsewhere(&self, conversation: ConversationId, user: &UserId) {
        let mut state = self.state.lock();
        let noted = state.typing.stop(conversation, user);
        self.publish(&state, conversation, noted);
    }

    fn publish(&self, state: &State, conversation: ConversationId, noted: Noted) {
        match noted {
            Noted::Changed => state.hub.publish(&conversation),
            Noted::Same => {}
            Noted::Shed => {
                self.metrics.shed_typing.inc();
            }
        }
    }

    /// Whether the user types anywhere.
    pub(crate) fn types(&self, user: &UserId) -> bool {
        self.state.lock().typing.types(user)
    }

    /// The user hides.
    pub(crate) fn stop_everywhere(&self, user: &UserId) {
        let mut state = self.state.lock();
        let ended = state.typing.stop_everywhere(user);
        ended.iter().for_each(|conversation| state.hub.publish(conversation));
    }

    /// Ends what was not repeated.
    pub(crate) fn expire(&self) {
        let mut state = self.state.lock();
        let ended = state.typing.expire(Instant::now().into_std());
        ended.iter().for_each(|conversation| state.hub.publish(conversation));
        self.metrics.typists.set(state.typing.len() as i64);
    }

    /// Who types there.
    pub(crate) fn typists(&self, conversation: ConversationId) -> Typists {
        self.state.lock().typing.typists(conversation)
    }

    /// From now on the stream hears of the conversation.
    pub(crate) fn follow(&self, conversation: ConversationId, inbox: &Arc<Inbox<ConversationId>>) {
        self.state.lock().hub.follow(conversation, inbox);
    }

    /// Undoes [`Typings::follow`].
    pub(crate) fn unfollow(&self, conversation: ConversationId, inbox: &Arc<Inbox<ConversationId>>) {
        self.state.lock().hub.unfollow(&conversation, inbox);
    }
}
