//! A decision as the store takes it.

use viberchat_kit::id::{ConversationId, UserId};

use super::decide::Decision;
use crate::convert;
use crate::domain::entry::{Body, Entry, Reaction, SystemBody};
use crate::domain::position::Position;
use crate::domain::rules::Drafted;
use crate::store::{Append, ReactionKey, Record, StateChange};

pub(super) fn of_decision(conversation_id: ConversationId, expected_head: u64, decision: &Decision) -> Append {
    let entries = || decision.entries.iter();
    Append {
        conversation_id,
        expected_head,
        records: entries().map(record).collect(),
        changes: entries().filter_map(change).collect(),
        positions: entries().flat_map(|drafted| moved(drafted).map(|moved| (drafted.entry.seq, moved))).collect(),
        departed: entries().filter_map(|drafted| Some((drafted.entry.seq, departed(drafted)?.clone()))).collect(),
    }
}

fn record(drafted: &Drafted) -> Record {
    let entry = &drafted.entry;
    Record {
        head: drafted.head(),
        kind: entry.body.kind(),
        target_seq: entry.body.target_seq(),
        actor: entry.actor.clone(),
        id: entry.request_id.clone().zip(drafted.fingerprint),
        create_time: entry.create_time,
        erased: false,
        body: convert::encode_body(&entry.body).into(),
    }
}

fn change(drafted: &Drafted) -> Option<StateChange> {
    let seq = drafted.entry.seq;
    match &drafted.entry.body {
        Body::Edited { message_seq, .. } => Some(StateChange::Edit { message_seq: *message_seq, edit_seq: seq }),
        Body::Deleted { message_id, message_seq } => {
            let (message_id, message_seq) = (*message_id, *message_seq);
            let edit = Body::Edited { message_id, message_seq, text: String::new(), mentions: Vec::new() };
            Some(StateChange::Delete {
                message_seq,
                delete_seq: seq,
                message_body: drafted.erases.as_ref().map(convert::encode_body).unwrap_or_default(),
                edit_body: convert::encode_body(&edit),
            })
        }
        Body::ReactionAdded(reaction) => Some(StateChange::React { key: reaction_key(drafted, reaction), seq }),
        Body::ReactionRemoved(reaction) => Some(StateChange::Unreact { key: reaction_key(drafted, reaction), seq }),
        Body::Pinned { message_seq, .. } => Some(StateChange::Pin { message_seq: *message_seq, seq }),
        Body::Unpinned { message_seq, .. } => Some(StateChange::Unpin { message_seq: *message_seq, seq }),
        Body::Message(_) | Body::System(_) | Body::Redacted { .. } | Body::Unknown => None,
    }
}

fn reaction_key(drafted: &Drafted, reaction: &Reaction) -> ReactionKey {
    let Reaction { message_seq, emoji, .. } = reaction;
    ReactionKey { message_seq: *message_seq, emoji: emoji.clone(), user: drafted.entry.actor.clone() }
}

/// The positions that move with the entries, the last of each user who is still there.
pub(super) fn positions(entries: &[Drafted]) -> Vec<Position> {
    let mut positions: Vec<Position> = Vec::new();
    for drafted in entries {
        if let Some(gone) = departed(drafted) {
            positions.retain(|known| known.user != *gone);
        }
        for position in moved(drafted) {
            match positions.iter_mut().find(|known| known.user == position.user) {
                Some(known) => *known = position,
                None => positions.push(position),
            }
        }
    }
    positions
}

/// A send moves its sender's position to itself, and who joins starts at the entry of joining.
fn moved(drafted: &Drafted) -> impl Iterator<Item = Position> {
    let Entry { seq, message_no, ref actor, ref body, .. } = drafted.entry;
    let joined = if let Body::System(system) = body { system.joined() } else { &[] };
    let sender = drafted.moves_position.then_some(actor);
    let users = joined.iter().map(|member| &member.user).chain(sender);
    users.map(move |user| Position::read(user.clone(), seq, message_no))
}

/// Who is gone by it.
fn departed(drafted: &Drafted) -> Option<&UserId> {
    match &drafted.entry.body {
        Body::System(SystemBody::MemberRemoved { user, .. }) => Some(user),
        _ => None,
    }
}
