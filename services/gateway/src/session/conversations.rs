//! What a session keeps of each conversation: how far it was pushed, and what is left to do. 24 bytes each.

use std::collections::VecDeque;
use std::sync::Arc;

use viberchat_kit::id::ConversationId;

use crate::fanout::{Slot, Topic};

/// What a slot still needs. Bits, because a session has thousands of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs(u8);

impl Needs {
    /// Stands in the work queue.
    const QUEUED: Self = Self(1);
    /// The client has been told nothing of it: `conversation {added}` comes first.
    pub(super) const ANNOUNCE: Self = Self(1 << 1);
    /// Something of it changed: `conversation {changed}` is due.
    pub(super) const CHANGED: Self = Self(1 << 2);
    /// The resume named it and has no verdict yet.
    pub(super) const VERDICT: Self = Self(1 << 3);
    /// `ready` waits for it.
    pub(super) const BEFORE_READY: Self = Self(1 << 4);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One conversation of a session.
#[derive(Default)]
pub(super) struct Conversation {
    /// `None`: the slot is free.
    topic: Option<Arc<Topic>>,
    /// Everything up to here was pushed, or the client had it, or was told that it has to page it.
    pub(super) pushed_seq: u64,
    needs: Needs,
}

impl Conversation {
    pub(super) fn needs(&self, what: Needs) -> bool {
        self.needs.has(what)
    }

    pub(super) fn set(&mut self, what: Needs) {
        self.needs.0 |= what.0;
    }

    /// Clears what was needed; false if it was not.
    pub(super) fn clear(&mut self, what: Needs) -> bool {
        let had = self.needs(what);
        self.needs.0 &= !what.0;
        had
    }

    /// Whether the log has more than was pushed.
    pub(super) fn is_behind(&self) -> bool {
        self.topic.as_ref().is_some_and(|topic| self.pushed_seq < topic.head_seq())
    }
}

/// All conversations of a session, and those among them that something is to be done for.
#[derive(Default)]
pub(super) struct Conversations {
    slots: Vec<Conversation>,
    /// Each slot at most once.
    work: VecDeque<Slot>,
}

impl Conversations {
    /// Takes a slot for a topic. Whatever stood there is gone.
    pub(super) fn insert(&mut self, slot: Slot, topic: Arc<Topic>, pushed_seq: u64) -> &mut Conversation {
        let index = slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Conversation::default);
        }
        let conversation = &mut self.slots[index];
        // The place in the work queue, if there is one, goes to the new conversation.
        let queued = Needs(conversation.needs.0 & Needs::QUEUED.0);
        *conversation = Conversation { topic: Some(topic), pushed_seq, needs: queued };
        conversation
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<(Arc<Topic>, Conversation)> {
        let conversation = self.slots.get_mut(slot as usize)?;
        let topic = conversation.topic.take()?;
        let queued = Needs(conversation.needs.0 & Needs::QUEUED.0);
        let removed = std::mem::replace(conversation, Conversation { topic: None, pushed_seq: 0, needs: queued });
        Some((topic, removed))
    }

    pub(super) fn reserve(&mut self, slots: usize) {
        self.slots.reserve_exact(slots.saturating_sub(self.slots.len()));
    }

    /// The conversation of a slot and its topic.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<(&mut Conversation, Arc<Topic>)> {
        let conversation = self.slots.get_mut(slot as usize)?;
        let topic = conversation.topic.clone()?;
        Some((conversation, topic))
    }

    /// The conversation of a slot, if it is still that of `topic`: slots are used again.
    pub(super) fn of_topic(&mut self, slot: Slot, topic: &Arc<Topic>) -> Option<&mut Conversation> {
        let conversation = self.slots.get_mut(slot as usize)?;
        conversation.topic.as_ref().is_some_and(|own| Arc::ptr_eq(own, topic)).then_some(conversation)
    }

    /// Puts a slot at the end of the work queue unless it stands there.
    pub(super) fn queue(&mut self, slot: Slot) {
        let conversation = &mut self.slots[slot as usize];
        if !conversation.needs(Needs::QUEUED) {
            conversation.set(Needs::QUEUED);
            self.work.push_back(slot);
        }
    }

    /// The slot whose turn it is.
    pub(super) fn next_work(&self) -> Option<Slot> {
        self.work.front().copied()
    }

    /// Takes the slot whose turn it is out of the queue.
    pub(super) fn end_turn(&mut self) {
        if let Some(slot) = self.work.pop_front() {
            self.slots[slot as usize].clear(Needs::QUEUED);
            if self.work.is_empty() {
                // An idle session keeps no queue.
                self.work = VecDeque::new();
            }
        }
    }

    /// Takes a slot out of the queue that stands at its front or near it.
    pub(super) fn end_turn_of(&mut self, slot: Slot) {
        if let Some(place) = self.work.iter().position(|queued| *queued == slot) {
            self.work.remove(place);
            self.slots[slot as usize].clear(Needs::QUEUED);
        }
    }

    /// Gives the turn to the next slot.
    pub(super) fn rotate_work(&mut self) {
        self.work.rotate_left(usize::from(!self.work.is_empty()));
    }

    /// The queue from its front.
    pub(super) fn work(&self) -> impl Iterator<Item = Slot> {
        self.work.iter().copied()
    }

    /// How many there are, and how many of them are behind.
    pub(super) fn counts(&self) -> (u32, u32) {
        let taken = self.slots.iter().filter(|conversation| conversation.topic.is_some());
        taken.fold((0, 0), |(all, behind), conversation| (all + 1, behind + u32::from(conversation.is_behind())))
    }

    /// Queues every slot that something is left to do for, since the last read for some of them was refused. Returns the
    /// heads of those that are behind, at most `heads_max`.
    pub(super) fn queue_behind(&mut self, heads_max: usize) -> Vec<(ConversationId, u64)> {
        let mut heads = Vec::new();
        for index in 0..self.slots.len() {
            let conversation = &self.slots[index];
            let Some(topic) = &conversation.topic else { continue };
            let head_seq = topic.head_seq();
            let is_behind = conversation.pushed_seq < head_seq;
            if is_behind && heads.len() < heads_max {
                heads.push((topic.conversation(), head_seq));
            }
            if is_behind || conversation.needs(Needs::ANNOUNCE) {
                self.queue(Slot::try_from(index).expect("slots are counted as Slot"));
            }
        }
        heads
    }
}
