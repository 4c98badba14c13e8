//! What comes from the fan-out: conversations, entries, positions.

use std::sync::Arc;

use bytes::Bytes;
use viberchat_kit::fault;
use viberchat_proto::message::v1::Position;

use super::conversations::Needs;
use super::{Phase, Resuming, Session};
use crate::fanout::{Slot, Topic};

impl Session {
    /// Whether the user's conversations are waited for.
    pub(crate) fn wants_memberships(&self) -> bool {
        matches!(self.phase, Phase::Memberships { .. })
    }

    /// The user's conversations, whose heads are known. From here on the session is live.
    pub(crate) fn attach<'a>(&mut self, topics: impl ExactSizeIterator<Item = (Slot, &'a Arc<Topic>)>) {
        let cursors = match std::mem::replace(&mut self.phase, Phase::Live) {
            Phase::Memberships { cursors } => cursors,
            other => return self.phase = other,
        };
        let mut resuming = Box::<Resuming>::default();
        self.conversations.reserve(topics.len());
        let Some(mut cursors) = cursors else {
            for (slot, topic) in topics {
                self.conversations.insert(slot, topic.clone(), topic.head_seq());
            }
            self.resuming = Some(resuming);
            return self.queue_ready();
        };
        let mut unnamed = Vec::new();
        for (slot, topic) in topics {
            match cursors.remove(&topic.conversation()) {
                Some(cursor) => self.attach_named(slot, topic, cursor, &mut resuming),
                None => unnamed.push((slot, topic)),
            }
        }
        resuming.open += unnamed.len();
        for (slot, topic) in unnamed {
            let conversation = self.conversations.insert(slot, topic.clone(), topic.head_seq());
            conversation.set(Needs::ANNOUNCE);
            conversation.set(Needs::BEFORE_READY);
            self.conversations.queue(slot);
        }
        resuming.resets = cursors.into_keys().collect();
        self.resuming = Some(resuming);
    }

    fn attach_named(&mut self, slot: Slot, topic: &Arc<Topic>, cursor: u64, resuming: &mut Resuming) {
        let head_seq = topic.head_seq();
        resuming.targets.insert(slot, head_seq);
        resuming.open += 1;
        // Mutant: the resume begins one entry too late.
        let skipped = u64::from(cursor < head_seq && fault::mutant("resume_off_by_one"));
        let conversation = self.conversations.insert(slot, topic.clone(), cursor + skipped);
        conversation.set(Needs::VERDICT);
        conversation.set(Needs::BEFORE_READY);
        self.conversations.queue(slot);
    }

    /// The user became a member: the client hears of it first, and gets its entries after that.
    pub(crate) fn conversation_added(&mut self, slot: Slot, topic: &Arc<Topic>) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        self.conversations.insert(slot, topic.clone(), topic.head_seq()).set(Needs::ANNOUNCE);
        self.conversations.queue(slot);
    }

    /// Something of the conversation changed.
    pub(crate) fn conversation_changed(&mut self, slot: Slot, topic: &Arc<Topic>) {
        if let Some(conversation) = self.conversations.of_topic(slot, topic) {
            conversation.set(Needs::CHANGED);
            self.conversations.queue(slot);
        }
    }

    /// The user is no member any more: nothing of the conversation follows what is queued.
    pub(crate) fn conversation_removed(&mut self, slot: Slot) {
        let Some((topic, mut conversation)) = self.conversations.remove(slot) else { return };
        self.pump.forget(slot);
        if let Some(resuming) = &mut self.resuming {
            if conversation.clear(Needs::VERDICT) {
                resuming.targets.remove(&slot);
                resuming.resets.push_back(topic.conversation());
            }
            resuming.open -= usize::from(conversation.clear(Needs::BEFORE_READY));
        }
        self.positions.forget(&topic.conversation().to_string());
        self.removed.push_back(topic.conversation());
    }

    /// The log of a topic has an entry. It is queued if it is the next one; otherwise the pump gets it.
    pub(crate) fn entry(&mut self, slot: Slot, topic: &Arc<Topic>, seq: u64, frame: &Bytes) {
        let Some(conversation) = self.conversations.of_topic(slot, topic) else { return };
        if seq <= conversation.pushed_seq {
            return;
        }
        let is_next = seq == conversation.pushed_seq + 1;
        let is_live = !conversation.needs(Needs::VERDICT) && !conversation.needs(Needs::ANNOUNCE);
        if is_next && is_live && self.outbox.try_push(frame.clone()) {
            conversation.pushed_seq = seq;
        } else {
            self.conversations.queue(slot);
        }
    }

    /// The log of a topic has entries that nobody brings here: the stream began anew, or pushing was not allowed.
    pub(crate) fn head_moved(&mut self, slot: Slot, topic: &Arc<Topic>) {
        if self.conversations.of_topic(slot, topic).is_some_and(|conversation| conversation.is_behind()) {
            self.conversations.queue(slot);
        }
    }

    /// Somebody's position moved, and the user is to see it.
    pub(crate) fn position(&mut self, position: &Arc<Position>) {
        if matches!(self.phase, Phase::Live) {
            self.positions.put(position.clone());
        }
    }
}
