use std::collections::BTreeMap;

use futures::future::try_join_all;
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};

use super::CassandraStore;
use super::effects::parse;
use super::head::limit;
use super::known::Known;
use super::row::{signed, unsigned};
use crate::domain::position::{Mark, Position};
use crate::store::{Overview, PositionSet, PositionSlice, Result};

/// As it is kept.
type Row = (String, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// What is kept of a user: where they stand, and the entry by which they were gone.
#[derive(Clone)]
struct Kept {
    position: Position,
    departed_seq: Option<u64>,
}

impl Kept {
    fn of_row(row: Row) -> Result<Self> {
        let (user, read_seq, read_message_no, delivered_seq, departed_seq) = row;
        let (read_seq, delivered_seq) = (read_seq.map_or(0, unsigned), delivered_seq.map_or(0, unsigned));
        let position = Position {
            user: parse(&user)?,
            read_seq,
            read_message_no: read_message_no.map_or(0, unsigned),
            // What is read is delivered, and not written twice.
            delivered_seq: delivered_seq.max(read_seq),
        };
        Ok(Self { position, departed_seq: departed_seq.map(unsigned) })
    }

    fn of_sent(position: Position) -> Self {
        Self { position, departed_seq: None }
    }

    /// A former member has none. Who comes back starts at the entry of joining, which lies further.
    fn present(self) -> Option<Position> {
        let is_gone = self.departed_seq.is_some_and(|departed| self.position.read_seq <= departed);
        (!is_gone).then_some(self.position)
    }
}

impl CassandraStore {
    /// The position of a user, with what of it is not written yet.
    async fn position_of(&self, known: &Known, user: &UserId) -> Result<Option<Position>> {
        let sent = known.sent(user);
        let parameters = (self.key(known.conversation_id), user.as_str());
        let rows: Vec<Row> = self.rows(&self.statements.position, parameters).await?;
        let kept = rows.into_iter().next().map(Kept::of_row).transpose()?;
        let kept = match (kept, sent) {
            (Some(mut kept), Some(sent)) => {
                kept.position.advance(&sent);
                Some(kept)
            }
            (kept, sent) => kept.or(sent.map(Kept::of_sent)),
        };
        Ok(kept.and_then(Kept::present))
    }

    /// Moves a position.
    pub(super) async fn move_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> Result<PositionSet> {
        // Against the head in the store first: a wrong position could never be taken back.
        let (known, head) = self.settled(conversation_id).await?;
        if mark.seq() > head.seq {
            return Ok(PositionSet::PastHead { head: head.seq });
        }
        let before = match self.position_of(&known, &user).await? {
            Some(position) => position,
            // Of a group each member has one, from the entry of joining on.
            None if head.conversation_version > 0 => return Ok(PositionSet::NoMember),
            None => Position::read(user.clone(), 0, 0),
        };
        let backwards = match mark {
            Mark::Read(_) => fault::mutant("position_backwards"),
            Mark::Delivered(_) => fault::mutant("delivered_backwards"),
        };
        if mark.is_behind(&before) && !backwards {
            return Ok(PositionSet::Set { position: before, moved: false, head });
        }
        let mut position = before;
        match mark {
            Mark::Read(seq) => {
                let read_message_no = self.entry(conversation_id, seq).await?.map_or(0, |row| row.head().message_no);
                let read = Position::read(user, seq, read_message_no);
                if backwards {
                    position = Position { delivered_seq: position.delivered_seq.max(seq), ..read };
                } else {
                    position.advance(&read);
                }
                self.raise(&known, &position).await?;
            }
            Mark::Delivered(seq) => {
                position.delivered_seq = seq;
                let time = self.position_time(&known, seq);
                let parameters = (time, signed(seq), self.key(conversation_id), user.as_str());
                self.write(&self.statements.set_delivered, parameters).await?;
            }
        }
        Ok(PositionSet::Set { position, moved: true, head })
    }

    /// A page of positions by user id.
    pub(super) async fn position_page(
        &self,
        conversation_id: ConversationId,
        after: Option<&UserId>,
        items: usize,
    ) -> Result<PositionSlice> {
        let (known, head) = self.settled(conversation_id).await?;
        // No user id is empty, so all of them come after the empty one.
        let mut after = after.map_or_else(String::new, |user| user.as_str().to_owned());
        let mut positions: Vec<Position> = Vec::new();
        let one_more = items.saturating_add(1);
        loop {
            let waiting = known.all_sent();
            let parameters = (self.key(conversation_id), after.as_str(), limit(one_more));
            let rows: Vec<Row> = self.rows(&self.statements.positions, parameters).await?;
            let is_last = rows.len() < one_more;
            let mut kept = BTreeMap::new();
            for row in rows {
                let row = Kept::of_row(row)?;
                kept.insert(row.position.user.as_str().to_owned(), row);
            }
            let end = kept.last_key_value().map(|(user, _)| user.clone());
            // Those that wait to be written, of the same stretch of users.
            for sent in waiting {
                let user = sent.user.as_str();
                if user > after.as_str() && (is_last || end.as_deref().is_some_and(|end| user <= end)) {
                    match kept.get_mut(user) {
                        Some(kept) => drop(kept.position.advance(&sent)),
                        None => drop(kept.insert(user.to_owned(), Kept::of_sent(sent))),
                    }
                }
            }
            positions.extend(kept.into_values().filter_map(Kept::present));
            match end {
                // Rows of who is gone are read over.
                Some(end) if !is_last && positions.len() <= items => after = end,
                _ => break,
            }
        }
        let more = positions.len() > items;
        positions.truncate(items);
        // They were read after the head, and may have moved on.
        let positions = positions.into_iter().map(|position| position.at_most(&head)).collect();
        Ok(PositionSlice { head, positions, more })
    }

    /// What a user's list shows of these conversations.
    pub(super) async fn overviews_of(
        &self,
        user: &UserId,
        conversations: &[(ConversationId, u64)],
    ) -> Result<Vec<Overview>> {
        let mut overviews = Vec::with_capacity(conversations.len());
        for some in conversations.chunks(super::AT_ONCE) {
            let read = some.iter().map(|(conversation_id, passed)| self.overview(user, *conversation_id, *passed));
            overviews.extend(try_join_all(read).await?);
        }
        Ok(overviews)
    }

    async fn overview(&self, user: &UserId, conversation_id: ConversationId, passed_seq: u64) -> Result<Overview> {
        let (known, head) = self.settled(conversation_id).await?;
        let last = [head.last_message_seq];
        let last_message = self.messages_below(conversation_id, Some(user), head, &last).await?.pop();
        let position = self.position_of(&known, user).await?;
        // Read after the head, it may have moved on.
        let position = position.unwrap_or_else(|| Position::read(user.clone(), 0, 0)).at_most(&head);
        let passed_message_no = match passed_seq {
            passed if passed <= position.read_seq => position.read_message_no,
            passed if passed >= head.seq => head.message_no,
            passed => self.entry(conversation_id, passed).await?.map_or(0, |row| row.head().message_no),
        };
        Ok(Overview { head, last_message, position, passed_message_no })
    }
}
