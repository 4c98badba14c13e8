//! The messages that writes are about, as far as the rules look at them.

use std::collections::{BTreeMap, HashMap, HashSet};

use viberchat_kit::id::{MessageId, UserId};

use super::entry::{Body, MessageSent, Reaction};
use super::membership::Standing;
use super::rules::Refusal;

/// A message that a write is about, as it stands at the head.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its sender.
    pub(crate) sender: UserId,
    /// As it was sent.
    pub(crate) sent: MessageSent,
    /// It was deleted.
    pub(crate) deleted: bool,
    /// It is pinned.
    pub(crate) pinned: bool,
    /// How often each reaction was given.
    pub(crate) reactions: BTreeMap<String, u32>,
    /// Who gave which; of those only about whom the batch asks.
    pub(crate) reacted: HashSet<(UserId, String)>,
}

/// What the writes of a batch are about, at the head and then after each of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    /// By place.
    pub(crate) messages: HashMap<u64, Target>,
    /// Pinned messages of the conversation. Only right if the batch pins.
    pub(crate) pins: u64,
}

impl Target {
    /// A message without anything done to it.
    pub(crate) fn new(sender: UserId, sent: MessageSent) -> Self {
        let (reactions, reacted) = (BTreeMap::new(), HashSet::new());
        Self { sender, sent, deleted: false, pinned: false, reactions, reacted }
    }

    /// Refuses what was deleted.
    pub(crate) fn check_alive(&self) -> Result<(), Refusal> {
        if self.deleted { Err(Refusal::AlreadyDeleted) } else { Ok(()) }
    }

    /// Whether the user has given this reaction.
    pub(crate) fn has_reaction(&self, user: &UserId, emoji: &str) -> bool {
        self.reacted.contains(&(user.clone(), emoji.to_owned()))
    }

    fn take_back(&mut self, user: &UserId, emoji: &str) {
        self.reacted.remove(&(user.clone(), emoji.to_owned()));
        if let Some(count) = self.reactions.get_mut(emoji) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.reactions.remove(emoji);
            }
        }
    }
}

impl Targets {
    /// A message, if there is one of this id and the user sees it. What is hidden is not there.
    pub(crate) fn find(&self, message_id: MessageId, standing: &Standing) -> Result<&Target, Refusal> {
        let seq = message_id.seq().filter(|seq| standing.view.shows(*seq)).ok_or(Refusal::MessageNotFound)?;
        let target = self.messages.get(&seq).ok_or(Refusal::MessageNotFound)?;
        // An id with another rest at the same place is somebody's guess.
        if target.sent.message_id == message_id { Ok(target) } else { Err(Refusal::MessageNotFound) }
    }

    /// Learns what an accepted entry does to its message.
    pub(crate) fn apply(&mut self, actor: &UserId, body: &Body) {
        let Some(target) = body.target_seq().and_then(|seq| self.messages.get_mut(&seq)) else { return };
        match body {
            Body::Deleted { .. } => {
                target.deleted = true;
                target.reactions.clear();
                target.reacted.clear();
                self.pins = self.pins.saturating_sub(u64::from(std::mem::take(&mut target.pinned)));
            }
            Body::ReactionAdded(Reaction { emoji, .. }) => {
                *target.reactions.entry(emoji.clone()).or_default() += 1;
                target.reacted.insert((actor.clone(), emoji.clone()));
            }
            Body::ReactionRemoved(Reaction { emoji, .. }) => target.take_back(actor, emoji),
            Body::Pinned { .. } => {
                target.pinned = true;
                self.pins += 1;
            }
            Body::Unpinned { .. } => {
                target.pinned = false;
                self.pins = self.pins.saturating_sub(1);
            }
            _ => {}
        }
    }
}
