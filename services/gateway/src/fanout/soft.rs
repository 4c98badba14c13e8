//! What is not in the log: focus, positions, typing, presence. Who gets what: one's own positions go to all of one's
//! sessions; positions of others and typing to both sides of a direct, and in a group to the sessions that focus it;
//! presence to the sessions that watch the user.
//!
//! Most directs are quiet, and each one that is followed costs memory here and in the presence service. So the typing of a
//! direct is followed only after something happened in it: an entry, a position, a focus, or its typing through this
//! gateway. What this leaves out: in a direct that was quiet for ten minutes and is on no screen here, typing that comes
//! in through another gateway shows with the first message.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Duration, Instant};
use viberchat_kit::error::Error;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::message::v1::Position;
use viberchat_proto::presence::v1::Presence;

use super::topic::{Focused, Followers};
use super::user::UserState;
use super::{Member, Registry, Topic, User};
use crate::frames::{self, Shared};

/// A direct counts as active for this long after something happened in it.
const ACTIVE_FOR: Duration = Duration::from_secs(600);

/// Whom a user may share no conversation with any more.
pub(super) enum Parted {
    /// Bounded by whom the user watches.
    From(HashSet<String>),
    FromAnybody,
}

impl Default for Parted {
    fn default() -> Self {
        Self::From(HashSet::new())
    }
}

impl Parted {
    fn includes(&self, id: &str) -> bool {
        match self {
            Self::From(users) => users.contains(id),
            Self::FromAnybody => true,
        }
    }
}

impl Registry {
    /// The session has these conversations on its screen, and no others. Those that are not the user's count from when
    /// they are.
    pub(crate) fn focus(&self, user: &Arc<User>, member: &Arc<Member>, wanted: &[ConversationId]) {
        // Set first, so that a conversation that is added meanwhile finds it.
        let before = member.session().set_focus(wanted);
        for id in before.iter().filter(|id| !wanted.contains(id)) {
            self.unfocus(*id, member);
        }
        for id in wanted.iter().filter(|id| !before.contains(id)) {
            let Some(topic) = self.topic(*id) else { continue };
            let mut followers = topic.followers();
            if followers.list.iter().any(|follower| Arc::ptr_eq(&follower.user, user)) {
                self.add_focus(&topic, &mut followers, user, member);
            }
        }
    }

    /// The session is gone.
    pub(super) fn end_soft(&self, user: &Arc<User>, member: &Arc<Member>) {
        let focused = member.session().set_focus(&[]);
        for id in focused {
            self.unfocus(id, member);
        }
        user.unwatch_all(member, |ended| self.watches.end(user.id(), &ended));
    }

    fn unfocus(&self, id: ConversationId, member: &Arc<Member>) {
        if let Some(topic) = self.topic(id) {
            let mut followers = topic.followers();
            self.remove_focus(&topic, &mut followers, |focused| Arc::ptr_eq(&focused.member, member));
        }
    }

    pub(super) fn add_focus(&self, topic: &Topic, followers: &mut Followers, user: &Arc<User>, member: &Arc<Member>) {
        if followers.focused.iter().any(|focused| Arc::ptr_eq(&focused.member, member)) {
            return;
        }
        followers.focused.push(Focused { user: user.clone(), member: member.clone() });
        self.note_active(topic);
        if followers.focused.len() == 1 && !topic.is_direct() {
            self.typing_wishes.add(topic.conversation());
        }
    }

    pub(super) fn remove_focus(&self, topic: &Topic, followers: &mut Followers, ends: impl Fn(&Focused) -> bool) {
        if followers.focused.is_empty() {
            return;
        }
        followers.focused.retain(|focused| !ends(focused));
        if followers.focused.is_empty() {
            followers.focused = Vec::new();
            if !topic.is_direct() {
                self.typing_wishes.remove(topic.conversation());
            }
        }
    }

