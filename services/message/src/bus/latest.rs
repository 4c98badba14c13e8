//! The latest positions that subscribers were told of. News of positions overtake each other on their way from other
//! instances, and what was told is never taken back.

use std::collections::{HashMap, VecDeque};

use viberchat_kit::id::{ConversationId, UserId};

use crate::domain::position::Position;

/// Positions that are remembered in a shard. What comes late comes within seconds: those that moved last are enough.
const POSITIONS_MAX: usize = 1_024;

type Key = (ConversationId, UserId);

/// See the module.
#[derive(Default)]
pub(super) struct Latest {
    positions: HashMap<Key, Position>,
    /// The keys of `positions`; the first is forgotten first.
    order: VecDeque<Key>,
}

impl Latest {
    /// What there is to tell when this comes: the furthest that is known. `None`: it was told.
    pub(super) fn advance(&mut self, conversation_id: ConversationId, position: &Position) -> Option<Position> {
        let key = (conversation_id, position.user.clone());
        if let Some(known) = self.positions.get_mut(&key) {
            return known.advance(position).then(|| known.clone());
        }
        if self.order.len() == POSITIONS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.positions.remove(&first);
        }
        self.order.push_back(key.clone());
        self.positions.insert(key, position.clone());
        Some(position.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut latest = Latest::default();
        let user = UserId::parse("alice").unwrap();
        let id = |number: usize| ConversationId::from_bytes((number as u128).to_be_bytes());
        for number in 0..POSITIONS_MAX * 3 {
            assert!(latest.advance(id(number), &Position::read(user.clone(), 2, 2)).is_some());
        }
        assert_eq!((latest.positions.len(), latest.order.len()), (POSITIONS_MAX, POSITIONS_MAX));
        let late = Position::read(user, 1, 1);
        assert!(latest.advance(id(POSITIONS_MAX * 3 - 1), &late).is_none());
    }
}
