//! Entries from the Subscribe stream to the sessions. Called by its one task, so entries of a topic never overtake each
//! other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::AuthorizeMemberResponse;
use viberchat_proto::message::v1::LogEntry;
use viberchat_proto::message::v1::entry_body::Body;

use super::topic::{Follower, Slot};
use super::user::UserState;
use super::view::{Visibility, Way};
use super::{Registry, Topic, User};
use crate::frames::{self, Shared};

/// Questions that wait. While they are more, whoever needs an answer reads from the log.
const QUESTIONS_MAX: usize = 20_000;

/// An entry as it goes to the sockets.
struct Frame {
    visibility: Visibility,
    /// For everybody.
    shared: Shared,
    /// For its actor, who alone sees the request id. `None`: the actor has no session here.
    own: Option<(Arc<User>, Shared)>,
}

/// What a user may see of a conversation, to be asked.
pub(crate) struct Question {
    user: Arc<User>,
    slot: Slot,
    topic: Arc<Topic>,
    number: u32,
}

/// Questions for the task that asks them.
#[derive(Default)]
pub(crate) struct Questions {
    queue: Mutex<VecDeque<Question>>,
    next_number: AtomicU32,
    is_there: Notify,
}

impl Question {
    pub(crate) fn user_id(&self) -> &str {
        self.user.id().as_str()
    }

    pub(crate) fn conversation(&self) -> ConversationId {
        self.topic.conversation()
    }

    /// `None`: no answer came.
    pub(crate) fn answer(&self, answer: Option<&AuthorizeMemberResponse>) {
        if let Some(view) = self.user.state().view_mut(self.slot, &self.topic) {
            view.answer(self.number, answer);
        }
    }
}

impl Questions {
    /// The oldest ones, at most `max`; waits for the first.
    pub(crate) async fn take(&self, max: usize) -> Vec<Question> {
        loop {
            let taken: Vec<_> = {
                let mut queue = self.queue.lock();
                let count = queue.len().min(max);
                queue.drain(..count).collect()
            };
            if !taken.is_empty() {
                return taken;
            }
            self.is_there.notified().await;
        }
    }
}

impl Registry {
    /// The stream brings a conversation's entries, whose log has those up to `head_seq`.
    pub(crate) fn topic_is_live(&self, conversation: ConversationId, head_seq: u64) {
        let Some(topic) = self.topic(conversation) else { return self.abandon(conversation) };
        let mut followers = topic.followers();
        followers.is_live = true;
        topic.advance_head(head_seq);
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

    /// The stream was told before it heard that nobody follows any more. Somebody may do so again by now: then this wish
    /// must not come behind theirs.
    fn abandon(&self, conversation: ConversationId) {
        let topics = self.topics.lock();
        if !topics.contains_key(&conversation) {
            self.topic_wishes.remove(conversation);
        }
    }

    /// Entries of one conversation, in order.
    pub(crate) fn deliver(&self, conversation: ConversationId, entries: Vec<LogEntry>) {
        let Some(topic) = self.topic(conversation) else { return self.abandon(conversation) };
        let removed: Vec<_> = entries.iter().filter_map(removed_user).collect();
        let mut frames: Vec<_> = entries.into_iter().map(|entry| self.frame(entry)).collect();
        if fault::mutant("fanout_order_swapped") {
            swap_neighbours(&mut frames);
        }
        let Some(last) = frames.last() else { return };
        self.note_active(&topic);
        let followers = topic.followers();
        topic.advance_head(last.visibility.seq);
        let is_trusted = self.is_trusted.load(Ordering::Acquire);
        let mut pushed = Vec::with_capacity(frames.len());
        for follower in &followers.list {
            let mut state = follower.user.state();
            pushed.clear();
            pushed.extend(frames.iter().map(|frame| {
                // Asked even without trust: a view has to see every entry.
                let is_visible = self.may_be_pushed(follower, &mut state, &topic, &frame.visibility);
                is_trusted && is_visible
            }));
            for member in &state.sessions {
                let mut session = member.session();
                for (frame, _) in frames.iter().zip(&pushed).filter(|(_, pushed)| **pushed) {
                    let bytes = frame.for_user(&follower.user).bytes(member.encoding());
                    session.entry(follower.slot, &topic, frame.visibility.seq, bytes);
                }
                session.head_moved(follower.slot, &topic);
                member.wake(&mut session);
            }
            if !removed.is_empty() {
                self.note_parted_from(&follower.user, &state, &removed);
            }
        }
    }

    /// Whether the user may see the entry as it came; if that is not known, it will be asked.
    fn may_be_pushed(
        &self,
        follower: &Follower,
        state: &mut UserState,
        topic: &Arc<Topic>,
        entry: &Visibility,
    ) -> bool {
        let Some(view) = state.view_mut(follower.slot, topic) else { return false };
        let way = view.way(entry);
        if way == Way::ReadAndAsk {
            let mut queue = self.questions.queue.lock();
            if queue.len() < QUESTIONS_MAX {
                let number = self.questions.next_number.fetch_add(1, Ordering::Relaxed);
                view.begin_asking(number);
                let (user, slot) = (follower.user.clone(), follower.slot);
                queue.push_back(Question { user, slot, topic: topic.clone(), number });
                drop(queue);
                self.questions.is_there.notify_one();
            }
        }
        if entry.changes_views {
            view.reset(entry.seq);
        }
        way == Way::Push
    }

    fn frame(&self, mut entry: LogEntry) -> Frame {
        let visibility = Visibility::of(&entry);
        let actor = if entry.request_id.is_empty() { None } else { self.user(&entry.actor_user_id) };
        let own = actor.map(|actor| (actor, Shared::new(frames::entry(entry.clone()))));
        entry.request_id = String::new();
        Frame { visibility, shared: Shared::new(frames::entry(entry)), own }
    }
}

impl Frame {
    fn for_user(&self, user: &Arc<User>) -> &Shared {
        match &self.own {
            Some((actor, own)) if Arc::ptr_eq(actor, user) => own,
            _ => &self.shared,
        }
    }
}

/// Who is no member any more after this entry.
fn removed_user(entry: &LogEntry) -> Option<String> {
    match entry.body.as_ref()?.body.as_ref()? {
        Body::MemberRemoved(removed) => Some(removed.user_id.clone()),
        _ => None,
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
