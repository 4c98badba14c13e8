//! Positions that wait for a socket: the latest of each user and conversation.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use viberchat_kit::fault;
use viberchat_proto::message::v1::Position;

/// As many as the largest group has members. More than this many at once are left out: a reader that is so far behind
/// asks for them.
const POSITIONS_MAX: usize = 5_000;

/// Positions of one frame.
const FRAME_POSITIONS_MAX: usize = 64;

/// The same for all positions of one user in one conversation.
struct ByUser(Arc<Position>);

/// See the module.
#[derive(Default)]
pub(super) struct Positions(HashSet<ByUser>);

impl Positions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the place of an earlier one of the same user and conversation.
    pub(super) fn put(&mut self, position: Arc<Position>) {
        let waiting = &mut self.0;
        let position = ByUser(position);
        match waiting.get(&position) {
            Some(old) => {
                let latest = later_of(&old.0, &position.0);
                waiting.replace(ByUser(latest));
            }
            None if waiting.len() < POSITIONS_MAX => _ = waiting.insert(position),
            None => {}
        }
    }

    /// Those of a conversation are of no interest any more.
    pub(super) fn forget(&mut self, conversation_id: &str) {
        self.0.retain(|position| position.0.conversation_id != conversation_id);
    }

    /// The content of the next frame.
    pub(super) fn take(&mut self) -> Vec<Position> {
        let taken: Vec<_> = self.0.extract_if(|_| true).take(FRAME_POSITIONS_MAX).collect();
        if self.0.is_empty() {
            // An idle session keeps no queue.
            self.0 = HashSet::new();
        }
        let mut positions: Vec<_> = taken.iter().map(|position| Position::clone(&position.0)).collect();
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

impl PartialEq for ByUser {
    fn eq(&self, other: &Self) -> bool {
        self.0.user_id == other.0.user_id && self.0.conversation_id == other.0.conversation_id
    }
}

impl Eq for ByUser {}

impl Hash for ByUser {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.user_id.hash(state);
        self.0.conversation_id.hash(state);
    }
}
