//! Finds the head of a log: the last row of an unbroken run.
//!
//! What lies behind a hole does not exist yet: a commit that has reached one replica only may show some of its cells first.
//! On a hole one SERIAL read ends whatever is under way, then the rows are read again.

use std::sync::Arc;

use viberchat_kit::id::ConversationId;

use super::CassandraStore;
use super::known::Known;
use super::row::{EntryRow, signed, unsigned};
use crate::domain::head::Head;
use crate::store::{Result, StoreError};

/// Entries of one append. A constant of the format: a longer run than this at the end of a bucket begins below its last
/// append, and what an append wrote before the last one is whole at a quorum.
pub(super) const APPEND_MAX: usize = 64;
/// Rows of one read of a log.
pub(super) const PAGE: usize = 2 * APPEND_MAX + 1;

/// Rows of one bucket, and what they show.
struct Run {
    /// Contiguous.
    rows: Vec<EntryRow>,
    /// There is more after them, maybe.
    is_full: bool,
}

impl CassandraStore {
    /// The log's head now, read from the store, by one read for all who asked before it began.
    pub(super) async fn current(&self, conversation_id: ConversationId) -> Result<(Arc<Known>, Head)> {
        let known = self.known(conversation_id).await?;
        known.readers.ask(self.learn_end(&known)).await?;
        let head = known.head();
        Ok((known, head))
    }

