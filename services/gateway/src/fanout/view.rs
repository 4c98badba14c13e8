//! What a user may see of a conversation's log, as far as it is known here.
//!
//! The stream of entries is one for everybody, so it brings what some may not see: entries from before a user joined a
//! group that hides them, and edits, reactions, pins and deletions of such messages. Whatever is not known to be visible
//! is not pushed: the session gets it from the log, which answers for its user. What a user may see is asked only when
//! an old message is touched, and then known until something of the user's membership changes.

use viberchat_kit::fault;
use viberchat_proto::conversation::v1::{AuthorizeMemberResponse, Span};
use viberchat_proto::message::v1::LogEntry;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::types::v1::HistoryVisibility;

/// A user's view of one conversation.
#[derive(Debug)]
pub(super) enum View {
    /// Nothing has come since the user follows: an entry of an earlier version may be from before the user joined.
    Joining { version: u64 },
    /// What came after `from` came to a member. What is visible of the rest is not known.
    Unknown { from: u64 },
    /// The same, and it was asked.
    Asked { from: u64, ask: u32 },
    /// The whole log.
    Everything,
    /// Some of it.
    Parts(Box<Parts>),
}

/// See [`View::Parts`].
#[derive(Debug)]
pub(super) struct Parts {
    from: u64,
    /// The user's stays; empty: they do not matter.
    spans: Vec<Span>,
    /// Up to here the user has deleted the chat.
    cleared_seq: u64,
}

/// What of an entry decides whether it is visible.
pub(super) struct Visibility {
    pub(super) seq: u64,
    version: u64,
    /// The seq of the message that it is about; 0: none but itself.
    target_seq: u64,
    /// From here on others may see more, or less.
    pub(super) changes_views: bool,
}

/// How an entry gets to the sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As it came.
    Push,
    /// Through the log.
    Read,
    /// Through the log, and what the user may see is to be asked.
    ReadAndAsk,
}

impl Visibility {
    pub(super) fn of(entry: &LogEntry) -> Self {
        let body = entry.body.as_ref().and_then(|body| body.body.as_ref());
        let target_seq = match body {
            Some(Body::Edited(body)) => body.message_seq,
            Some(Body::Deleted(body)) => body.message_seq,
            Some(Body::ReactionAdded(body)) => body.message_seq,
            Some(Body::ReactionRemoved(body)) => body.message_seq,
            Some(Body::Pinned(body)) => body.message_seq,
            Some(Body::Unpinned(body)) => body.message_seq,
            _ => 0,
        };
        let changes_views = matches!(body, Some(Body::ConversationUpdated(update))
            if update.history() != HistoryVisibility::Unspecified);
        Self { seq: entry.seq, version: entry.conversation_version, target_seq, changes_views }
    }
}

impl View {
    /// Of who follows from now on. In a direct there is nothing from before.
    pub(super) fn of_follower(is_direct: bool, version: u64) -> Self {
        Self::Joining { version: if is_direct { 0 } else { version } }
    }

    /// The way of the next entry.
    pub(super) fn way(&mut self, entry: &Visibility) -> Way {
        if let Self::Joining { version } = *self {
            if entry.version < version {
                return Way::Read;
            }
            *self = Self::Unknown { from: entry.seq.saturating_sub(1) };
        }
        let target = entry.target_seq;
        let sees = match self {
            _ if target == 0 || fault::mutant("hidden_target_pushed") => true,
            Self::Everything => true,
            Self::Joining { .. } => false,
            Self::Unknown { from } | Self::Asked { from, .. } => target > *from,
            Self::Parts(parts) => parts.have(target),
        };
        match self {
            _ if sees => Way::Push,
            Self::Unknown { .. } => Way::ReadAndAsk,
            _ => Way::Read,
        }
    }

    /// Something changed: only what comes after `head_seq` is surely visible.
    pub(super) fn reset(&mut self, head_seq: u64) {
        if !matches!(self, Self::Joining { .. }) {
            *self = Self::Unknown { from: head_seq };
        }
    }

    /// It is being asked.
    pub(super) fn begin_asking(&mut self, number: u32) {
        if let Self::Unknown { from } = *self {
            *self = Self::Asked { from, ask: number };
        }
    }

    /// What came of the question of that number. `None`: no answer; the next need asks again.
    pub(super) fn answer(&mut self, number: u32, answer: Option<&AuthorizeMemberResponse>) {
        let Self::Asked { from, ask } = *self else { return };
        if ask != number {
            return;
        }
        *self = match answer {
            None => Self::Unknown { from },
            Some(answer) => {
                let is_shared = answer.history() != HistoryVisibility::SinceJoining;
                if is_shared && answer.cleared_seq == 0 && !answer.spans.is_empty() {
                    Self::Everything
                } else if is_shared && !answer.spans.is_empty() {
                    Self::Parts(Box::new(Parts { from, spans: Vec::new(), cleared_seq: answer.cleared_seq }))
                } else {
                    let no_stay = Span { from_seq: u64::MAX, to_seq: 0 };
                    let spans = if answer.spans.is_empty() { vec![no_stay] } else { answer.spans.clone() };
                    Self::Parts(Box::new(Parts { from, spans, cleared_seq: answer.cleared_seq }))
                }
            }
        };
    }
}

impl Parts {
    fn have(&self, seq: u64) -> bool {
        let in_stay = |span: &Span| span.from_seq <= seq && (span.to_seq == 0 || seq <= span.to_seq);
        let in_stays = self.spans.is_empty() || self.spans.iter().any(in_stay);
        seq > self.cleared_seq && (seq > self.from || in_stays)
    }
}

#[cfg(test)]
mod tests;
