//! The decision about a write, at the head of its log: ids first, then rules, each write on the state after the batch's
//! earlier ones.
//!
//! A [`Draft`] is a batch in the making. It knows the log up to the head and adds to it what was accepted so far. When
//! the append's condition fails, the draft is thrown away and everything is decided again on the new head.

use std::collections::HashMap;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, Entropy, MessageId, UserId};

use super::dedup::{Fingerprint, Found, WriteId};
use super::entry::{Body, Door, Entry, MessageSent, SystemBody};
use super::head::{Head, LogState, Step};
use super::membership::{ConversationKind, Role, Standing, roles_after};

/// What a caller wants to append.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// Who.
    pub(crate) actor: UserId,
    /// Under which id, and the fingerprint of its body. `None`: a system entry, which its version names.
    pub(crate) id: Option<(WriteId, Fingerprint)>,
    /// What.
    pub(crate) intent: Intent,
}

/// What a caller wants to append.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// A message.
    Send {
        /// Its text.
        text: String,
        /// The service that sends for the actor; empty if the user does.
        acting_service: String,
        /// The way by which it came.
        door: Door,
        /// Do not move the sender's read position.
        keep_read_position: bool,
    },
    /// A new text for a message.
    Edit {
        /// The message.
        message_id: MessageId,
        /// The new text.
        text: String,
    },
    /// A message's end.
    Delete {
        /// The message.
        message_id: MessageId,
    },
    /// A change in the conversation service.
    System {
        /// The conversation's version after it.
        version: u64,
        /// The change.
        body: SystemBody,
    },
}

impl Intent {
    /// Edits and deletions: the place of their message, as its id says. `None`: there is no such message.
    pub(crate) fn target_seq(&self) -> Option<u64> {
        match self {
            Self::Edit { message_id, .. } | Self::Delete { message_id } => message_id.seq(),
            Self::Send { .. } | Self::System { .. } => None,
        }
    }

    /// Bytes that it holds in memory while it waits, roughly; more than its entry will have.
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 1_024;
        OVERHEAD
            + match self {
                Self::Send { text, .. } | Self::Edit { text, .. } => text.len(),
                Self::Delete { .. } => 0,
                Self::System { body, .. } => roles_after(body).len() * UserId::BYTES_MAX,
            }
    }
}

/// A message that an edit or a deletion is about, as it stands at the head.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its sender.
    pub(crate) sender: UserId,
    /// As it was sent.
    pub(crate) sent: MessageSent,
    /// It was deleted.
    pub(crate) deleted: bool,
}

/// Why a write is refused at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No member, or not any more.
    NotMember,
    /// Added, but the entry of joining is not in the log yet.
    MembershipPending,
    /// The other user of the direct is gone.
    PeerGone,
    /// No such message in this conversation.
    MessageNotFound,
    /// Only the sender edits; only the sender and admins delete.
    NotOwnMessage,
    /// The message was deleted.
    AlreadyDeleted,
    /// The id was used with another body.
    KeyReused,
    /// A system entry that is not the next one.
    VersionGap {
        /// The version at the head.
        current: u64,
    },
}

/// Whether a draft can decide with the standing that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It may be appended.
    Accepted,
    /// It may not.
    Refused(Refusal),
    /// The standing is older than what the log's memory reaches back to: ask the conversation service again.
    StandingTooOld,
}

/// An accepted entry.
#[derive(Clone, Debug)]
pub(crate) struct Drafted {
    /// The entry.
    pub(crate) entry: Entry,
    /// The place of the last message up to it.
    pub(crate) last_message_seq: u64,
    /// Of its body.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// It moves its actor's read position to itself.
    pub(crate) moves_position: bool,
    /// Deletions: what is left of the message.
    pub(crate) erases: Option<Body>,
}

/// A batch in the making.
pub(crate) struct Draft<'a> {
    conversation_id: ConversationId,
    base: &'a LogState,
    head: Head,
    at: Timestamp,
    entropy: &'a dyn Entropy,
    /// The messages that the batch's edits and deletions are about, by place, read at `base.head`.
    targets: HashMap<u64, Target>,
    entries: Vec<Drafted>,
}

