//! Typing ends by itself, and is not shown of who does not want to be seen, or to who is not a member.

use std::collections::BTreeMap;

use super::{
    super::{Check, Found, SECOND},
    Acquainted,
    periods::{Period, periods_of},
};
use crate::history::record::{History, Nanos, Push, Session};

/// What is not repeated ends after 6 s. A repetition within 2 s of what was told is not told again, and moves the end;
/// another second for the way.
const ENDS_AFTER: Nanos = 9 * SECOND;

pub(super) fn check<'a>(
    id: usize,
    session: &'a Session,
    acquainted: &Acquainted<'_>,
    periods: &mut BTreeMap<&'a str, Vec<Period>>,
    history: &History,
    end: Nanos,
    found: &mut Found<'_>,
) {
    let closed = session.closed.map_or(end, |closed| closed.at).min(end);
    for (place, pushed) in session.pushes.iter().enumerate() {
        let Push::Typing { conversation, user, typing: true } = &pushed.push else { continue };
        let at = pushed.at;
        let goes_on = session.pushes[place + 1..].iter().any(|later| {
            later.at <= at + ENDS_AFTER
                && match &later.push {
                    Push::Typing { conversation: there, user: who, .. } => there == conversation && who == user,
                    Push::Removed { conversation: gone } => gone == conversation,
                    // What was left out may have been the end.
                    Push::Shed(_) => true,
                    _ => false,
                }
        });
        if !goes_on && at + ENDS_AFTER < closed {
            found.add(Check::C11, format!("session {id}: {user} types in {conversation} since {at}, without an end"));
        }
        if *user != session.user && !acquainted.may_share(&session.user, user) {
            found.add(Check::C11, format!("session {id} of {}: {user} types, a stranger", session.user));
        }
        let periods = periods.entry(user).or_insert_with(|| periods_of(user, history, end));
        let hides = periods.iter().any(|period| period.invisible && period.from + SECOND < at && at < period.to);
        if hides && *user != session.user {
            found.add(Check::C11, format!("session {id} of {}: {user} types at {at}, invisible", session.user));
        }
    }
}
