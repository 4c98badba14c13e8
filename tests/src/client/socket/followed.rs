//! What a client knows of its conversations: enough to resume.

use std::collections::BTreeMap;

use crate::history::{Push, Verdict};

/// What a client has.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// By conversation: everything up to here was pushed.
    pub cursors: BTreeMap<String, u64>,
    /// All is live.
    pub ready: bool,
    /// The gateway said that it stops.
    pub goaway: bool,
}

impl Followed {
    pub(super) fn new(cursors: BTreeMap<String, u64>) -> Self {
        Self { cursors, ready: false, goaway: false }
    }

    pub(in crate::client) fn take(&mut self, push: &Push) {
        match push {
            Push::Entry(entry) => {
                self.cursors.insert(entry.conversation.clone(), entry.last_seq());
            }
            Push::Added { conversation, head } => {
                self.cursors.insert(conversation.clone(), *head);
            }
            Push::Removed { conversation } | Push::Resumed { conversation, verdict: Verdict::Reset { .. } } => {
                self.cursors.remove(conversation);
            }
            Push::Resumed { conversation, verdict: Verdict::Gap { from } } => {
                self.cursors.insert(conversation.clone(), from - 1);
            }
            Push::Ready => self.ready = true,
            Push::Goaway => self.goaway = true,
            _ => {}
        }
    }
}