impl<'a> Draft<'a> {
    /// An empty batch after `base.head`.
    pub(crate) fn new(
        conversation_id: ConversationId,
        base: &'a LogState,
        targets: HashMap<u64, Target>,
        at: Timestamp,
        entropy: &'a dyn Entropy,
    ) -> Self {
        Self { conversation_id, base, head: base.head, at, entropy, targets, entries: Vec::new() }
    }

    /// How many entries were accepted.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The place in the batch of the system entry with this version.
    pub(crate) fn version_seq(&self, version: u64) -> Option<u64> {
        let is_it = |entry: &&Drafted| {
            entry.entry.conversation_version == version && matches!(entry.entry.body, Body::System(_))
        };
        self.entries.iter().find(is_it).map(|drafted| drafted.entry.seq)
    }

    /// The accepted entries.
    pub(crate) fn into_entries(self) -> Vec<Drafted> {
        self.entries
    }

    /// Where the id stands: in the batch or in the window. The caller has made sure that the window is exact for it.
    pub(crate) fn find(&self, id: &WriteId) -> Option<Found> {
        let in_batch = self.entries.iter().find(|drafted| drafted.has_id(id));
        match in_batch {
            Some(drafted) => drafted.fingerprint.map(|fingerprint| Found { seq: drafted.entry.seq, fingerprint }),
            None => self.base.window.find(id),
        }
    }

    /// The version of the membership after the batch so far.
    pub(crate) fn conversation_version(&self) -> u64 {
        self.head.conversation_version
    }

    /// Whether the rules take it on the state after the batch so far. `standing`: of the actor; `None` for system
    /// entries.
    pub(crate) fn check(&self, proposal: &Proposal, standing: Option<&Standing>) -> Check {
        if let Intent::System { version, .. } = &proposal.intent {
            // A lower one is a duplicate, which was found before.
            let current = self.head.conversation_version;
            return if *version == current + 1 {
                Check::Accepted
            } else {
                Check::Refused(Refusal::VersionGap { current })
            };
        }
        let Some(standing) = standing else { return Check::StandingTooOld };
        if !self.base.changes.cover(standing.version) {
            return Check::StandingTooOld;
        }
        match self.refusal(proposal, standing) {
            Ok(()) => Check::Accepted,
            Err(refusal) => Check::Refused(refusal),
        }
    }

    fn refusal(&self, proposal: &Proposal, standing: &Standing) -> Result<(), Refusal> {
        let role = self.role_at_head(&proposal.actor, standing)?;
        match &proposal.intent {
            Intent::Send { .. } => standing.check_peer(),
            Intent::Edit { message_id, .. } => {
                standing.check_peer()?;
                let target = self.target(*message_id)?;
                if target.sender == proposal.actor { target.check_alive() } else { Err(Refusal::NotOwnMessage) }
            }
            Intent::Delete { message_id } => {
                let target = self.target(*message_id)?;
                let admin = standing.kind == Some(ConversationKind::Group) && role >= Role::Admin;
                if admin || target.sender == proposal.actor {
                    target.check_alive()
                } else {
                    Err(Refusal::NotOwnMessage)
                }
            }
            Intent::System { .. } => Ok(()),
        }
    }

    /// A membership entry at or below the head with a greater version than the answer's decides, else the answer.
    fn role_at_head(&self, user: &UserId, standing: &Standing) -> Result<Role, Refusal> {
        let role = self.role_after(user, standing.version);
        match role {
            Some(Some(role)) => Ok(role),
            Some(None) => Err(Refusal::NotMember),
            None => standing.reader(),
        }
    }

    fn role_after(&self, user: &UserId, version: u64) -> Option<Option<Role>> {
        let in_batch = self.entries.iter().rev().filter(|drafted| drafted.entry.conversation_version > version);
        let in_batch = in_batch.filter_map(|drafted| match &drafted.entry.body {
            Body::System(system) => {
                roles_after(system).into_iter().rev().find(|(changed, _)| changed == user).map(|(_, role)| role)
            }
            _ => None,
        });
        in_batch.into_iter().next().or_else(|| self.base.changes.role_after(user, version))
    }

