//! C14: without the store nothing is acknowledged, and the caller hears it early.

use super::{Check, Found, SECOND};
use crate::history::record::{Answer, History};

/// How long a caller may wait for the word that the store is away.
const EARLY: u64 = 10 * SECOND;

pub(super) fn check(history: &History, found: &mut Found<'_>) {
    for outage in &history.outages {
        for call in history.calls.iter().filter(|call| call.begun > outage.begun && call.begun < outage.ended) {
            let within = call.ended.is_some_and(|ended| ended < outage.ended);
            let acked = matches!(call.answer, Answer::Stored { duplicate: false, .. });
            if within && acked {
                found.add(Check::C14, format!("{} was acknowledged while the store was away", call.request_id));
            }
            let waited = call.ended.unwrap_or(u64::MAX).min(outage.ended).saturating_sub(call.begun);
            if waited > EARLY {
                found.add(Check::C14, format!("{} waited {waited} ns for a store that was away", call.request_id));
            }
        }
    }
}
