//! The log on three nodes of Cassandra, each of which is killed and brought back while users chat (C1 to C6).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::task::{block_in_place, spawn_blocking};
use viberchat_engines::CassandraCluster;
use viberchat_tests::{
    cluster::{Settings, Split},
    history::{Counters, Recorder},
    workload::{chat_through, wait_for_an_ack},
};

/// After a node is lost, writes succeed within this time: the driver and the other nodes give it up after seconds.
const RECOVERY_LIMIT: Duration = Duration::from_secs(40);

/// What users do between two blows.
const ACKS_BETWEEN: usize = 60;

/// By how much what is promised in time may be late: eight processes and three databases share a small machine.
const SLACK: Duration = Duration::from_secs(20);

async fn go_on(recorder: &Recorder) -> Result<()> {
    for _ in 0..ACKS_BETWEEN {
        wait_for_an_ack(recorder, RECOVERY_LIMIT).await?;
    }
    Ok(())
}

/// Starting and ending a node blocks.
async fn with(
    nodes: &Arc<Mutex<CassandraCluster>>,
    change: impl FnOnce(&mut CassandraCluster) -> Result<()> + Send + 'static,
) -> Result<()> {
    let nodes = Arc::clone(nodes);
    spawn_blocking(move || change(&mut nodes.lock().unwrap_or_else(PoisonError::into_inner))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_nodes_is_killed_and_comes_back_and_nothing_is_lost_or_doubled() -> Result<()> {
    let settings = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines();
    let Some(settings) = settings else { return Ok(()) };
    let Some(nodes) = block_in_place(CassandraCluster::start)? else { return Ok(()) };
    let split = Split::start_crossed(&settings.on_nodes(&nodes)).await?;
    let (count, nodes) = (nodes.addresses().len(), Arc::new(Mutex::new(nodes)));
    let kills = async |_: &mut Split, recorder: &Recorder| {
        for place in 0..count {
            go_on(recorder).await?;
            with(&nodes, move |nodes| nodes.kill(place)).await?;
            go_on(recorder).await.with_context(|| format!("without node {place}"))?;
            with(&nodes, move |nodes| nodes.restart(place)).await?;
            go_on(recorder).await.with_context(|| format!("node {place} is back"))?;
        }
        Ok(())
    };
    let report = chat_through(split, SLACK, kills).await?;
    report.assert_green(Counters { duplicates: 1, conditions_lost: 1, ..Counters::default() });
    Ok(())
}
