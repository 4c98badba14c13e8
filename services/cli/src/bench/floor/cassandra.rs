//! The driver alone: the conditional batches that an append is made of, and the read of a page, with nothing around them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlValue, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use viberchat_kit::id::{Entropy as _, SystemEntropy};

use super::super::sample::Latencies;
use super::pages::place;

/// Messages a page.
const PAGE: i32 = 50;
/// A text of 200 bytes with what is around it.
const BODY_BYTES: usize = 210;
/// Entries a batch while the log is made that is read.
const FILL_ENTRIES: usize = 64;

/// What is asked of the engine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    /// Host and port of one node.
    pub(crate) node: String,
    /// Is made, and stays there.
    pub(crate) keyspace: String,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum What {
    /// In each of so many partitions one batch of so many entries after the other.
    Append { partitions: usize, entries: usize },
    /// Random pages of one partition that holds so many messages, so many at once.
    Read { messages: u32, calls: usize },
}

/// Entries or pages a second, and the median time of a batch or a page.
pub(super) fn measure(order: &Order, time: Duration) -> anyhow::Result<(f64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let driver = Driver::connect(order).await?;
        match order.what {
            What::Append { partitions, entries } => driver.append_all(partitions, entries, time).await,
            What::Read { messages, calls } => driver.read_all(messages, calls, time).await,
        }
    })
}

struct Driver {
    session: Session,
    condition: PreparedStatement,
    opening: PreparedStatement,
    entry: PreparedStatement,
    id: PreparedStatement,
    page: PreparedStatement,
}

/// One conversation's newest bucket.
struct Partition {
    id: Uuid,
    head: i64,
}

impl Partition {
    fn random() -> Self {
        let mut id = [0; 16];
        SystemEntropy.fill(&mut id);
        Self { id: Uuid::from_bytes(id), head: 0 }
    }
}

impl Driver {
    async fn connect(order: &Order) -> anyhow::Result<Self> {
        let session = SessionBuilder::new().known_node(&order.node).tcp_nodelay(true).build().await?;
        let table = format!("{}.floor", order.keyspace);
        let keyspace = &order.keyspace;
        session
            .query_unpaged(
                format!(
                    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
                     {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
                ),
                (),
            )
            .await?;
        session
            .query_unpaged(
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (conversation_id uuid, bucket bigint, section tinyint, seq bigint, \
                     key text, head_seq bigint STATIC, opened_at timestamp STATIC, message_no bigint, last_message_seq bigint, \
                     conversation_version bigint, kind int, actor_user_id text, request_id text, fingerprint blob, \
                     create_time_ms bigint, body blob, entry_seq bigint, \
                     PRIMARY KEY ((conversation_id, bucket), section, seq, key)) \
                     WITH CLUSTERING ORDER BY (section ASC, seq ASC, key ASC)"
                ),
                (),
            )
            .await?;
        let prepare = async |text: String| session.prepare(text).await.context("a statement cannot be prepared");
        Ok(Self {
            condition: prepare(format!(
                "UPDATE {table} SET head_seq = ? WHERE conversation_id = ? AND bucket = 0 IF head_seq = ?"
            ))
            .await?,
            opening: prepare(format!(
                "UPDATE {table} SET head_seq = ?, opened_at = ? WHERE conversation_id = ? AND bucket = 0 IF head_seq = null"
            ))
            .await?,
            entry: prepare(format!(
                "INSERT INTO {table} (conversation_id, bucket, section, seq, key, message_no, last_message_seq, \
                 conversation_version, kind, actor_user_id, request_id, fingerprint, create_time_ms, body) \
                 VALUES (?, 0, 0, ?, '', ?, ?, 1, 1, 'a-user', ?, ?, 1700000000000, ?)"
            ))
            .await?,
            id: prepare(format!(
                "INSERT INTO {table} (conversation_id, bucket, section, seq, key, entry_seq, fingerprint) \
                 VALUES (?, 0, 1, 0, ?, ?, ?) USING TTL 691200"
            ))
            .await?,
            page: prepare(format!(
                "SELECT seq, message_no, actor_user_id, create_time_ms, body FROM {table} WHERE conversation_id = ? \
                 AND bucket = 0 AND section = 0 AND seq < ? ORDER BY section DESC, seq DESC, key DESC LIMIT ?"
            ))
            .await?,
            session,
        })
    }

