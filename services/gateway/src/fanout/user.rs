//! A user with sessions on this gateway, and their conversations.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use viberchat_kit::id::{ConversationId, UserId};

use super::member::Member;
use super::topic::{Slot, Topic};
use super::view::View;

/// A user. The task of the WatchMemberships stream changes the conversations; sockets come and go.
pub(crate) struct User {
    id: UserId,
    state: Mutex<UserState>,
}

/// A conversation of a user.
pub(super) struct Followed {
    pub(super) topic: Arc<Topic>,
    /// Changed by the tasks of the streams.
    pub(super) view: View,
}

/// What the lock of a user guards. Locks are taken in the order topic, user, session.
#[derive(Default)]
pub(super) struct UserState {
    /// By slot.
    pub(super) topics: Vec<Option<Followed>>,
    free: Vec<Slot>,
    /// Topics whose heads are waited for.
    pub(super) waiting: usize,
    /// The snapshot of memberships is complete.
    pub(super) is_known: bool,
    /// How far the memberships are known, to resume from; 0: not at all.
    pub(super) membership_version: u64,
    pub(super) sessions: Vec<Arc<Member>>,
    /// Since when there is no session.
    pub(super) idle_since: Option<Instant>,
    /// Waits in the queue of the idle.
    pub(super) is_queued: bool,
    /// Nobody finds the user any more, so nothing may begin for them.
    pub(super) is_ended: bool,
}

impl User {
    pub(super) fn new(id: UserId) -> Self {
        Self { id, state: Mutex::default() }
    }

    pub(crate) fn id(&self) -> &UserId {
        &self.id
    }

    pub(super) fn state(&self) -> MutexGuard<'_, UserState> {
        self.state.lock()
    }
}

impl UserState {
    /// Whether sessions can be attached.
    pub(super) fn is_ready(&self) -> bool {
        self.is_known && self.waiting == 0
    }

    /// Attaches a session if everything is known and it wants that.
    pub(super) fn attach(&self, member: &Arc<Member>) {
        if !self.is_ready() {
            return;
        }
        let mut session = member.session();
        if session.wants_memberships() {
            session.attach(self.entries().collect::<Vec<_>>().into_iter());
            member.wake(&mut session);
        }
    }

    /// Attaches every session that waits.
    pub(super) fn attach_all(&self) {
        for member in &self.sessions {
            self.attach(member);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Slot, &Arc<Topic>)> {
        self.topics.iter().enumerate().filter_map(|(slot, followed)| {
            let slot = Slot::try_from(slot).expect("slots are counted as Slot");
            Some((slot, &followed.as_ref()?.topic))
        })
    }

    pub(super) fn by_conversation(&self) -> HashMap<ConversationId, Slot> {
        self.entries().map(|(slot, topic)| (topic.conversation(), slot)).collect()
    }

    pub(super) fn find(&self, conversation: ConversationId) -> Option<(Slot, Arc<Topic>)> {
        let (slot, topic) = self.entries().find(|(_, topic)| topic.conversation() == conversation)?;
        Some((slot, topic.clone()))
    }

    /// The topic of a slot, if it is taken.
    pub(super) fn topic(&self, slot: Slot) -> Option<Arc<Topic>> {
        Some(self.topics.get(slot as usize)?.as_ref()?.topic.clone())
    }

    /// The view of a slot, if it is still that of `topic`: slots are used again.
    pub(super) fn view_mut(&mut self, slot: Slot, topic: &Arc<Topic>) -> Option<&mut View> {
        let followed = self.topics.get_mut(slot as usize)?.as_mut()?;
        Arc::ptr_eq(&followed.topic, topic).then_some(&mut followed.view)
    }

    pub(super) fn insert(&mut self, topic: Arc<Topic>, view: View) -> Slot {
        let followed = Some(Followed { topic, view });
        if let Some(slot) = self.free.pop() {
            self.topics[slot as usize] = followed;
            return slot;
        }
        self.topics.push(followed);
        Slot::try_from(self.topics.len() - 1).expect("a user has less than 2^32 conversations")
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.topics[slot as usize] = None;
        self.free.push(slot);
    }
}
