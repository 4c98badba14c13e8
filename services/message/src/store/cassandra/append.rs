//! Appends by a conditional batch on one partition: the condition, the entries and their ids, all or nothing.

use std::sync::Arc;

use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::{CqlTimestamp, CqlValue, MaybeUnset, Row};
use tokio::time::Instant;
use viberchat_kit::fault;

use super::CassandraStore;
use super::effects::Effects;
use super::error::{corrupt, of_append};
use super::known::Known;
use super::row::signed;
use crate::store::{Append, Appended, Record, Result, StoreError};

type Values = Vec<MaybeUnset<CqlValue>>;

impl CassandraStore {
    pub(super) async fn append_entries(&self, append: Append) -> Result<Appended> {
        let known = self.known(append.conversation_id).await?;
        // The condition of an empty bucket says nothing about the one before: only whoever knows that this is the head may
        // open the next one. What is known to be no head needs no write to lose.
        if known.head().seq != append.expected_head {
            let (_, head) = self.current(append.conversation_id).await?;
            if head.seq != append.expected_head {
                return Ok(Appended::Conflict { head: head.seq });
            }
        }
        let effects = Effects::of_append(&append);
        let mut written = 0;
        while written < append.records.len() {
            // A batch never straddles buckets. Its parts go one after the other.
            let bucket = self.buckets.of_seq(append.expected_head + 1 + written as u64);
            let in_bucket = |record: &&Record| self.buckets.of_seq(record.head.seq) == bucket;
            let part = append.records[written..].iter().take_while(in_bucket).count();
            let end = written + part;
            let applied = self
                .write_part(
                    &known,
                    append.expected_head + written as u64,
                    bucket,
                    &append.records[written..end],
                    &effects[written..end],
                )
                .await;
            match applied {
                Ok(true) => known.appended(append.records[end - 1].head),
                Ok(false) if written == 0 => {
                    let (_, head) = self.current(append.conversation_id).await?;
                    return Ok(Appended::Conflict { head: head.seq });
                }
                // A part is stored already, so it is neither a success nor a conflict.
                Ok(false) => return Err(StoreError::OutcomeUnknown("a part of an append is stored".to_owned())),
                Err(StoreError::Unavailable(cause)) if written > 0 => return Err(StoreError::OutcomeUnknown(cause)),
                Err(error) => return Err(error),
            }
            written = end;
        }
        fault::kill_point("message.log_unprojected");
        let projected = self.project_append(&known, &append, &effects).await;
        self.note_due(&known);
        projected.map(|()| Appended::Stored)
    }

    /// State is written before the append is acknowledged. Whoever comes to know that it is not hears of an unknown outcome,
    /// looks at the log, and so has it written.
    async fn project_append(&self, known: &Arc<Known>, append: &Append, effects: &[Effects]) -> Result<()> {
        #[cfg(test)]
        if self.dies_before_projecting {
            return Ok(());
        }
        for (record, effects) in append.records.iter().zip(effects) {
            if known.settled() + 1 != record.head.seq {
                break;
            }
            if let Err(error) = self.project(known, record.head.seq, &record.into(), effects).await {
                return Err(StoreError::OutcomeUnknown(error.to_string()));
            }
        }
        // Somebody else's entries before ours may not be settled yet.
        let last = append.expected_head + append.records.len() as u64;
        let settled = self.settle_to(known, last).await;
        settled.map_err(|error| StoreError::OutcomeUnknown(error.to_string()))
    }

    pub(super) async fn write_part(
        &self,
        known: &Known,
        head: u64,
        bucket: u64,
        records: &[Record],
        effects: &[Effects],
    ) -> Result<bool> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(self.appending.clone()));
        let mut values: Vec<Values> = Vec::with_capacity(2 * records.len() + 1);
        let key = || [uuid(self.key(known.conversation_id)), bigint(bucket)];
        let next = bigint(head + records.len() as u64);
        // Mutant `condition_ignored`: without the condition, two instances write different entries at one place.
        if !fault::mutant("condition_ignored") {
            let [conversation, of_bucket] = key();
            if head + 1 == self.buckets.first(bucket) {
                batch.append_statement(self.statements.opening.clone());
                let now = CqlValue::Timestamp(CqlTimestamp(self.clock.now().millis()));
                values.push(vec![next, MaybeUnset::Set(now), conversation, of_bucket]);
            } else {
                batch.append_statement(self.statements.condition.clone());
                values.push(vec![next, conversation, of_bucket, bigint(head)]);
            }
        }
        for (record, effects) in records.iter().zip(effects) {
            batch.append_statement(self.statements.entry.clone());
            values.push(entry(key(), record, effects));
            if let Some((request_id, fingerprint)) = &record.id {
                batch.append_statement(self.statements.id.clone());
                let id = id_key(record.actor.as_str(), request_id.as_str());
                let [conversation, of_bucket] = key();
                values.push(vec![conversation, of_bucket, text(&id), bigint(record.head.seq), blob(fingerprint)]);
            }
        }
        let begun = Instant::now();
        let result = self.session.batch(&batch, values).await.map_err(|error| of_append(&error))?;
        let applied = is_applied(result)?;
        if applied {
            self.metrics.commit(1, begun.elapsed());
        }
        Ok(applied)
    }
}

/// Where an id stands in section 1. Neither part has control characters.
pub(super) fn id_key(user: &str, request_id: &str) -> String {
    format!("{user}\n{request_id}")
}

fn is_applied(result: QueryResult) -> Result<bool> {
    if !result.is_rows() {
        return Ok(true);
    }
    let rows = result.into_rows_result().map_err(corrupt)?;
    let first: Row = rows.first_row().map_err(corrupt)?;
    match first.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        other => Err(StoreError::OutcomeUnknown(format!("a conditional batch was answered with {other:?}"))),
    }
}

/// Nothing is ever null: what is not there stays unset.
fn entry(key: [MaybeUnset<CqlValue>; 2], record: &Record, effects: &Effects) -> Values {
    let Record { head, kind, target_seq, actor, id, create_time, body, .. } = record;
    let (request_id, fingerprint) = id.as_ref().map(|(request, print)| (request.as_str(), print)).unzip();
    let [conversation, bucket] = key;
    vec![
        conversation,
        bucket,
        bigint(head.seq),
        bigint(head.message_no),
        bigint(head.last_message_seq),
        bigint(head.conversation_version),
        MaybeUnset::Set(CqlValue::Int(i32::try_from(kind.0).unwrap_or(i32::MAX))),
        target_seq.map_or(MaybeUnset::Unset, bigint),
        text(actor.as_str()),
        request_id.map_or(MaybeUnset::Unset, text),
        fingerprint.map_or(MaybeUnset::Unset, |print| blob(print)),
        MaybeUnset::Set(CqlValue::BigInt(create_time.millis())),
        blob(body),
        effects.encode().map_or(MaybeUnset::Unset, |effects| MaybeUnset::Set(CqlValue::Blob(effects))),
    ]
}

fn uuid(value: uuid::Uuid) -> MaybeUnset<CqlValue> {
    MaybeUnset::Set(CqlValue::Uuid(value))
}

fn bigint(value: u64) -> MaybeUnset<CqlValue> {
    MaybeUnset::Set(CqlValue::BigInt(signed(value)))
}

fn text(value: &str) -> MaybeUnset<CqlValue> {
    MaybeUnset::Set(CqlValue::Text(value.to_owned()))
}

fn blob(value: &[u8]) -> MaybeUnset<CqlValue> {
    MaybeUnset::Set(CqlValue::Blob(value.to_vec()))
}
