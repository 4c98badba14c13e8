//! Who on this gateway follows what, and the way of each entry to their sockets.
//!
//! Map: `topic` is a conversation with its followers; `user` a user with their conversations and sessions; `member` a
//! session where others reach it; `wishes` what is to be followed upstream; `memberships` keeps users' conversations as
//! the conversation service says; `deliver` brings entries to the sessions, as far as the `view` of their user allows;
//! `soft` brings positions, typing and presence, which `watches` asks for; `sessions` lists them all.
//!
//! Invariants:
//! - Locks are taken in the order registry maps, topic, user, session; none is held across an await.
//! - A topic's head moves before its entry is given to any session, so a session that begins at the head misses nothing.
//! - A user follows what the last snapshot and the changes since say, and nothing else.
//! - An entry that is not known to be visible to a user is never pushed to them: their session reads it from the log.
//! - Only a session whose user follows a topic focuses it.

mod deliver;
mod member;
mod memberships;
mod sessions;
mod soft;
mod topic;
mod user;
mod view;
mod watches;
mod wishes;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};
use viberchat_kit::id::{ConversationId, UserId};

pub(crate) use deliver::{Question, Questions};
pub(crate) use member::Member;
pub(crate) use topic::{Slot, Topic};
pub(crate) use user::User;
pub(crate) use watches::{Asked, Waiting, Watches, unavailable as presence_unavailable};
pub(crate) use wishes::{Wish, Wishes};

use crate::close::Close;

/// All users and topics of the gateway.
pub(crate) struct Registry {
    users: Mutex<HashMap<UserId, Arc<User>>>,
    topics: Mutex<HashMap<ConversationId, Arc<Topic>>>,
    /// Users without a session, by when they are to be looked at again: once each. Some may have come back.
    idle_users: Mutex<VecDeque<(Instant, Arc<User>)>>,
    /// Topics without a follower, in the same way. Some may be followed again.
    idle_topics: Mutex<VecDeque<(Instant, Arc<Topic>)>>,
    /// Read by the task of the WatchMemberships stream.
    pub(crate) user_wishes: Wishes<UserId>,
    /// Read by the task of the Subscribe stream.
    pub(crate) topic_wishes: Wishes<ConversationId>,
    /// Read by the task of the WatchTyping stream.
    pub(crate) typing_wishes: Wishes<ConversationId>,
    /// Directs in which something happened lately, and when: only their typing is followed.
    active_directs: Mutex<HashMap<ConversationId, Instant>>,
    /// Read by the task of the Watch stream.
    pub(crate) watches: Watches,
    /// Users of whom it is to be asked whom they may still watch.
    parted: Mutex<HashMap<UserId, soft::Parted>>,
    /// Read by the task that asks what users may see.
    pub(crate) questions: Questions,
    /// Whether memberships are known to hold. Written by the task of the WatchMemberships stream.
    is_trusted: AtomicBool,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            users: Mutex::default(),
            topics: Mutex::default(),
            idle_users: Mutex::default(),
            idle_topics: Mutex::default(),
            user_wishes: Wishes::default(),
            topic_wishes: Wishes::default(),
            typing_wishes: Wishes::default(),
            active_directs: Mutex::default(),
            watches: Watches::default(),
            parted: Mutex::default(),
            questions: Questions::default(),
            is_trusted: AtomicBool::new(true),
        }
    }
}

impl Registry {
    /// Adds a session of a user. The oldest one goes when there are more than `sessions_max`.
    pub(crate) fn join(&self, id: &UserId, member: &Arc<Member>, sessions_max: usize) -> Arc<User> {
        let mut users = self.users.lock();
        let user = users.entry(id.clone()).or_insert_with(|| {
            self.user_wishes.add(id.clone());
            Arc::new(User::new(id.clone()))
        });
        let mut state = user.state();
        state.idle_since = None;
        if state.sessions.len() >= sessions_max {
            let oldest = state.sessions.remove(0);
            let mut session = oldest.session();
            session.close(Close::Replaced);
            oldest.wake(&mut session);
        }
        state.sessions.push(member.clone());
        drop(state);
        user.clone()
    }

    /// Makes the session live if the user's conversations are known; else that happens when they are.
    pub(crate) fn attach(&self, user: &User, member: &Arc<Member>) {
        user.state().attach(member);
    }