    async fn learn_end(&self, known: &Arc<Known>) -> Result<()> {
        loop {
            let (rows, more) = self.rows_after(known.conversation_id, known.head().seq).await?;
            known.learn(&rows)?;
            if !rows.is_empty() {
                self.note_due(known);
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The head, and all that its entries do to messages and members is written: for reads that show it.
    pub(super) async fn settled(&self, conversation_id: ConversationId) -> Result<(Arc<Known>, Head)> {
        let (known, head) = self.current(conversation_id).await?;
        self.settle_to(&known, head.seq).await?;
        Ok((known, head))
    }

    /// What is known of a log; loaded if nothing is.
    pub(super) async fn known(&self, conversation_id: ConversationId) -> Result<Arc<Known>> {
        let loaded = self.logs.try_get_with(conversation_id, self.load(conversation_id)).await;
        loaded.map_err(|error: Arc<StoreError>| (*error).clone())
    }

    /// Rows that follow a verified place, as many as one read gives. Whether there may be more.
    async fn rows_after(&self, conversation_id: ConversationId, from: u64) -> Result<(Vec<EntryRow>, bool)> {
        let buckets = self.buckets;
        // A full bucket does not change: what comes after it begins the next one.
        let mut bucket = buckets.of_seq(from.max(1));
        let is_end = from == buckets.last(bucket);
        if is_end {
            bucket += 1;
        }
        // Not from the place after it on: a slice without rows would not give the condition either.
        let start = if from == 0 || is_end { buckets.first(bucket) } else { from };
        let run = self.run_up(conversation_id, bucket, start).await?;
        let ends_bucket = run.rows.last().is_some_and(|row| row.seq() == buckets.last(bucket));
        let rows: Vec<EntryRow> = run.rows.into_iter().filter(|row| row.seq() > from).collect();
        let more = !rows.is_empty() && (run.is_full || ends_bucket);
        Ok((rows, more))
    }

    async fn run_up(&self, conversation_id: ConversationId, bucket: u64, start: u64) -> Result<Run> {
        let mut run = self.read_up(conversation_id, bucket, start, false).await?;
        if run.1 {
            self.read_up(conversation_id, bucket, start, true).await?;
            run = self.read_up(conversation_id, bucket, start, false).await?;
        }
        Ok(run.0)
    }

    /// An unbroken run, and whether there is a hole behind it.
    async fn read_up(
        &self,
        conversation_id: ConversationId,
        bucket: u64,
        start: u64,
        serial: bool,
    ) -> Result<(Run, bool)> {
        let statement = if serial { &self.statements.entries_up_serial } else { &self.statements.entries_up };
        let parameters = (self.key(conversation_id), signed(bucket), signed(start), limit(PAGE));
        let mut rows: Vec<EntryRow> = self.rows(statement, parameters).await?;
        let read = rows.len();
        let unbroken = rows.iter().zip(start..).take_while(|(row, seq)| row.seq() == *seq).count();
        rows.truncate(unbroken);
        let is_full = read == PAGE;
        let last = rows.last().map_or(start.saturating_sub(1), EntryRow::seq);
        // The condition was read with the rows; where it is further than they are, some of them are not to be seen yet.
        let condition = rows.last().and_then(EntryRow::condition);
        let is_behind = !is_full && condition.is_some_and(|condition| condition > last);
        let has_hole = unbroken < read || is_behind;
        Ok((Run { rows, is_full: is_full && unbroken == read }, has_hole))
    }

    /// Finds the newest bucket by its hint and walks from there.
    async fn load(&self, conversation_id: ConversationId) -> Result<Arc<Known>> {
        let (mut bucket, projected, generation) = self.hints(conversation_id).await?;
        let mut below = Head::default();
        let head = loop {
            match self.last_of_bucket(conversation_id, bucket).await? {
                Some(head) if head.seq == self.buckets.last(bucket) => {
                    below = head;
                    bucket += 1;
                }
                Some(head) => break head,
                // The one before was full, so this one is not open yet.
                None if below.seq > 0 => break below,
                None if bucket == 0 => break Head::default(),
                // A hint without a bucket: go back. What is before it is full, or empty too.
                None => {
                    bucket -= 1;
                    if let Some(head) = self.last_of_bucket(conversation_id, bucket).await? {
                        break head;
                    }
                }
            }
        };
        Ok(Known::new(conversation_id, generation, head, projected))
    }

    /// The newest bucket, how far projections are written, and the generation: all may lag.
    pub(super) async fn hints(&self, conversation_id: ConversationId) -> Result<(u64, u64, u64)> {
        type Hints = (Option<i64>, Option<i64>, Option<i64>);
        let rows: Vec<Hints> = self.rows(&self.statements.tail, (self.key(conversation_id),)).await?;
        let (bucket, projected, generation) = rows.into_iter().next().unwrap_or_default();
        Ok((bucket.map_or(0, unsigned), projected.map_or(0, unsigned), generation.map_or(1, unsigned)))
    }

    async fn last_of_bucket(&self, conversation_id: ConversationId, bucket: u64) -> Result<Option<Head>> {
        let (mut head, has_hole) = self.read_down(conversation_id, bucket, false).await?;
        if has_hole {
            self.read_down(conversation_id, bucket, true).await?;
            (head, _) = self.read_down(conversation_id, bucket, false).await?;
        }
        Ok(head)
    }

    async fn read_down(
        &self,
        conversation_id: ConversationId,
        bucket: u64,
        serial: bool,
    ) -> Result<(Option<Head>, bool)> {
        let statement = if serial { &self.statements.entries_down_serial } else { &self.statements.entries_down };
        let from = self.buckets.last(bucket);
        let parameters = (self.key(conversation_id), signed(bucket), signed(from), limit(APPEND_MAX + 1));
        let mut rows: Vec<EntryRow> = self.rows(statement, parameters).await?;
        rows.reverse();
        let Some(lowest) = rows.first().map(EntryRow::seq) else { return Ok((None, false)) };
        // Fewer rows than asked for are all that there are, from the bucket's first one on.
        if rows.len() <= APPEND_MAX && lowest != self.buckets.first(bucket) {
            return Ok((None, true));
        }
        let unbroken = rows.iter().zip(lowest..).take_while(|(row, seq)| row.seq() == *seq).count();
        let is_whole = unbroken == rows.len();
        let last = &rows[unbroken - 1];
        let has_hole = !is_whole || last.condition() != Some(last.seq());
        Ok((Some(last.head()), has_hole))
    }
}

/// For a parameter of `LIMIT`.
pub(super) fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
