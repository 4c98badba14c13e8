//! C11: presence converges, nobody is wrongly offline, an invisible user is not shown, and typing ends by itself.

mod periods;
mod typing;

use std::collections::{BTreeMap, BTreeSet};

use self::periods::{Period, periods_of};
use super::{Check, Found, SECOND};
use crate::history::{
    record::{History, Nanos, Push, Session, Status},
    truth::Truth,
};

/// After a start of the service nobody is offline for a while: they may come back. Another second for what follows.
const START_GRACE: Nanos = 12 * SECOND;

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    let acquainted = Acquainted::of(truth, history);
    let end = end_of(history);
    let mut periods: BTreeMap<&str, Vec<Period>> = BTreeMap::new();
    for (id, session) in history.sessions.iter().enumerate() {
        for (user, shown) in shown_to(session) {
            let name = format!("session {id}: {} saw {user}", session.user);
            if user == session.user {
                continue;
            }
            if let Some((at, _)) = shown.iter().find(|(_, status)| *status == Status::Invisible) {
                found.add(Check::C11, format!("{name} invisible at {at}"));
            }
            if !acquainted.may_share(&session.user, user) {
                if let Some((at, status)) = shown.iter().find(|(_, status)| *status != Status::Unknown) {
                    found.add(Check::C11, format!("{name} {status:?} at {at}, a stranger"));
                }
                continue;
            }
            let periods = periods.entry(user).or_insert_with(|| periods_of(user, history, end));
            let watched = Watched { name, session, shown, shares: acquainted.always_share(&session.user, user) };
            for period in &*periods {
                watched.agrees_with(period, history, end, found);
            }
        }
        typing::check(id, session, &acquainted, &mut periods, history, end, found);
    }
}

/// What a session was shown of each user, in order.
fn shown_to(session: &Session) -> BTreeMap<&str, Vec<(Nanos, Status)>> {
    let mut shown: BTreeMap<&str, Vec<(Nanos, Status)>> = BTreeMap::new();
    for pushed in &session.pushes {
        let Push::Presence(presences) = &pushed.push else { continue };
        for presence in presences {
            shown.entry(&presence.user).or_default().push((pushed.at, presence.status));
        }
    }
    shown
}

/// The last moment that anybody wrote down.
fn end_of(history: &History) -> Nanos {
    let pushes = history.sessions.iter().filter_map(|session| Some(session.pushes.last()?.at));
    let reads = history.reads.iter().map(|read| read.ended);
    let calls = history.calls.iter().filter_map(|call| call.ended);
    let stop = history.stops.last().map(|stop| stop.begun);
    let last = pushes.chain(reads).chain(calls).max().unwrap_or(0);
    // What follows the last stop is nobody's to see.
    stop.map_or(last, |stop| last.min(stop))
}

/// Who knows whom.
struct Acquainted<'a> {
    /// Pairs who have ever been members of one conversation.
    ever: BTreeSet<(&'a str, &'a str)>,
    /// Pairs of whom neither has ever left a group that both belong to.
    always: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Acquainted<'a> {
    fn of(truth: &Truth<'a>, history: &'a History) -> Self {
        let (mut ever, mut always) = (BTreeSet::new(), BTreeSet::new());
        for log in truth.logs.values() {
            for (one, stays) in &log.stays {
                for (other, other_stays) in &log.stays {
                    ever.insert((*one, *other));
                    let stayed = |stays: &[crate::history::truth::Stay]| stays.len() == 1 && stays[0].to.is_none();
                    if stayed(stays) && stayed(other_stays) {
                        always.insert((*one, *other));
                    }
                }
            }
        }
        for call in &history.directs {
            ever.insert((call.user.as_str(), call.peer.as_str()));
            ever.insert((call.peer.as_str(), call.user.as_str()));
        }
        Self { ever, always }
    }

    fn may_share(&self, one: &str, other: &str) -> bool {
        self.ever.contains(&(one, other))
    }

    fn always_share(&self, one: &str, other: &str) -> bool {
        self.always.contains(&(one, other))
    }
}

/// What a session was shown of one user.
struct Watched<'a> {
    name: String,
    session: &'a Session,
    shown: Vec<(Nanos, Status)>,
    /// They share a conversation all the time.
    shares: bool,
}

impl Watched<'_> {
    /// While nothing changes for longer than it may take, what is shown is what is.
    fn agrees_with(&self, period: &Period, history: &History, end: Nanos, found: &mut Found<'_>) {
        let settled = period.from + period.bound;
        let name = &self.name;
        for (at, status) in self.shown.iter().filter(|(at, _)| settled < *at && *at < period.to) {
            let unknown = *status == Status::Unknown && (!self.shares || is_after_a_start(history, *at));
            if !unknown && !period.allows(*status) {
                found.add(Check::C11, format!("{name} {status:?} at {at}, it is {:?}", period.status));
            }
        }
        let closed = self.session.closed.map_or(Nanos::MAX, |closed| closed.at);
        let Some((watched, _)) = self.shown.first() else { return };
        let settled = (*watched).max(period.from) + period.bound;
        if !self.shares || settled >= period.to.min(closed).min(end) {
            return;
        }
        let Some((_, status)) = self.shown.iter().rev().find(|(at, _)| *at <= settled) else { return };
        let unknown = *status == Status::Unknown && is_after_a_start(history, settled);
        if !unknown && !period.allows(*status) {
            found.add(
                Check::C11,
                format!("{name} {status:?} still at {settled}, it is {:?} since {}", period.status, period.from),
            );
        }
    }
}

/// Whether the service has started shortly before; the run begins with a start.
fn is_after_a_start(history: &History, at: Nanos) -> bool {
    at < START_GRACE || history.stops.iter().any(|stop| stop.begun < at && at < stop.ended + START_GRACE)
}