    fn target(&self, message_id: MessageId) -> Result<&Target, Refusal> {
        let seq = message_id.seq().ok_or(Refusal::MessageNotFound)?;
        let target = self.targets.get(&seq).ok_or(Refusal::MessageNotFound)?;
        if target.sent.message_id == message_id { Ok(target) } else { Err(Refusal::MessageNotFound) }
    }

    /// Adds an accepted write as the next entry and returns it. Message ids are made here, where the seq is known.
    pub(crate) fn add(&mut self, proposal: &Proposal) -> &Drafted {
        let seq = self.head.seq + 1;
        let mut erases = None;
        let body = match &proposal.intent {
            Intent::Send { text, acting_service, door, .. } => Body::Message(MessageSent {
                message_id: MessageId::for_seq(self.at, seq, self.entropy),
                text: text.clone(),
                acting_service: acting_service.clone(),
                door: *door,
            }),
            Intent::Edit { message_id, text } => Body::Edited {
                message_id: *message_id,
                message_seq: message_id.seq().unwrap_or_default(),
                text: text.clone(),
            },
            Intent::Delete { message_id } => {
                let message_seq = message_id.seq().unwrap_or_default();
                if let Some(target) = self.targets.get_mut(&message_seq) {
                    target.deleted = true;
                    erases = Some(Body::Message(target.sent.clone()).erased());
                }
                Body::Deleted { message_id: *message_id, message_seq }
            }
            Intent::System { body, .. } => Body::System(body.clone()),
        };
        self.head = self.head_after(seq, &body);
        self.entries.push(Drafted {
            entry: Entry {
                conversation_id: self.conversation_id,
                seq,
                message_no: self.head.message_no,
                conversation_version: self.head.conversation_version,
                actor: proposal.actor.clone(),
                request_id: proposal.id.as_ref().map(|(id, _)| id.request_id.clone()),
                create_time: self.at,
                body,
            },
            last_message_seq: self.head.last_message_seq,
            fingerprint: proposal.id.as_ref().map(|(_, fingerprint)| *fingerprint),
            moves_position: matches!(proposal.intent, Intent::Send { keep_read_position: false, .. }),
            erases,
        });
        &self.entries[self.entries.len() - 1]
    }

    fn head_after(&self, seq: u64, body: &Body) -> Head {
        let mut head = Head { seq, time: Some(self.at), ..self.head };
        match body {
            Body::Message(_) => {
                head.message_no += 1;
                head.last_message_seq = seq;
            }
            Body::System(_) => head.conversation_version += 1,
            _ => {}
        }
        head
    }
}

impl Drafted {
    fn has_id(&self, id: &WriteId) -> bool {
        self.entry.request_id.as_ref() == Some(&id.request_id) && self.entry.actor == id.user
    }

    /// The head once it is stored.
    pub(crate) fn head(&self) -> Head {
        let entry = &self.entry;
        Head {
            seq: entry.seq,
            message_no: entry.message_no,
            last_message_seq: self.last_message_seq,
            conversation_version: entry.conversation_version,
            time: Some(entry.create_time),
        }
    }

    /// What it changes about what is known of the log.
    pub(crate) fn step(&self) -> Step {
        let entry = &self.entry;
        let id = entry.request_id.as_ref().map(|request_id| WriteId::new(&entry.actor, request_id));
        Step {
            head: self.head(),
            id: id.zip(self.fingerprint),
            system: match &entry.body {
                Body::System(system) => Some(system.clone()),
                _ => None,
            },
        }
    }
}

impl Target {
    fn check_alive(&self) -> Result<(), Refusal> {
        if self.deleted { Err(Refusal::AlreadyDeleted) } else { Ok(()) }
    }
}

impl Standing {
    fn check_peer(&self) -> Result<(), Refusal> {
        if self.peer_gone { Err(Refusal::PeerGone) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
