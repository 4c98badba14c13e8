//! Times in which nothing changed for a user.

use super::super::SECOND;
use crate::history::record::{History, Nanos, Status};

/// How long a clean change may take to show.
const CLEAN: Nanos = SECOND;

/// The same of a crash.
const CRASH: Nanos = 10 * SECOND;

/// A time in which nothing changed for a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) from: Nanos,
    pub(super) to: Nanos,
    /// How long the change before it may take to show.
    pub(super) bound: Nanos,
    /// What others are to see.
    pub(super) status: Status,
    /// The user does not want to be seen.
    pub(super) invisible: bool,
}

impl Period {
    /// Whether this may be shown. Sessions that nobody uses show as away.
    pub(super) fn allows(&self, status: Status) -> bool {
        status == self.status || (self.status == Status::Online && status == Status::Away)
    }
}

/// A change, which happened at some time from its begin to its end.
struct Change {
    begun: Nanos,
    ended: Nanos,
    bound: Nanos,
}

/// The periods between all that changed for a user.
pub(super) fn periods_of(user: &str, history: &History, end: Nanos) -> Vec<Period> {
    let mut changes: Vec<Change> = Vec::new();
    let mut add = |begun, ended, bound| changes.push(Change { begun, ended, bound: bound + history.slack });
    for session in history.sessions.iter().filter(|session| session.user == user && session.follows_all) {
        // A hello that was never answered may have opened a session all the same.
        let closed = session.closed.map_or(end, |closed| closed.at);
        add(session.opened, session.welcomed.unwrap_or(closed), CLEAN);
        if let Some(closed) = session.closed {
            let clean = closed.code.is_some();
            add(closed.at, closed.at, if clean { CLEAN } else { CRASH });
        }
    }
    for set in history.statuses.iter().filter(|set| set.user == user) {
        add(set.begun, set.ended.unwrap_or(end), CLEAN);
    }
    for stop in &history.stops {
        add(stop.begun, stop.ended, CRASH);
    }
    changes.sort_unstable_by_key(|change| change.begun);
    let mut periods = Vec::new();
    let (mut from, mut bound) = (0, 0);
    for change in changes.iter().chain([&Change { begun: end, ended: end, bound: 0 }]) {
        if change.begun > from {
            let (status, invisible) = status_at(user, from, history);
            periods.push(Period { from, to: change.begun, bound, status, invisible });
        }
        // What takes longer to show goes on doing so behind what is quicker.
        bound = change.bound.max(bound.saturating_sub(change.ended.saturating_sub(from)));
        from = from.max(change.ended);
    }
    periods
}

/// What others are to see of a user at a time at which nothing changes.
fn status_at(user: &str, at: Nanos, history: &History) -> (Status, bool) {
    let online = history.sessions.iter().any(|session| {
        session.user == user
            && session.follows_all
            && session.welcomed.is_some_and(|welcomed| welcomed <= at)
            && session.closed.is_none_or(|closed| closed.at > at)
    });
    let last = history.statuses.iter().filter(|set| set.user == user && set.ended.is_some_and(|ended| ended <= at));
    let set = last.max_by_key(|set| set.ended).map_or(Status::Online, |set| set.status);
    let invisible = set == Status::Invisible;
    (if !online || invisible { Status::Offline } else { set }, invisible)
}
