//! C10: a resume brings exactly what is missing, or says that it does not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Found, SECOND};
use crate::history::{
    record::{Answer, History, Push, Session, Verdict},
    truth::{Log, Truth},
};

pub(super) fn check(history: &History, truth: &Truth<'_>, found: &mut Found<'_>) {
    for (id, session) in history.sessions.iter().enumerate() {
        let Some(cursors) = &session.resume else { continue };
        let name = format!("session {id} of {}", session.user);
        let mut reached: BTreeMap<&str, u64> = cursors.iter().map(|(name, seq)| (name.as_str(), *seq)).collect();
        let mut answered: BTreeSet<&str> = BTreeSet::new();
        for pushed in &session.pushes {
            match &pushed.push {
                Push::Entry(entry) => {
                    if let Some(seq) = reached.get_mut(entry.conversation.as_str()) {
                        if !answered.contains(entry.conversation.as_str()) && entry.seq != *seq + 1 {
                            found.add(
                                Check::C10,
                                format!("{name}: {} follows {seq} in {}", entry.seq, entry.conversation),
                            );
                        }
                        *seq = entry.last_seq();
                    }
                }
                Push::Resumed { conversation, verdict } => {
                    if !answered.insert(conversation) {
                        found.add(Check::C10, format!("{name}: two verdicts on {conversation}"));
                    }
                    let Some(cursor) = cursors.get(conversation) else {
                        found.add(Check::C10, format!("{name}: a verdict on {conversation}, which it did not name"));
                        continue;
                    };
                    if let Some(log) = truth.logs.get(conversation.as_str()) {
                        let resume = Resume {
                            name: &name,
                            session,
                            conversation,
                            cursor: *cursor,
                            reached: reached[conversation.as_str()],
                        };
                        resume.verdict_holds(*verdict, log, history, found);
                    }
                }
                Push::Ready => {
                    for conversation in cursors.keys().filter(|conversation| !answered.contains(conversation.as_str()))
                    {
                        found.add(Check::C10, format!("{name} is ready without a verdict on {conversation}"));
                    }
                }
                _ => {}
            }
        }
    }
}

/// How many conversations of a session were filled from the log.
pub(super) fn filled(session: &Session) -> u64 {
    let cursors = session.resume.iter().flatten();
    let count = cursors.filter(|(conversation, cursor)| {
        session.pushes.iter().any(|pushed| {
            matches!(&pushed.push, Push::Resumed { conversation: named, verdict: Verdict::Complete { head } }
                if named == *conversation && head > *cursor)
        })
    });
    count.count() as u64
}

struct Resume<'a> {
    name: &'a str,
    session: &'a Session,
    conversation: &'a str,
    cursor: u64,
    /// The last seq that was pushed before the verdict.
    reached: u64,
}

impl Resume<'_> {
    fn verdict_holds(&self, verdict: Verdict, log: &Log<'_>, history: &History, found: &mut Found<'_>) {
        let (name, conversation, cursor) = (self.name, self.conversation, self.cursor);
        let highest = log.shown.keys().next_back().copied().unwrap_or(0);
        match verdict {
            Verdict::Complete { head } => {
                if self.reached < head {
                    found.add(
                        Check::C10,
                        format!(
                            "{name}: {conversation} is complete up to {head}, pushed was {cursor} to {}",
                            self.reached
                        ),
                    );
                }
                let must = self.acked_before(history);
                if head < must {
                    found.add(
                        Check::C10,
                        format!("{name}: {conversation} is complete up to {head}, {must} was acknowledged before"),
                    );
                }
            }
            Verdict::Gap { from } => {
                if highest.saturating_sub(cursor) <= self.session.resume_entries_max {
                    found.add(
                        Check::C10,
                        format!("{name}: a gap in {conversation}, though only {cursor} to {highest} is missing"),
                    );
                }
                if from <= cursor {
                    found.add(
                        Check::C10,
                        format!("{name}: {conversation} goes on at {from}, before the cursor {cursor}"),
                    );
                }
            }
            Verdict::Reset { removed } => {
                let ever_out = log
                    .stays
                    .get(self.session.user.as_str())
                    .is_none_or(|stays| stays.iter().any(|stay| stay.to.is_some()));
                let past_head = cursor > highest;
                if (removed && !ever_out) || (!removed && !past_head) {
                    found.add(
                        Check::C10,
                        format!("{name}: {conversation} is reset (removed: {removed}) at {cursor} without a reason"),
                    );
                }
            }
        }
    }

    /// The highest place that was acknowledged to anybody a second before the hello: heads may lag that much.
    fn acked_before(&self, history: &History) -> u64 {
        let acked = history.calls.iter().filter(|call| call.conversation == self.conversation).filter_map(|call| {
            match call.answer {
                Answer::Stored { seq, .. } if call.ended? + SECOND < self.session.opened => Some(seq),
                _ => None,
            }
        });
        acked.max().unwrap_or(0)
    }
}
