//! First contacts from both sides, through two instances of the conversation service on PostgreSQL of which one dies: one direct a pair (C8).

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use viberchat_tests::{
    client::Client,
    cluster::{Server, Settings, Split},
    history::{self, Counters, Door, Recorder},
    workload::size_from_environment,
};

/// Calls at the same time for each pair, half of them from each side.
const CALLS_A_PAIR: usize = 64;

/// Pairs at the same time.
const PAIRS_AT_ONCE: usize = 4;

/// How often an instance dies.
const DEATHS: usize = 4;

/// A call that is not answered by then never will be.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_first_contacts_through_two_instances_make_one_direct() -> Result<()> {
    let Some(settings) = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.on_engines() else {
        return Ok(());
    };
    let pairs: usize = size_from_environment("VIBERCHAT_TEST_PAIRS", 200);
    let mut split = Split::start_crossed(&settings).await?;
    let (recorder, done) = (Recorder::default(), AtomicUsize::new(0));
    let (conversation, gateways) = (&mut split.conversation, [&split.gateway, split.others.last().expect("the other")]);
    let racing = async {
        let mut directs = BTreeSet::new();
        for first in (0..pairs).step_by(PAIRS_AT_ONCE) {
            let some = first..pairs.min(first + PAIRS_AT_ONCE);
            let count = some.len();
            directs.extend(try_join_all(some.map(|pair| race_of_a_pair(gateways, pair, &recorder))).await?);
            done.fetch_add(count, Ordering::Relaxed);
        }
        anyhow::Ok(directs)
    };
    let dying = die_in_between(conversation, pairs, &done, &recorder);
    let (directs, ()) = tokio::try_join!(racing, dying)?;
    ensure!(directs.len() == pairs, "{} directs of {pairs} pairs", directs.len());
    history::check(&recorder.history()).assert_green(Counters::default());
    Ok(())
}

/// Kills the instance several times, spread over the run.
async fn die_in_between(server: &mut Server, pairs: usize, done: &AtomicUsize, recorder: &Recorder) -> Result<()> {
    for death in 1..=DEATHS {
        let start = Instant::now();
        while done.load(Ordering::Relaxed) < pairs * death / (DEATHS + 1) {
            ensure!(start.elapsed() < 2 * PATIENCE, "no pair comes to an end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill(recorder).await?;
        server.restart().await?;
    }
    Ok(())
}

async fn race_of_a_pair(gateways: [&Server; 2], pair: usize, recorder: &Recorder) -> Result<String> {
    let names = [format!("ann-{pair}"), format!("bob-{pair}")];
    let sides = [Client::new(gateways[0], &names[0], recorder)?, Client::new(gateways[1], &names[1], recorder)?];
    let calls = (0..CALLS_A_PAIR).map(|call| {
        let side = call % 2;
        // One HTTP connection a user: most go by gRPC, where they are truly at once.
        let door = if call % 16 < 2 { Door::Http } else { Door::Grpc };
        start_direct(&sides[side], door, &names[1 - side])
    });
    let found: BTreeSet<String> = try_join_all(calls).await?.into_iter().collect();
    ensure!(found.len() == 1, "pair {pair} got {found:?}");
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Asks again while the instance is away.
async fn start_direct(client: &Client, door: Door, peer: &str) -> Result<String> {
    let start = Instant::now();
    loop {
        match client.start_direct(door, peer).await {
            Ok(direct) => return Ok(direct),
            Err(refusal) => ensure!(start.elapsed() < PATIENCE, "{peer}: {refusal}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
