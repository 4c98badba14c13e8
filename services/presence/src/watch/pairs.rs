//! Who watches whom on one stream. Pure.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use viberchat_kit::id::UserId;

use crate::domain::status::Presence;

/// One user who watches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// What the watcher was told last.
    pub(super) told: Presence,
    /// When it was asked whether they share a conversation; they do.
    pub(super) confirmed_at: Instant,
}

#[derive(Debug)]
struct Watcher {
    pairs: HashMap<UserId, Pair>,
    /// When it is to be asked again whom they may see.
    check_at: Instant,
}

/// All pairs of a stream, from both sides.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    watchers: HashMap<UserId, Watcher>,
    users: HashMap<UserId, HashSet<UserId>>,
    len: usize,
}

impl Pairs {
    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many users this one watches.
    pub(super) fn watched_by(&self, watcher: &UserId) -> usize {
        self.watchers.get(watcher).map_or(0, |watcher| watcher.pairs.len())
    }

    /// Users who are watched.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.keys()
    }

    /// Whether anybody watches this user.
    pub(super) fn is_watched(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Whether this pair is there.
    pub(super) fn contains(&self, watcher: &UserId, user: &UserId) -> bool {
        self.get(watcher, user).is_some()
    }

    fn get(&self, watcher: &UserId, user: &UserId) -> Option<&Pair> {
        self.watchers.get(watcher)?.pairs.get(user)
    }

    /// Adds a pair, or changes it. `check_at` counts for a new watcher. Returns whether it is new.
    pub(super) fn insert(&mut self, watcher: &UserId, user: &UserId, pair: Pair, check_at: Instant) -> bool {
        let entry = self.watchers.entry(watcher.clone());
        let entry = entry.or_insert_with(|| Watcher { pairs: HashMap::new(), check_at });
        let is_new = entry.pairs.insert(user.clone(), pair).is_none();
        self.users.entry(user.clone()).or_default().insert(watcher.clone());
        self.len += usize::from(is_new);
        is_new
    }

    /// `None`: there is no such pair. Else whether nobody watches the user any more.
    pub(super) fn remove(&mut self, watcher: &UserId, user: &UserId) -> Option<bool> {
        let entry = self.watchers.get_mut(watcher)?;
        entry.pairs.remove(user)?;
        self.len -= 1;
        if entry.pairs.is_empty() {
            self.watchers.remove(watcher);
        }
        let watchers = self.users.get_mut(user)?;
        watchers.remove(watcher);
        let unwatched = watchers.is_empty();
        if unwatched {
            self.users.remove(user);
        }
        Some(unwatched)
    }

    /// Whom this user watches.
    pub(super) fn of(&self, watcher: &UserId) -> Vec<UserId> {
        self.watchers.get(watcher).map(|watcher| watcher.pairs.keys().cloned().collect()).unwrap_or_default()
    }

    /// Every pair in which this user is watched.
    pub(super) fn for_each_watcher(&mut self, user: &UserId, mut each: impl FnMut(&UserId, &mut Pair)) {
        for watcher in self.users.get(user).into_iter().flatten() {
            if let Some(pair) = self.watchers.get_mut(watcher).and_then(|watcher| watcher.pairs.get_mut(user)) {
                each(watcher, pair);
            }
        }
    }

    /// Those who share a conversation; `Some(told)` if they were told something, and the answer is not older than what is
    /// known.
    pub(super) fn confirm(&mut self, watcher: &UserId, user: &UserId, asked_at: Instant) {
        if let Some(pair) = self.watchers.get_mut(watcher).and_then(|watcher| watcher.pairs.get_mut(user)) {
            pair.confirmed_at = pair.confirmed_at.max(asked_at);
        }
    }

    /// What the watcher was told, if nothing newer than `asked_at` says that they may see the user.
    pub(super) fn unconfirmed(&self, watcher: &UserId, user: &UserId, asked_at: Instant) -> Option<Presence> {
        self.get(watcher, user).filter(|pair| pair.confirmed_at <= asked_at).map(|pair| pair.told)
    }

    /// Watchers who are due to be asked about; the next time is `again_at`.
    pub(super) fn due(&mut self, now: Instant, again_at: Instant) -> Vec<UserId> {
        let due = self.watchers.iter_mut().filter(|(_, watcher)| watcher.check_at <= now);
        due.map(|(id, watcher)| {
            watcher.check_at = again_at;
            id.clone()
        })
        .collect()
    }

    /// The watcher is to be asked about at another time.
    pub(super) fn check_at(&mut self, watcher: &UserId, at: Instant) {
        if let Some(watcher) = self.watchers.get_mut(watcher) {
            watcher.check_at = at;
        }
    }

    /// Users in pairs whose answer became too old, and whose watcher was told something.
    pub(super) fn outdated(&self, is_outdated: impl Fn(Instant) -> bool) -> Vec<UserId> {
        let pairs = self.watchers.iter().flat_map(|(id, watcher)| watcher.pairs.iter().map(move |pair| (id, pair)));
        pairs
            .filter(|(id, (user, pair))| id != user && pair.told != Presence::UNKNOWN && is_outdated(pair.confirmed_at))
            .map(|(_, (user, _))| user.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn pair(at: Instant) -> Pair {
        Pair { told: Presence::UNKNOWN, confirmed_at: at }
    }

    #[test]
    fn a_user_is_watched_until_the_last_watcher_goes() {
        let (mut pairs, now) = (Pairs::default(), Instant::now());
        assert!(pairs.insert(&user("ann"), &user("eve"), pair(now), now));
        assert!(!pairs.insert(&user("ann"), &user("eve"), pair(now), now));
        assert!(pairs.insert(&user("bob"), &user("eve"), pair(now), now));
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs.remove(&user("ann"), &user("eve")), Some(false));
        assert_eq!(pairs.remove(&user("ann"), &user("eve")), None);
        assert!(pairs.is_watched(&user("eve")));
        assert_eq!(pairs.remove(&user("bob"), &user("eve")), Some(true));
        assert!(!pairs.is_watched(&user("eve")) && pairs.watchers.is_empty() && pairs.len() == 0);
    }

    #[test]
    fn an_answer_that_is_older_than_what_is_known_ends_nothing() {
        let (mut pairs, now) = (Pairs::default(), Instant::now());
        pairs.insert(&user("ann"), &user("eve"), pair(now), now);
        pairs.confirm(&user("ann"), &user("eve"), now + Duration::from_secs(2));
        assert!(pairs.unconfirmed(&user("ann"), &user("eve"), now + Duration::from_secs(1)).is_none());
        assert!(pairs.unconfirmed(&user("ann"), &user("eve"), now + Duration::from_secs(3)).is_some());
    }

    #[test]
    fn who_was_asked_about_is_due_again_later() {
        let (mut pairs, now) = (Pairs::default(), Instant::now());
        pairs.insert(&user("ann"), &user("eve"), pair(now), now);
        let later = now + Duration::from_secs(30);
        assert_eq!(pairs.due(now, later), [user("ann")]);
        assert!(pairs.due(now, later).is_empty());
        pairs.check_at(&user("ann"), now);
        assert_eq!(pairs.due(now, later).len(), 1);
    }
}
