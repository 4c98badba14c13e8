use viberchat_kit::id::ConversationId;

use super::CassandraStore;
use super::head::{PAGE, limit};
use super::row::{EntryRow, signed};
use crate::domain::head::Head;
use crate::store::{LogSlice, ReadLimit, Result, StoreError};

impl CassandraStore {
    /// Entries from `from` to `to`, which is verified: a page of them, from one bucket.
    pub(super) async fn entries(
        &self,
        conversation_id: ConversationId,
        from: u64,
        to: u64,
        max: usize,
    ) -> Result<Vec<EntryRow>> {
        let bucket = self.buckets.of_seq(from);
        let to = to.min(self.buckets.last(bucket));
        let wanted = usize::try_from((to + 1).saturating_sub(from)).unwrap_or(usize::MAX).min(max);
        let parameters = (self.key(conversation_id), signed(bucket), signed(from), limit(wanted));
        let rows: Vec<EntryRow> = self.rows(&self.statements.entries_up, parameters).await?;
        let is_whole = rows.len() == wanted && rows.iter().zip(from..).all(|(row, seq)| row.seq() == seq);
        if is_whole { Ok(rows) } else { Err(missing(from, wanted)) }
    }

    /// Entries down from `from`, which is verified: a page of them, from one bucket.
    pub(super) async fn entries_down(
        &self,
        conversation_id: ConversationId,
        from: u64,
        max: usize,
    ) -> Result<Vec<EntryRow>> {
        let bucket = self.buckets.of_seq(from);
        let wanted = usize::try_from(from + 1 - self.buckets.first(bucket)).unwrap_or(usize::MAX).min(max);
        let parameters = (self.key(conversation_id), signed(bucket), signed(from), limit(wanted));
        let rows: Vec<EntryRow> = self.rows(&self.statements.entries_down, parameters).await?;
        let is_whole = rows.len() == wanted && rows.iter().zip((0..=from).rev()).all(|(row, seq)| row.seq() == seq);
        if is_whole { Ok(rows) } else { Err(missing(from, wanted)) }
    }

    /// The entry at a verified place.
    pub(super) async fn entry(&self, conversation_id: ConversationId, seq: u64) -> Result<Option<EntryRow>> {
        if seq == 0 {
            return Ok(None);
        }
        Ok(self.entries(conversation_id, seq, seq, 1).await?.pop())
    }

    /// The entries after a place.
    pub(super) async fn log_after(
        &self,
        conversation_id: ConversationId,
        after_seq: u64,
        limit: ReadLimit,
    ) -> Result<LogSlice> {
        let (_, head) = self.settled(conversation_id).await?;
        self.log_up_to(conversation_id, head, after_seq, limit).await
    }

    /// The last entries.
    pub(super) async fn log_tail(&self, conversation_id: ConversationId, entries: usize) -> Result<LogSlice> {
        let (_, head) = self.settled(conversation_id).await?;
        let below = head.seq.saturating_sub(u64::try_from(entries).unwrap_or(u64::MAX));
        self.log_up_to(conversation_id, head, below, ReadLimit { items: entries, bytes: usize::MAX }).await
    }

    async fn log_up_to(
        &self,
        conversation_id: ConversationId,
        head: Head,
        after_seq: u64,
        limit: ReadLimit,
    ) -> Result<LogSlice> {
        let mut records = Vec::new();
        let (mut last, mut bytes) = (after_seq, 0);
        while last < head.seq && records.len() < limit.items {
            let wanted = (limit.items - records.len()).min(PAGE);
            for row in self.entries(conversation_id, last + 1, head.seq, wanted).await? {
                bytes += row.body().len();
                if bytes > limit.bytes && !records.is_empty() {
                    return Ok(LogSlice { head, records });
                }
                last = row.seq();
                records.push(row.into_record()?);
            }
        }
        Ok(LogSlice { head, records })
    }

    /// The place of the system entry with this version: every entry carries the version, which never falls, so it is found
    /// by halving. Rare: a relay that comes again.
    pub(super) async fn version_seq(&self, conversation_id: ConversationId, version: u64) -> Result<Option<u64>> {
        let (_, head) = self.current(conversation_id).await?;
        if version == 0 || version > head.conversation_version {
            return Ok(None);
        }
        let (mut low, mut high) = (1, head.seq);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(conversation_id, middle).await? {
                Some(row) if row.head().conversation_version < version => low = middle + 1,
                Some(_) => high = middle,
                None => return Err(missing(middle, 1)),
            }
        }
        let found = self.entry(conversation_id, low).await?;
        Ok(found.filter(|row| row.head().conversation_version == version).map(|row| row.seq()))
    }
}

fn missing(from: u64, rows: usize) -> StoreError {
    StoreError::Corrupt(format!("of {rows} entries at {from} below the head some are missing"))
}
