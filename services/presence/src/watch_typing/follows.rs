//! Who follows which conversation on one stream, and whom the stream has told of. Pure.

use std::collections::HashMap;

use tokio::time::Instant;
use viberchat_kit::id::{ConversationId, UserId};

use crate::domain::typing::Typists;

/// Who follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Follower {
    /// A member.
    User(UserId),
    /// A gateway, for itself.
    Relay,
}

/// Why a user may follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reason {
    /// Of the request that asked for it; comes back when it ends.
    pub(super) correlation_id: u64,
    /// When it was asked whether the user is a member; they are.
    pub(super) confirmed_at: Instant,
}

#[derive(Debug, Default)]
struct Follow {
    followers: HashMap<Follower, Reason>,
    /// Of whom the stream has said that they type.
    told: Typists,
}

/// What a stream follows.
#[derive(Debug, Default)]
pub(super) struct Follows {
    conversations: HashMap<ConversationId, Follow>,
    user_follows: usize,
}

impl Follows {
    /// How many conversations are followed.
    pub(super) fn len(&self) -> usize {
        self.conversations.len()
    }

    /// How many pairs of a user and a conversation there are.
    pub(super) fn user_follows(&self) -> usize {
        self.user_follows
    }

    pub(super) fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.conversations.keys().copied()
    }

    pub(super) fn contains(&self, conversation: ConversationId) -> bool {
        self.conversations.contains_key(&conversation)
    }

    pub(super) fn follows(&self, conversation: ConversationId, follower: &Follower) -> bool {
        self.conversations.get(&conversation).is_some_and(|follow| follow.followers.contains_key(follower))
    }

    /// Adds a follower. Returns whether the conversation is new to the stream. Whoever types there is told of again, for
    /// the new one.
    pub(super) fn add(&mut self, conversation: ConversationId, follower: Follower, reason: Reason) -> bool {
        let is_new = !self.conversations.contains_key(&conversation);
        let is_user = matches!(follower, Follower::User(_));
        let follow = self.conversations.entry(conversation).or_default();
        let was_there = follow.followers.insert(follower, reason).is_some();
        self.user_follows += usize::from(is_user && !was_there);
        is_new
    }

    /// Of whom the stream has said that they type there.
    pub(super) fn told(&self, conversation: ConversationId) -> impl Iterator<Item = &UserId> {
        self.conversations.get(&conversation).into_iter().flat_map(|follow| follow.told.keys())
    }

    /// Takes a follower away. Returns whether nobody follows the conversation any more.
    pub(super) fn remove(&mut self, conversation: ConversationId, follower: &Follower) -> bool {
        let Some(follow) = self.conversations.get_mut(&conversation) else { return false };
        if follow.followers.remove(follower).is_none() {
            return false;
        }
        self.user_follows -= usize::from(matches!(follower, Follower::User(_)));
        let is_last = follow.followers.is_empty();
        if is_last {
            self.conversations.remove(&conversation);
        }
        is_last
    }

    /// What has to be said so that the stream has told of exactly these, as often as they are to be told of.
    pub(super) fn differences(&mut self, conversation: ConversationId, typists: Typists) -> Vec<(UserId, bool)> {
        let Some(follow) = self.conversations.get_mut(&conversation) else { return Vec::new() };
        let ended = follow.told.keys().filter(|user| !typists.contains_key(*user)).map(|user| (user.clone(), false));
        // Begun, or told again.
        let told = typists.iter().filter(|(user, told)| follow.told.get(*user) != Some(*told));
        let begun = told.map(|(user, _)| (user.clone(), true));
        let differences = ended.chain(begun).collect();
        follow.told = typists;
        differences
    }

    /// All users who follow something.
    pub(super) fn places(&self) -> Vec<(ConversationId, UserId)> {
        let mut places = Vec::with_capacity(self.user_follows);
        for (conversation, follow) in &self.conversations {
            for follower in follow.followers.keys() {
                if let Follower::User(user) = follower {
                    places.push((*conversation, user.clone()));
                }
            }
        }
        places
    }

    pub(super) fn reason(&mut self, conversation: ConversationId, user: &UserId) -> Option<&mut Reason> {
        let follow = self.conversations.get_mut(&conversation)?;
        follow.followers.get_mut(&Follower::User(user.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn only_differences_are_said() {
        let id = ConversationId::from_bytes([1; 16]);
        let begin = std::time::Instant::now();
        let typists = |ids: &[&str]| -> Typists { ids.iter().map(|id| (user(id), begin)).collect() };
        let mut follows = Follows::default();
        assert!(follows.differences(id, typists(&["ann"])).is_empty(), "nobody follows");
        let reason = Reason { correlation_id: 1, confirmed_at: Instant::now() };
        assert!(follows.add(id, Follower::Relay, reason));
        assert_eq!(follows.differences(id, typists(&["ann"])), [(user("ann"), true)]);
        assert!(follows.differences(id, typists(&["ann"])).is_empty());
        let goes_on = Typists::from([(user("ann"), begin + std::time::Duration::from_secs(3))]);
        assert_eq!(follows.differences(id, goes_on.clone()), [(user("ann"), true)], "goes on");
        assert!(follows.differences(id, goes_on).is_empty());
        assert_eq!(follows.differences(id, typists(&["bob"])), [(user("ann"), false), (user("bob"), true)]);
    }

    #[test]
    fn a_conversation_is_followed_until_the_last_follower_goes() {
        let id = ConversationId::from_bytes([1; 16]);
        let mut follows = Follows::default();
        let reason = Reason { correlation_id: 1, confirmed_at: Instant::now() };
        assert!(follows.add(id, Follower::User(user("ann")), reason));
        assert!(!follows.add(id, Follower::User(user("ann")), reason));
        assert!(!follows.add(id, Follower::Relay, reason));
        assert_eq!((follows.user_follows(), follows.places().len()), (1, 1));
        assert!(!follows.remove(id, &Follower::User(user("bob"))));
        assert!(!follows.remove(id, &Follower::User(user("ann"))));
        assert!(follows.remove(id, &Follower::Relay));
        assert_eq!((follows.user_follows(), follows.len()), (0, 0));
    }
}