    /// Conversations whose typing somebody here is to hear of, for a stream that begins anew.
    pub(crate) fn typing_topics(&self) -> Vec<ConversationId> {
        let topics: Vec<_> = self.topics.lock().values().filter(|topic| !topic.is_direct()).cloned().collect();
        let focused = topics.iter().filter(|topic| !topic.followers().focused.is_empty());
        let mut wanted: Vec<_> = focused.map(|topic| topic.conversation()).collect();
        wanted.extend(self.active_directs.lock().keys());
        wanted
    }

    /// Somebody is about to type here.
    pub(crate) fn expect_typing(&self, conversation_id: &str) {
        let id = ConversationId::parse(conversation_id).ok();
        if let Some(topic) = id.and_then(|id| self.topic(id)) {
            self.note_active(&topic);
        }
    }

    /// Something happened in a topic; in a group that does not matter.
    pub(super) fn note_active(&self, topic: &Topic) {
        if !topic.is_direct() {
            return;
        }
        let mut active = self.active_directs.lock();
        if active.insert(topic.conversation(), Instant::now()).is_none() {
            self.typing_wishes.add(topic.conversation());
        }
    }

    /// Nobody follows the topic any more.
    pub(super) fn end_active(&self, conversation: ConversationId) {
        let mut active = self.active_directs.lock();
        if active.remove(&conversation).is_some() {
            self.typing_wishes.remove(conversation);
        }
    }

    /// Lets directs go in which nothing has happened, and which are on no screen. Called each minute.
    pub(crate) fn end_quiet_directs(&self, now: Instant) {
        let is_quiet = |at: &Instant| now.saturating_duration_since(*at) >= ACTIVE_FOR;
        let quiet: Vec<_> = {
            let active = self.active_directs.lock();
            active.iter().filter(|(_, at)| is_quiet(at)).map(|(id, _)| *id).collect()
        };
        for id in quiet {
            match self.topic(id) {
                Some(topic) if !topic.followers().focused.is_empty() => self.note_active(&topic),
                _ => {
                    let mut active = self.active_directs.lock();
                    // Something may have happened since.
                    if active.get(&id).is_some_and(is_quiet) {
                        active.remove(&id);
                        self.typing_wishes.remove(id);
                    }
                }
            }
        }
    }

    /// A position moved.
    pub(crate) fn position(&self, position: Position) {
        let Ok(conversation) = ConversationId::parse(&position.conversation_id) else { return };
        let Some(topic) = self.topic(conversation) else { return };
        let position = Arc::new(position);
        self.note_active(&topic);
        let followers = topic.followers();
        if topic.is_direct() {
            return followers.list.iter().for_each(|follower| show(&follower.user, &position));
        }
        for focused in followers.focused.iter().filter(|focused| focused.user.id().as_str() != position.user_id) {
            let mut session = focused.member.session();
            session.position(&position);
            focused.member.wake(&mut session);
        }
        drop(followers);
        if let Some(user) = self.user(&position.user_id) {
            show(&user, &position);
        }
    }

    /// Somebody types, or no more. Returns how many sessions were too slow to be told.
    pub(crate) fn typing(&self, conversation: ConversationId, user_id: &str, typing: bool) -> u64 {
        let Some(topic) = self.topic(conversation) else { return 0 };
        if !self.is_trusted.load(Ordering::Acquire) {
            return 0;
        }
        let frame = Shared::new(frames::typing(conversation, user_id.to_owned(), typing));
        let mut shed = 0;
        let mut tell = |member: &Arc<Member>| {
            let mut session = member.session();
            shed += u64::from(!session.typing(&frame));
            member.wake(&mut session);
        };
        if fault::mutant("typing_leaks") {
            self.all_users().iter().for_each(|user| user.state().sessions.iter().for_each(&mut tell));
            return shed;
        }
        let followers = topic.followers();
        if topic.is_direct() {
            for follower in followers.list.iter().filter(|follower| follower.user.id().as_str() != user_id) {
                follower.user.state().sessions.iter().for_each(&mut tell);
            }
        } else {
            for focused in followers.focused.iter().filter(|focused| focused.user.id().as_str() != user_id) {
                tell(&focused.member);
            }
        }
        shed
    }

