//! Read positions that wait for a socket: the latest of each user and conversation.

use std::sync::Arc;

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
            if old.read_seq < position.read_seq {
                *old = position;
            }
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
        std::mem::replace(&mut self.0, rest).into_iter().map(|position| Position::clone(&position)).collect()
    }
}
