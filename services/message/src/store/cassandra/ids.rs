//! Looks up which ids a log has, in the rows beside its entries.

use std::collections::HashMap;

use scylla::value::CqlTimestamp;
use viberchat_kit::id::ConversationId;

use super::CassandraStore;
use super::append::id_key;
use super::head::APPEND_MAX;
use super::row::{fingerprint, signed, unsigned};
use crate::domain::dedup::{Found, WriteId};
use crate::domain::head::Head;
use crate::store::{Result, StoreError};

/// How long a row of an id lives.
const IDS_LIVE_MS: i64 = 8 * 24 * 60 * 60 * 1_000;
/// Buckets that one look-up asks.
const BUCKETS_MAX: u64 = 256;
/// How often rows may be found beyond the head that was read.
const READS_MAX: usize = 4;

impl CassandraStore {
    /// Looks ids up in the entries from `from_seq` on.
    pub(super) async fn ids(
        &self,
        conversation_id: ConversationId,
        ids: &[WriteId],
        from_seq: u64,
    ) -> Result<(Head, Vec<Option<Found>>)> {
        for _ in 0..READS_MAX {
            // The head first: what is not found then does not stand at or below it.
            let (_, head) = self.current(conversation_id).await?;
            let found = self.ids_up_to(conversation_id, ids, from_seq, head).await?;
            // A row beyond the head is a hint: the log has moved on, or what wrote it has not ended.
            if found.values().all(|found| found.seq <= head.seq) {
                return Ok((head, ids.iter().map(|id| found.get(&id_key(id)).copied()).collect()));
            }
        }
        Err(StoreError::OutcomeUnknown("an id stands beyond the head".to_owned()))
    }

    async fn ids_up_to(
        &self,
        conversation_id: ConversationId,
        ids: &[WriteId],
        from_seq: u64,
        head: Head,
    ) -> Result<HashMap<String, Found>> {
        let mut found = HashMap::new();
        if head.seq == 0 || ids.is_empty() {
            return Ok(found);
        }
        let keys: Vec<String> = ids.iter().map(id_key).collect();
        let newest = self.buckets.of_seq(head.seq);
        let oldest = if from_seq > head.seq { newest } else { self.buckets.of_seq(from_seq) };
        let dead = self.clock.now().millis() - IDS_LIVE_MS;
        let mut bucket = newest;
        loop {
            found.extend(self.ids_in_bucket(conversation_id, bucket, newest, &keys).await?);
            // Before a bucket that was opened that long ago, no id is left.
            if bucket == oldest || self.is_opened_before(conversation_id, bucket, dead).await? {
                break;
            }
            if newest - bucket + 1 == BUCKETS_MAX {
                return Err(StoreError::IdempotencyWindow);
            }
            bucket -= 1;
        }
        // Of a bucket's last append the entries may be at a quorum and the ids not yet. Older buckets are asked SERIAL, which
        // ends that; here the entries tell.
        let last = usize::try_from(head.seq + 1 - self.buckets.first(newest)).unwrap_or(usize::MAX).min(APPEND_MAX);
        for row in self.entries_down(conversation_id, head.seq, last).await? {
            let Some(request_id) = row.request_id() else { continue };
            let key = format!("{}\n{request_id}", row.actor());
            if keys.contains(&key) {
                found.insert(key, Found { seq: row.seq(), fingerprint: row.fingerprint()? });
            }
        }
        Ok(found)
    }

    async fn ids_in_bucket(
        &self,
        conversation_id: ConversationId,
        bucket: u64,
        newest: u64,
        keys: &[String],
    ) -> Result<Vec<(String, Found)>> {
        let statement = if bucket == newest { &self.statements.ids } else { &self.statements.ids_serial };
        let parameters = (self.key(conversation_id), signed(bucket), keys);
        let rows: Vec<(String, i64, Vec<u8>)> = self.rows(statement, parameters).await?;
        rows.into_iter()
            .map(|(key, seq, print)| Ok((key, Found { seq: unsigned(seq), fingerprint: fingerprint(&print)? })))
            .collect()
    }

    async fn is_opened_before(&self, conversation_id: ConversationId, bucket: u64, millis: i64) -> Result<bool> {
        if bucket == 0 {
            return Ok(true);
        }
        let parameters = (self.key(conversation_id), signed(bucket));
        let rows: Vec<(Option<CqlTimestamp>,)> = self.rows(&self.statements.opened_at, parameters).await?;
        Ok(rows.first().and_then(|(opened_at,)| *opened_at).is_some_and(|opened_at| opened_at.0 < millis))
    }
}
