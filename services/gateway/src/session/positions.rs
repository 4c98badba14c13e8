//! Positions that wait for a socket: the latest of each user and conversation.

use std::sync::Arc;

use viberchat_kit::fault;
use viberchat_proto::message::v1::Position;

/// More than this many at once are dropped, the oldest first: a reader that is so far behind asks for them.
const POSITIONS_MAX: usize = 512;

/// Positions of one frame.
const FRAME_POSITIONS_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Positions(Vec<Arc<Position>>);

impl Positions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the place of an earlier one of the same user and conversation.
    pub(super) fn put(&mut self, position: Arc<Position>) {
        let same =
            |old: &Arc<Position>| old.conversation_id == position.conversation_id && old.user_id == position.user_id;
        if let Some(old) = self.0.iter_mut().find(|old| same(old)) {
            *old = later_of(old, &position);
            return;
        }
        if self.0.len() == POSITIONS_MAX {
            self.0.remove(0);
        }
        self.0.push(position);
    }

    /// Those of a conversation are of no interest any more.
    pub(super) fn forget(&mut self, conversation_id: &str) {
        self.0.retain(|position| position.conversation_id != conversation_id);
    }

    /// The content of the next frame.
    pub(super) fn take(&mut self) -> Vec<Position> {
        let rest = self.0.split_off(self.0.len().min(FRAME_POSITIONS_MAX));
        let positions = std::mem::replace(&mut self.0, rest);
        let mut positions: Vec<_> = positions.iter().map(|position| Position::clone(position)).collect();
        if fault::mutant("position_pushed_backwards") {
            let back =
                |position: &Position| Position { read_seq: position.read_seq.saturating_sub(1), ..position.clone() };
            positions.extend(positions.iter().map(back).collect::<Vec<_>>());
        }
        positions
    }
}

/// Read and delivered move forward each by itself, and news of them may overtake each other.
fn later_of(old: &Arc<Position>, new: &Arc<Position>) -> Arc<Position> {
    let is_read_later = new.read_seq >= old.read_seq;
    if is_read_later && new.delivered_seq >= old.delivered_seq {
        return new.clone();
    }
    let read = if is_read_later { new } else { old };
    let delivered_seq = new.delivered_seq.max(old.delivered_seq);
    Arc::new(Position { delivered_seq, ..Position::clone(read) })
}
