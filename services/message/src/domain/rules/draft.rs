use std::sync::Arc;

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, Entropy, MessageId, UserId};

use super::{Check, Drafted, Intent, Proposal, Refusal};
use crate::domain::content::{PINS_MAX, REACTION_KINDS_MAX};
use crate::domain::dedup::{Found, WriteId};
use crate::domain::entry::{Body, Entry, MessageSent, Reaction, ReplyTo, SystemBody};
use crate::domain::head::{Head, LogState};
use crate::domain::membership::{ConversationKind, Role, Standing, roles_after};
use crate::domain::target::Targets;

/// A batch in the making.
pub(crate) struct Draft<'a> {
    conversation_id: ConversationId,
    base: &'a LogState,
    head: Head,
    at: Timestamp,
    entropy: &'a dyn Entropy,
    /// What the batch's writes are about, read at `base.head`.
    targets: Targets,
    closed: bool,
    entries: Vec<Drafted>,
}

impl<'a> Draft<'a> {
    /// An empty batch after `base.head`.
    pub(crate) fn new(
        conversation_id: ConversationId,
        base: &'a LogState,
        targets: Targets,
        at: Timestamp,
        entropy: &'a dyn Entropy,
    ) -> Self {
        let (head, closed) = (base.head, base.closed);
        Self { conversation_id, base, head, at, entropy, targets, closed, entries: Vec::new() }
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
            return match *version == current + 1 {
                _ if self.closed => Check::Refused(Refusal::NotMember),
                true => Check::Accepted,
                false => Check::Refused(Refusal::VersionGap { current }),
            };
        }
        let Some(standing) = standing else { return Check::StandingTooOld };
        let mut asked = std::iter::once(standing).chain(proposal.mentioned.iter().map(AsRef::as_ref));
        if !asked.all(|standing| self.base.changes.cover(standing.version)) {
            return Check::StandingTooOld;
        }
        match self.decide(proposal, standing) {
            Ok(Needed::Append) => Check::Accepted,
            Ok(Needed::Nothing) => Check::Nothing,
            Err(refusal) => Check::Refused(refusal),
        }
    }

    fn decide(&self, proposal: &Proposal, standing: &Standing) -> Result<Needed, Refusal> {
        let actor = &proposal.actor;
        let role = self.role_at_head(actor, standing)?;
        let find = |message_id| self.targets.find(message_id, standing);
        match &proposal.intent {
            Intent::Send { reply_to, mentions, .. } => {
                standing.check_peer()?;
                if let Some(message_id) = reply_to {
                    let target = find(*message_id).map_err(|_| Refusal::ReplyNotFound)?;
                    target.check_alive().map_err(|_| Refusal::ReplyDeleted)?;
                }
                self.check_mentions(mentions, &proposal.mentioned)
            }
            Intent::Edit { message_id, mentions, .. } => {
                standing.check_peer()?;
                let target = find(*message_id)?;
                if target.sender != *actor {
                    return Err(Refusal::NotOwnMessage);
                }
                target.check_alive()?;
                self.check_mentions(mentions, &proposal.mentioned)
            }
            Intent::Delete { message_id } => {
                let target = find(*message_id)?;
                let admin = standing.kind == Some(ConversationKind::Group) && role >= Role::Admin;
                if !admin && target.sender != *actor {
                    return Err(Refusal::NotOwnMessage);
                }
                target.check_alive().map(|()| Needed::Append)
            }
            Intent::React { message_id, emoji } => {
                standing.check_peer()?;
                let target = find(*message_id)?;
                target.check_alive()?;
                let is_new = !target.reactions.contains_key(emoji);
                if is_new && target.reactions.len() >= REACTION_KINDS_MAX {
                    return Err(Refusal::TooManyReactions);
                }
                Ok(Needed::unless(target.has_reaction(actor, emoji)))
            }
            Intent::Unreact { message_id, emoji } => Ok(Needed::unless(!find(*message_id)?.has_reaction(actor, emoji))),
            Intent::Pin { message_id } => {
                standing.check_may_pin(role)?;
                let target = find(*message_id)?;
                target.check_alive()?;
                if !target.pinned && self.targets.pins >= PINS_MAX {
                    return Err(Refusal::TooManyPins);
                }
                Ok(Needed::unless(target.pinned))
            }
            Intent::Unpin { message_id } => {
                standing.check_may_pin(role)?;
                Ok(Needed::unless(!find(*message_id)?.pinned))
            }
            Intent::System { .. } => Ok(Needed::Append),
        }
    }

    /// Each is a member at the head, whether their joining is in the log yet or not.
    fn check_mentions(&self, mentions: &[UserId], standings: &[Arc<Standing>]) -> Result<Needed, Refusal> {
        let is_member = |(user, standing): (&UserId, &Arc<Standing>)| {
            self.role_after(user, standing.version).unwrap_or(standing.role).is_some()
        };
        let all = mentions.len() == standings.len() && mentions.iter().zip(standings).all(is_member);
        if all { Ok(Needed::Append) } else { Err(Refusal::MentionNotMember) }
    }

    /// A membership entry at or below the head with a greater version than the answer's decides, else the answer.
    fn role_at_head(&self, user: &UserId, standing: &Standing) -> Result<Role, Refusal> {
        // The closing entry names nobody, and whoever was a member is none after it.
        if self.closed {
            return Err(Refusal::NotMember);
        }
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

    /// Adds an accepted write as the next entry and returns it. Message ids are made here, where the seq is known.
    pub(crate) fn add(&mut self, proposal: &Proposal) -> &Drafted {
        let seq = self.head.seq + 1;
        let body = self.body(seq, &proposal.intent);
        let erases = match &body {
            Body::Deleted { message_seq, .. } => self.targets.messages.get(message_seq),
            _ => None,
        };
        let erases = erases.map(|target| Body::Message(target.sent.clone()).erased());
        self.targets.apply(&proposal.actor, &body);
        self.closed |= body == Body::System(SystemBody::Closed);
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
            moves_position: proposal.intent.moves_position(),
            erases,
        });
        &self.entries[self.entries.len() - 1]
    }

    fn body(&self, seq: u64, intent: &Intent) -> Body {
        // A target without a place was refused.
        let place = |message_id: &MessageId| (*message_id, message_id.seq().unwrap_or_default());
        match intent {
            Intent::Send { text, acting_service, door, reply_to, mentions, metadata, .. } => {
                Body::Message(MessageSent {
                    message_id: MessageId::for_seq(self.at, seq, self.entropy),
                    text: text.clone(),
                    acting_service: acting_service.clone(),
                    door: *door,
                    reply_to: reply_to.as_ref().map(place).map(|(message_id, seq)| ReplyTo { message_id, seq }),
                    mentions: mentions.clone(),
                    metadata: metadata.clone(),
                })
            }
            Intent::Edit { message_id, text, mentions } => {
                let (message_id, message_seq) = place(message_id);
                Body::Edited { message_id, message_seq, text: text.clone(), mentions: mentions.clone() }
            }
            Intent::Delete { message_id } => {
                let (message_id, message_seq) = place(message_id);
                Body::Deleted { message_id, message_seq }
            }
            Intent::React { message_id, emoji } => {
                let (message_id, message_seq) = place(message_id);
                Body::ReactionAdded(Reaction { message_id, message_seq, emoji: emoji.clone() })
            }
            Intent::Unreact { message_id, emoji } => {
                let (message_id, message_seq) = place(message_id);
                Body::ReactionRemoved(Reaction { message_id, message_seq, emoji: emoji.clone() })
            }
            Intent::Pin { message_id } => {
                let (message_id, message_seq) = place(message_id);
                Body::Pinned { message_id, message_seq }
            }
            Intent::Unpin { message_id } => {
                let (message_id, message_seq) = place(message_id);
                Body::Unpinned { message_id, message_seq }
            }
            Intent::System { body, .. } => Body::System(body.clone()),
        }
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

/// What is left to do for a write that may be done.
#[derive(Clone, Copy)]
enum Needed {
    Append,
    Nothing,
}

impl Needed {
    fn unless(done: bool) -> Self {
        if done { Self::Nothing } else { Self::Append }
    }
}

impl Standing {
    /// Whether what the user says may reach the other user of a direct.
    fn check_peer(&self) -> Result<(), Refusal> {
        if self.peer_gone {
            Err(Refusal::PeerGone)
        } else if self.blocked {
            Err(Refusal::Blocked)
        } else {
            Ok(())
        }
    }

    /// Both users of a direct, admins and owners of a group.
    fn check_may_pin(&self, role: Role) -> Result<(), Refusal> {
        let may = self.kind == Some(ConversationKind::Direct) || role >= Role::Admin;
        if may { Ok(()) } else { Err(Refusal::RoleRequired) }
    }
}
