//! Every message is sent four times through as many instances, which die between the append and the answer: each stands in the log once (C2).

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use viberchat_tests::{client::Attempt, cluster::Settings, history::Counters, workload::size_from_environment};

use super::writers::{INSTANCES, Race, Writer, die_and_restart, settings};

/// Sends at once.
const AT_ONCE: usize = 64;

/// Messages between the first try of one and its retries: five of the small buckets.
const BETWEEN: u64 = 320;

/// Small buckets hold 64 entries.
const SMALL_BUCKET_SHIFT: u32 = 6;

/// Retries of each message, every one at the next instance.
const RETRIES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn sends_that_are_retried_through_instances_that_die_are_stored_once() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    retry_all(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_that_are_retried_when_four_buckets_have_passed_are_stored_once() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    retry_all(&settings.bucket_shift(SMALL_BUCKET_SHIFT)).await
}

async fn retry_all(settings: &Settings) -> Result<()> {
    let sends: u64 = size_from_environment("VIBERCHAT_TEST_SENDS", 2_000);
    let mut race = Race::open(settings).await?;
    let (writers, messages, recorder) = (&race.writers, &mut race.peers.messages, &race.recorder);
    let over = AtomicBool::new(false);
    let sending = async {
        let sent = send_all(writers, sends).await;
        over.store(true, Ordering::Relaxed);
        sent
    };
    let dying = async {
        for death in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let server = &mut messages[death % INSTANCES];
            die_and_restart(server, death, recorder, &over).await.context("an instance that dies")?;
        }
        anyhow::Ok(())
    };
    let (sent, died) = tokio::join!(sending, dying);
    sent?;
    died?;
    let report = race.close(sends as usize).await?;
    // The first retry may be the one that is stored.
    report.assert_green(Counters { duplicates: sends * (RETRIES as u64 - 1), ..Counters::default() });
    Ok(())
}

/// Sends all, and what was sent again when as many others have been sent.
async fn send_all(writers: &[Writer], sends: u64) -> Result<()> {
    let mut before: Vec<(usize, &Writer, Attempt)> = Vec::new();
    let numbers: Vec<u64> = (0..sends).collect();
    for some in numbers.chunks(BETWEEN as usize) {
        let attempts: Vec<_> = some
            .iter()
            .map(|number| {
                let writer = &writers[*number as usize % writers.len()];
                (*number as usize, writer, writer.attempt(*number))
            })
            .collect();
        let tries = attempts.iter().map(async |(instance, writer, attempt)| {
            // Whether it was stored is not asked: it is sent again all the same.
            drop(writer.attempt_at(*instance, attempt).await);
        });
        stream::iter(tries).buffer_unordered(AT_ONCE).collect::<()>().await;
        retry(&before).await?;
        before = attempts;
    }
    retry(&before).await
}

async fn retry(attempts: &[(usize, &Writer, Attempt)]) -> Result<()> {
    let retries = attempts.iter().map(async |(instance, writer, attempt)| {
        for retry in 1..=RETRIES {
            writer.carry_through(instance + retry, attempt).await?;
        }
        anyhow::Ok(())
    });
    stream::iter(retries).buffer_unordered(AT_ONCE).try_collect().await
}