    /// A watched user's presence, for one watcher.
    pub(crate) fn presence(&self, watcher: &str, presence: &Arc<Presence>) {
        let Some(user) = self.user(watcher) else { return };
        for member in &user.state().sessions {
            let mut session = member.session();
            session.presence(presence);
            member.wake(&mut session);
        }
    }

    /// Every watcher with whom they watch, for a stream that begins anew.
    pub(crate) fn watched(&self) -> Vec<(UserId, Vec<String>)> {
        let watched = |user: &Arc<User>| {
            let mut ids = Vec::new();
            for member in &user.state().sessions {
                ids.extend(member.session().watched().map(str::to_owned));
            }
            ids.sort_unstable();
            ids.dedup();
            (!ids.is_empty()).then(|| (user.id().clone(), ids))
        };
        self.all_users().iter().filter_map(watched).collect()
    }
}

impl Registry {
    /// Who shares a conversation now with a user of whom nothing was known is to know. The service does not tell by
    /// itself; called each minute, and when a user comes into a conversation.
    pub(crate) fn ask_for_unknown_presences(&self) {
        self.all_users().iter().for_each(|user| self.ask_for_unknown(user));
    }

    /// The user is a member of a conversation no more: of those who were in it nothing may be shown, unless there is
    /// another one. It will be asked, together with what else happens until then.
    pub(super) fn note_parted(&self, user: &User) {
        self.parted.lock().insert(user.id().clone(), Parted::FromAnybody);
    }

    /// The log says that these users are members no more: it will be asked whether this one may still see them.
    pub(super) fn note_parted_from(&self, watcher: &User, state: &UserState, removed: &[String]) {
        let is_watched = |id: &&String| state.sessions.iter().any(|member| member.session().watches(id));
        for id in removed.iter().filter(is_watched) {
            let mut parted = self.parted.lock();
            if let Parted::From(users) = parted.entry(watcher.id().clone()).or_default() {
                users.insert(id.clone());
            }
        }
    }

    /// Asks whether those who have parted still share a conversation. Called many times a second.
    pub(crate) fn ask_for_parted(&self) {
        let parted = std::mem::take(&mut *self.parted.lock());
        for (id, parted) in parted {
            let Some(user) = self.user(id.as_str()) else { continue };
            let state = user.state();
            let mut watched = Vec::new();
            for member in &state.sessions {
                watched.extend(member.session().watched().filter(|id| parted.includes(id)).map(str::to_owned));
            }
            watched.sort_unstable();
            watched.dedup();
            // Under the lock of the user, so that the service is told in order.
            self.watches.ask_again(user.id(), &watched);
        }
    }

    pub(super) fn ask_for_unknown(&self, user: &User) {
        let state = user.state();
        let mut unknown = Vec::new();
        for member in &state.sessions {
            unknown.extend(member.session().watched_unknown().map(str::to_owned));
        }
        if !unknown.is_empty() {
            unknown.sort_unstable();
            unknown.dedup();
            // Under the lock of the user, so that the service is told in order.
            self.watches.ask_again(user.id(), &unknown);
        }
    }
}

impl User {
    /// The session watches these users too. `told` hears which are new to the session, and is called under the lock of
    /// the user, so that the service is told in the same order.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`.
    pub(crate) fn watch(
        &self,
        member: &Member,
        ids: &[String],
        watched_max: usize,
        told: impl FnOnce(Vec<String>),
    ) -> Result<(), Error> {
        let _in_order = self.state();
        let added = member.session().watch(ids, watched_max)?;
        told(added);
        Ok(())
    }

    /// The session watches these users no longer. `told` hears whom no session of the user watches any more.
    pub(crate) fn unwatch(&self, member: &Member, ids: &[String], told: impl FnOnce(Vec<String>)) {
        let state = self.state();
        let mut ended = member.session().unwatch(ids);
        ended.retain(|id| !state.sessions.iter().any(|other| other.session().watches(id)));
        if !ended.is_empty() {
            told(ended);
        }
    }

    fn unwatch_all(&self, member: &Member, told: impl FnOnce(Vec<String>)) {
        let ids: Vec<_> = member.session().watched().map(str::to_owned).collect();
        if !ids.is_empty() {
            self.unwatch(member, &ids, told);
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