    /// Takes a session away.
    pub(crate) fn leave(&self, user: &Arc<User>, member: &Arc<Member>, now: Instant) {
        self.end_soft(user, member);
        let mut state = user.state();
        state.sessions.retain(|other| !Arc::ptr_eq(other, member));
        if state.sessions.is_empty() && state.idle_since.is_none() {
            state.idle_since = Some(now);
            // Who is in the queue from an earlier time is looked at then, and put back.
            if !std::mem::replace(&mut state.is_queued, true) {
                drop(state);
                self.idle_users.lock().push_back((now, user.clone()));
            }
        }
    }

    /// Ends what nobody has needed for `linger`.
    pub(crate) fn sweep(&self, now: Instant, linger: Duration) {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= linger;
        // Put back after the loops, so that nobody is looked at twice: behind those who became idle later, which makes them
        // wait for `linger` once more at most.
        let mut again = Vec::new();
        while let Some((_, user)) = pop_if(&self.idle_users, is_over) {
            let mut users = self.users.lock();
            let mut state = user.state();
            let idle_since = state.idle_since;
            match idle_since {
                Some(since) if !is_over(since) => again.push((since, user.clone())),
                _ => {
                    state.is_queued = false;
                    drop(state);
                    if idle_since.is_some() && remove_same(&mut users, user.id(), &user) {
                        self.user_wishes.remove(user.id().clone());
                        drop(users);
                        self.end_user(&user, now);
                    }
                }
            }
        }
        self.idle_users.lock().extend(again);
        let mut again = Vec::new();
        while let Some((_, topic)) = pop_if(&self.idle_topics, is_over) {
            let mut topics = self.topics.lock();
            let mut followers = topic.followers();
            let idle_since = followers.idle_since;
            match idle_since {
                Some(since) if !is_over(since) => again.push((since, topic.clone())),
                _ => {
                    followers.is_queued = false;
                    if idle_since.is_some() && remove_same(&mut topics, &topic.conversation(), &topic) {
                        self.topic_wishes.remove(topic.conversation());
                        self.end_active(topic.conversation());
                    }
                }
            }
        }
        self.idle_topics.lock().extend(again);
    }

    /// Users that have sessions here, for a stream that begins anew.
    pub(crate) fn user_ids(&self) -> Vec<UserId> {
        self.users.lock().keys().cloned().collect()
    }

    /// Conversations that are followed here, for a stream that begins anew. Their heads are not known for sure any more.
    pub(crate) fn begin_following_anew(&self) -> Vec<ConversationId> {
        let topics: Vec<_> = self.topics.lock().values().cloned().collect();
        topics
            .iter()
            .map(|topic| {
                topic.followers().is_live = false;
                topic.conversation()
            })
            .collect()
    }

    /// The head that is known of a conversation, if its stream has ever begun.
    pub(crate) fn known_head(&self, conversation: ConversationId) -> Option<u64> {
        self.topic(conversation).map(|topic| topic.head_seq()).filter(|head| *head > 0)
    }

    /// Without trust nothing is pushed: what comes makes conversations behind, and each reader asks for itself.
    pub(crate) fn set_trusted(&self, trusted: bool) {
        self.is_trusted.store(trusted, Ordering::Release);
    }

    /// Users and topics, for the metrics.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.users.lock().len(), self.topics.lock().len())
    }

    fn user(&self, id: &str) -> Option<Arc<User>> {
        self.users.lock().get(id).cloned()
    }

    fn topic(&self, conversation: ConversationId) -> Option<Arc<Topic>> {
        self.topics.lock().get(&conversation).cloned()
    }
}

/// Whether it was there: another one of the same name may have taken its place.
fn remove_same<K: std::hash::Hash + Eq, T>(all: &mut HashMap<K, Arc<T>>, id: &K, this: &Arc<T>) -> bool {
    let is_there = all.get(id).is_some_and(|known| Arc::ptr_eq(known, this));
    if is_there {
        all.remove(id);
    }
    is_there
}

fn pop_if<T>(queue: &Mutex<VecDeque<(Instant, T)>>, is_over: impl Fn(Instant) -> bool) -> Option<(Instant, T)> {
    queue.lock().pop_front_if(|(since, _)| is_over(*since))
}

#[cfg(test)]
pub(crate) mod tests;
