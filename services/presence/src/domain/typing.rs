//! Who types where. Ends by itself. Pure: time comes as a parameter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use viberchat_kit::id::{ConversationId, UserId};

/// What may be kept. What is more is not noted: typing is the first thing to be shed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypingLimits {
    /// In all conversations.
    pub(crate) typists_max: usize,
    pub(crate) conversation_typists_max: usize,
    /// After so long without a repetition it ends.
    pub(crate) lifetime: Duration,
}

/// What became of a word about typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// Others see something else now.
    Changed,
    /// They see what they saw.
    Same,
    /// There is no room.
    Shed,
}

/// A repetition is told no sooner after what was told before. Whoever hears nothing for the lifetime ends it by themselves,
/// so those who go on typing have to be heard of again; who calls at every key is not.
pub(crate) const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Those who type in a conversation, each with the time of what was told last.
pub(crate) type Typists = BTreeMap<UserId, Instant>;

/// Somebody who types.
#[derive(Clone, Copy, Debug)]
struct Typist {
    end: Instant,
    /// When others were to be told last.
    told: Instant,
}

/// Who types where.
#[derive(Debug)]
pub(crate) struct Typing {
    limits: TypingLimits,
    conversations: HashMap<ConversationId, BTreeMap<UserId, Typist>>,
    /// The same, by when it ends.
    ends: BTreeSet<(Instant, ConversationId, UserId)>,
}

impl Typing {
    pub(crate) fn new(limits: TypingLimits) -> Self {
        Self { limits, conversations: HashMap::new(), ends: BTreeSet::new() }
    }

    /// How long a word about typing counts.
    pub(crate) fn lifetime(&self) -> Duration {
        self.limits.lifetime
    }

    /// The user types, or goes on.
    pub(crate) fn start(&mut self, conversation: ConversationId, user: &UserId, now: Instant) -> Noted {
        self.start_for(conversation, user, self.limits.lifetime, now)
    }

    /// The same for so long, which is never longer than others type.
    pub(crate) fn start_for(
        &mut self,
        conversation: ConversationId,
        user: &UserId,
        lifetime: Duration,
        now: Instant,
    ) -> Noted {
        let end = now + lifetime.min(self.limits.lifetime);
        let typists = self.conversations.get(&conversation);
        let old = typists.and_then(|typists| typists.get(user).copied());
        let end = old.map_or(end, |old| old.end.max(end));
        if let Some(old) = old {
            self.ends.remove(&(old.end, conversation, user.clone()));
        } else if self.ends.len() >= self.limits.typists_max
            || typists.is_some_and(|typists| typists.len() >= self.limits.conversation_typists_max)
        {
            return Noted::Shed;
        }
        let told = old.map(|old| old.told).filter(|told| now.duration_since(*told) < TOLD_AGAIN_AFTER);
        let typist = Typist { end, told: told.unwrap_or(now) };
        self.ends.insert((end, conversation, user.clone()));
        self.conversations.entry(conversation).or_default().insert(user.clone(), typist);
        if told.is_some() { Noted::Same } else { Noted::Changed }
    }

    /// The user types no more.
    pub(crate) fn stop(&mut self, conversation: ConversationId, user: &UserId) -> Noted {
        let Some(typists) = self.conversations.get_mut(&conversation) else { return Noted::Same };
        let Some(typist) = typists.remove(user) else { return Noted::Same };
        if typists.is_empty() {
            self.conversations.remove(&conversation);
        }
        self.ends.remove(&(typist.end, conversation, user.clone()));
        Noted::Changed
    }

    /// The user types nowhere any more. Returns where they did. A walk through all who type: they are few.
    pub(crate) fn stop_everywhere(&mut self, user: &UserId) -> Vec<ConversationId> {
        let of_user = self.ends.iter().filter(|(_, _, typist)| typist == user);
        let conversations: Vec<_> = of_user.map(|(_, conversation, _)| *conversation).collect();
        for conversation in &conversations {
            self.stop(*conversation, user);
        }
        conversations
    }

    /// Whether the user types anywhere. A walk, as for [`Typing::stop_everywhere`].
    pub(crate) fn types(&self, user: &UserId) -> bool {
        self.ends.iter().any(|(_, _, typist)| typist == user)
    }

    /// Ends what was not repeated. Returns where.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<ConversationId> {
        let mut ended = Vec::new();
        while let Some((end, conversation, user)) = self.ends.first().cloned()
            && end <= now
        {
            self.stop(conversation, &user);
            ended.push(conversation);
        }
        ended
    }

    /// Who types there, and since when others are to be told.
    pub(crate) fn typists(&self, conversation: ConversationId) -> Typists {
        let typists = self.conversations.get(&conversation).into_iter().flatten();
        typists.map(|(user, typist)| (user.clone(), typist.told)).collect()
    }

    /// How many type.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests;
