//! Without the store nothing is acknowledged, the caller hears it early, reads go on, and so do sends when it is back (C14).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::Connection;
use viberchat_tests::{
    client::{Attempt, socket::Encoding},
    history::{Action, Answer, Counters, Door, Outage, text_with},
};

use super::Stage;

/// How long the store is held.
const AWAY: Duration = Duration::from_secs(4);

/// After this a caller knows that the store is away.
const EARLY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_nothing_is_acknowledged_and_the_caller_hears_it_early() -> Result<()> {
    let stage = Stage::open(Encoding::Binary).await?;
    let ann = stage.online("ann").await?;
    let group = ann.create_group(Door::Socket, &[], "group").await?;
    let attempt = |number: u64| Attempt {
        conversation: group.clone(),
        request_id: format!("send {number}"),
        known_seq: Some(1),
        action: Action::send(text_with(number, 20)),
    };
    ensure!(matches!(ann.attempt(Door::Socket, &attempt(1)).await, Answer::Stored { .. }), "all is well at first");
    // Somebody else holds the file: nobody else can write to it.
    let holder = Connection::open(stage.server.settings().message_file())?;
    holder.busy_timeout(EARLY)?;
    holder.execute_batch("BEGIN IMMEDIATE")?;
    let begun = stage.recorder.now();
    let held = async {
        tokio::time::sleep(AWAY).await;
        let ended = stage.recorder.now();
        holder.execute_batch("ROLLBACK").map(|()| Outage { begun, ended })
    };
    let calls = async {
        let mut answers = Vec::new();
        for (number, door) in [(2, Door::Socket), (3, Door::Http), (4, Door::Grpc)] {
            let start = Instant::now();
            answers.push((number, ann.attempt(door, &attempt(number)).await, start.elapsed()));
        }
        answers
    };
    let reading = ann.list_newest(Door::Grpc, &group, 10);
    let (outage, answers, read) = tokio::join!(held, calls, reading);
    stage.recorder.outage(outage?);
    ensure!(read?.len() == 1, "what is stored can be read");
    for (number, answer, waited) in &answers {
        ensure!(*waited < EARLY, "send {number} waited {waited:?} for {answer:?}");
    }
    // All ids come to an end now, each once.
    for number in 2..=4 {
        let start = Instant::now();
        while !matches!(ann.attempt(Door::Socket, &attempt(number)).await, Answer::Stored { .. }) {
            ensure!(start.elapsed() < EARLY, "the store is back, send {number} is not taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let conversation = group.clone();
    let (history, report) = stage.close(&[(&ann, &[&conversation])]).await?;
    report.assert_green(Counters::default());
    let stored = history.scan.map_or(0, |scan| scan.entries.len());
    ensure!(stored == 5, "the group and four messages: {stored}");
    Ok(())
}
