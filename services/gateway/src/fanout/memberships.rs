//! Keeps each user's conversations as the conversation service says. Called by the task of the WatchMemberships stream
//! only, so changes of one user never overtake each other.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::{Membership, MembershipChangeKind};
use viberchat_proto::types::v1::ConversationKind;

use super::topic::{Follower, Followers};
use super::view::View;
use super::{Registry, Slot, Topic, User};

impl Registry {
    /// How far a user's memberships are known. `None`: nothing is.
    pub(crate) fn membership_version(&self, user_id: &str) -> Option<u64> {
        let user = self.user(user_id)?;
        let state = user.state();
        (state.is_known && state.membership_version > 0).then_some(state.membership_version)
    }

    /// A user's memberships are known up to this version, which is lower than before where the conversation service was
    /// restored from a backup.
    pub(crate) fn set_membership_version(&self, user_id: &str, version: u64) {
        if let Some(user) = self.user(user_id) {
            user.state().membership_version = version;
        }
    }

    /// The memberships of all known users are, but for those of whom the stream has said nothing yet.
    pub(crate) fn note_membership_version_of_all(&self, version: u64, but: &HashSet<String>) {
        for user in self.all_users() {
            let mut state = user.state();
            let continues = state.is_known && state.membership_version > 0;
            if continues && !but.contains(user.id().as_str()) {
                state.membership_version = state.membership_version.max(version);
            }
        }
    }

    /// All conversations of a user. What is new begins, what is missing has ended; the others may have changed unheard.
    pub(crate) fn snapshot(&self, user_id: &str, memberships: &[Membership], now: Instant) {
        let Some(user) = self.user(user_id) else { return };
        let (was_known, mut gone) = {
            let state = user.state();
            (state.is_known, state.by_conversation())
        };
        for known in memberships.iter().filter_map(parse) {
            match gone.remove(&known.conversation) {
                // The user may have gone and come back since, unheard.
                Some(slot) => self.changed(&user, slot, Some(&known)),
                None => self.added(&user, &known),
            }
        }
        let has_lost = !gone.is_empty();
        for slot in gone.into_values() {
            self.removed(&user, slot, now);
        }
        if has_lost {
            self.note_parted(&user);
        }
        if !was_known {
            let mut state = user.state();
            state.is_known = true;
            state.topics.shrink_to_fit();
            state.attach_all();
        }
    }

    /// One change of a user's conversations.
    pub(crate) fn change(&self, user_id: &str, kind: MembershipChangeKind, membership: &Membership, now: Instant) {
        let (Some(user), Some(known)) = (self.user(user_id), parse(membership)) else { return };
        let found = user.state().find(known.conversation).map(|(slot, _)| slot);
        match (kind, found) {
            (MembershipChangeKind::Added, None) => {
                self.added(&user, &known);
                self.ask_for_unknown(&user);
            }
            (MembershipChangeKind::Added, Some(slot)) => self.changed(&user, slot, Some(&known)),
            (MembershipChangeKind::Changed, Some(slot)) => self.changed(&user, slot, None),
            (MembershipChangeKind::Removed, Some(slot)) => {
                self.removed(&user, slot, now);
                self.note_parted(&user);
            }
            (MembershipChangeKind::Removed | MembershipChangeKind::Changed, None)
            | (MembershipChangeKind::Unspecified, _) => {}
        }
    }

    fn added(&self, user: &Arc<User>, known: &Known) {
        let (id, is_direct) = (known.conversation, known.is_direct);
        let mut topics = self.topics.lock();
        let topic = topics.entry(id).or_insert_with(|| {
            self.topic_wishes.add(id);
            Arc::new(Topic::new(id, is_direct))
        });
        let topic = topic.clone();
        let mut followers = topic.followers();
        drop(topics);
        let is_waiting = !followers.is_live;
        let mut state = user.state();
        if state.is_ended {
            drop(state);
            return self.note_idle(&topic, &mut followers, Instant::now());
        }
        followers.idle_since = None;
        let slot = state.insert(topic.clone(), View::of_follower(is_direct, known.version));
        if is_direct && followers.list.capacity() == 0 {
            // Most topics are directs: room for two, where a vector that grows takes it for four.
            followers.list.reserve_exact(2);
        }
        followers.list.push(Follower { user: user.clone(), slot, is_waiting });
        state.waiting += usize::from(is_waiting);
        for member in &state.sessions {
            let mut session = member.session();
            session.conversation_added(slot, &topic);
            if session.focus().contains(&id) {
                self.add_focus(&topic, &mut followers, user, member);
            }
            member.wake(&mut session);
        }
    }

    /// With `anew` nothing that was known of the user's view counts any more.
    fn changed(&self, user: &User, slot: Slot, anew: Option<&Known>) {
        let mut state = user.state();
        let Some(topic) = state.topic(slot) else { return };
        if let Some(view) = state.view_mut(slot, &topic) {
            match anew {
                Some(known) => *view = View::of_follower(known.is_direct, known.version),
                None => view.reset(topic.head_seq()),
            }
        }
        for member in &state.sessions {
            let mut session = member.session();
            session.conversation_changed(slot, &topic);
            member.wake(&mut session);
        }
    }

    fn removed(&self, user: &Arc<User>, slot: Slot, now: Instant) {
        let Some(topic) = user.state().topic(slot) else { return };
        let was_waiting = self.unfollow(&topic, user, slot, now);
        let mut state = user.state();
        state.remove(slot);
        for member in &state.sessions {
            let mut session = member.session();
            session.conversation_removed(slot);
            member.wake(&mut session);
        }
        if was_waiting {
            state.waiting -= 1;
            state.attach_all();
        }
    }

    /// The user has no session any more and is not followed.
    pub(super) fn end_user(&self, user: &Arc<User>, now: Instant) {
        let topics: Vec<_> = {
            let mut state = user.state();
            state.is_ended = true;
            state.entries().map(|(slot, topic)| (slot, topic.clone())).collect()
        };
        for (slot, topic) in topics {
            self.unfollow(&topic, user, slot, now);
        }
    }

    /// Returns whether the user was waiting for the topic's head.
    fn unfollow(&self, topic: &Arc<Topic>, user: &Arc<User>, slot: Slot, now: Instant) -> bool {
        let mut followers = topic.followers();
        let is_this = |follower: &Follower| follower.slot == slot && Arc::ptr_eq(&follower.user, user);
        let Some(place) = followers.list.iter().position(is_this) else { return false };
        let follower = followers.list.swap_remove(place);
        self.remove_focus(topic, &mut followers, |focused| Arc::ptr_eq(&focused.user, user));
        self.note_idle(topic, &mut followers, now);
        follower.is_waiting
    }

    /// A topic that nobody follows is swept later.
    fn note_idle(&self, topic: &Arc<Topic>, followers: &mut Followers, now: Instant) {
        if followers.list.is_empty() {
            followers.list = Vec::new();
            followers.idle_since = Some(now);
            if !std::mem::replace(&mut followers.is_queued, true) {
                self.idle_topics.lock().push_back((now, topic.clone()));
            }
        }
    }
}

/// What the conversation service says of a membership.
struct Known {
    conversation: ConversationId,
    is_direct: bool,
    /// Entries of this version and later ones came when the user was a member.
    version: u64,
}

fn parse(membership: &Membership) -> Option<Known> {
    let conversation = ConversationId::parse(&membership.conversation_id).ok()?;
    let is_direct = membership.kind() == ConversationKind::Direct;
    Some(Known { conversation, is_direct, version: membership.conversation_version })
}