    async fn append_all(&self, partitions: usize, entries: usize, time: Duration) -> anyhow::Result<(f64, f64)> {
        let start = Instant::now();
        let appending = (0..partitions).map(async |_| {
            let mut partition = Partition::random();
            let mut latencies = Latencies::new();
            while start.elapsed() < time {
                let begun = Instant::now();
                self.append(&mut partition, entries).await?;
                latencies.record(begun.elapsed());
            }
            anyhow::Ok((partition.head, latencies))
        });
        let appended = try_join_all(appending).await?;
        let took = start.elapsed().as_secs_f64();
        let (mut stored, mut latencies) = (0, Latencies::new());
        for (head, of_partition) in appended {
            stored += head;
            latencies.add(&of_partition);
        }
        Ok((stored as f64 / took, latencies.percentile_ms(50.0)))
    }

    /// The condition, the entries and their ids, all or nothing.
    async fn append(&self, partition: &mut Partition, entries: usize) -> anyhow::Result<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        let mut values: Vec<Vec<CqlValue>> = Vec::with_capacity(2 * entries + 1);
        let (id, head) = (CqlValue::Uuid(partition.id), partition.head);
        let next = CqlValue::BigInt(head + entries as i64);
        if head == 0 {
            batch.append_statement(self.opening.clone());
            values.push(vec![next, CqlValue::Timestamp(CqlTimestamp(1_700_000_000_000)), id.clone()]);
        } else {
            batch.append_statement(self.condition.clone());
            values.push(vec![next, id.clone(), CqlValue::BigInt(head)]);
        }
        for seq in head + 1..=head + entries as i64 {
            let (key, print) = (CqlValue::Text(format!("a-user\n0-{seq}")), CqlValue::Blob(vec![b'p'; 16]));
            let seq = CqlValue::BigInt(seq);
            batch.append_statement(self.entry.clone());
            let body = CqlValue::Blob(vec![b'x'; BODY_BYTES]);
            values.push(vec![id.clone(), seq.clone(), seq.clone(), seq.clone(), key.clone(), print.clone(), body]);
            batch.append_statement(self.id.clone());
            values.push(vec![id.clone(), key, seq, print]);
        }
        let answer = self.session.batch(&batch, values).await?.into_rows_result()?;
        let first: Row = answer.first_row()?;
        let applied = matches!(first.columns.first(), Some(Some(CqlValue::Boolean(true))));
        anyhow::ensure!(applied, "nobody else writes here, and the condition did not hold");
        partition.head += entries as i64;
        Ok(())
    }

    async fn read_all(&self, messages: u32, calls: usize, time: Duration) -> anyhow::Result<(f64, f64)> {
        // The same in each run of a keyspace, so that it is made once.
        let mut partition = Partition { id: Uuid::from_u128(7), head: 0 };
        if self.read(partition.id, i64::MAX).await? == 0 {
            while partition.head < i64::from(messages) {
                self.append(&mut partition, FILL_ENTRIES).await?;
            }
        }
        let (start, id) = (Instant::now(), partition.id);
        let reading = (0..calls).map(async |call| {
            let (mut turn, mut latencies) = (u32::try_from(call)?, Latencies::new());
            while start.elapsed() < time {
                let begun = Instant::now();
                let rows = self.read(id, place(turn, messages).into()).await?;
                anyhow::ensure!(rows == PAGE as usize, "a page of {rows}");
                latencies.record(begun.elapsed());
                turn += u32::try_from(calls)?;
            }
            anyhow::Ok(latencies)
        });
        let mut latencies = Latencies::new();
        try_join_all(reading).await?.iter().for_each(|of_call| latencies.add(of_call));
        Ok((latencies.count() as f64 / start.elapsed().as_secs_f64(), latencies.percentile_ms(50.0)))
    }

    /// How many rows came.
    async fn read(&self, id: Uuid, before: i64) -> anyhow::Result<usize> {
        let answer = self.session.execute_unpaged(&self.page, (id, before, PAGE)).await?.into_rows_result()?;
        let mut rows = 0;
        for row in answer.rows::<(i64, i64, String, i64, Vec<u8>)>()? {
            row?;
            rows += 1;
        }
        Ok(rows)
    }
}
