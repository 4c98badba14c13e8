//! From the Subscribe stream to the sessions. Called by its one task, so entries of a topic never overtake each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::{LogEntry, Position};

use super::{Registry, User};
use crate::frames;

/// An entry as it goes to the sockets.
struct Frame {
    seq: u64,
    /// For everybody.
    shared: Bytes,
    /// For its actor, who alone sees the request id. `None`: the actor has no session here.
    own: Option<(Arc<User>, Bytes)>,
}

impl Registry {
    /// The stream brings a conversation's entries from the one after `after_seq` on.
    pub(crate) fn topic_is_live(&self, conversation: ConversationId, after_seq: u64) {
        let Some(topic) = self.topic(conversation) else {
            return self.topic_wishes.remove(conversation);
        };
        let mut followers = topic.followers();
        followers.is_live = true;
        topic.advance_head(after_seq);
        for follower in &mut followers.list {
            let mut state = follower.user.state();
            for member in &state.sessions {
                let mut session = member.session();
                session.head_moved(follower.slot, &topic);
                member.wake(&mut session);
            }
            if std::mem::take(&mut follower.is_waiting) {
                state.waiting -= 1;
                state.attach_all();
            }
        }
    }

    /// Entries of one conversation, in order.
    pub(crate) fn deliver(&self, conversation: ConversationId, entries: Vec<LogEntry>) {
        let Some(topic) = self.topic(conversation) else {
            // The stream was told before it heard that nobody follows any more.
            return self.topic_wishes.remove(conversation);
        };
        let mut frames: Vec<_> = entries.into_iter().map(|entry| self.encode(entry)).collect();
        if fault::mutant("fanout_order_swapped") {
            swap_neighbours(&mut frames);
        }
        let Some(last) = frames.last() else { return };
        let followers = topic.followers();
        topic.advance_head(last.seq);
        let is_trusted = self.is_trusted.load(Ordering::Acquire);
        for follower in &followers.list {
            let state = follower.user.state();
            for member in &state.sessions {
                let mut session = member.session();
                if is_trusted {
                    for frame in &frames {
                        session.entry(follower.slot, &topic, frame.seq, frame.for_user(&follower.user));
                    }
                } else {
                    session.head_moved(follower.slot, &topic);
                }
                member.wake(&mut session);
            }
        }
    }

    /// A read position moved: its user sees it on every session, in a direct the other one too.
    pub(crate) fn position(&self, position: Position) {
        let Ok(conversation) = ConversationId::parse(&position.conversation_id) else { return };
        let Some(topic) = self.topic(conversation) else { return };
        let position = Arc::new(position);
        if topic.is_direct() {
            for follower in &topic.followers().list {
                show(&follower.user, &position);
            }
        } else if let Some(user) = self.user(&position.user_id) {
            show(&user, &position);
        }
    }

    fn encode(&self, mut entry: LogEntry) -> Frame {
        let seq = entry.seq;
        let actor = if entry.request_id.is_empty() { None } else { self.user(&entry.actor_user_id) };
        let own = actor.map(|actor| (actor, frames::entry(entry.clone())));
        entry.request_id = String::new();
        Frame { seq, shared: frames::entry(entry), own }
    }
}

impl Frame {
    fn for_user(&self, user: &Arc<User>) -> &Bytes {
        match &self.own {
            Some((actor, own)) if Arc::ptr_eq(actor, user) => own,
            _ => &self.shared,
        }
    }
}

fn show(user: &User, position: &Arc<Position>) {
    for member in &user.state().sessions {
        let mut session = member.session();
        session.position(position);
        member.wake(&mut session);
    }
}

/// The mutant: the seqs stay, the contents change places.
fn swap_neighbours(frames: &mut [Frame]) {
    for pair in frames.chunks_exact_mut(2) {
        let [first, second] = pair else { continue };
        std::mem::swap(&mut first.shared, &mut second.shared);
        std::mem::swap(&mut first.own, &mut second.own);
    }
}
