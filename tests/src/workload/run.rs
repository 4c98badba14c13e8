//! A workload from the first call to the verdict.

use std::{
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Crowd, Plan};
use crate::{
    cluster::{Server, Split},
    history::{self, Recorder, Report, scan_store},
};

/// A folder in which the history is kept, of green runs too.
const KEEP_VARIABLE: &str = "VIBERCHAT_TEST_KEEP_HISTORY";

/// Lets the users of a plan chat on the servers, which share one store, and judges what they saw.
///
/// # Errors
/// If the servers do not let them, or cannot be stopped.
pub async fn chat_and_judge(plan: &Plan, servers: &mut [Server]) -> Result<Report> {
    let recorder = Recorder::default();
    let all: Vec<&Server> = servers.iter().collect();
    let mut crowd = Crowd::gather(plan, &all, &recorder).await.context("the beginning")?;
    crowd.chat().await;
    judge(crowd, servers, &recorder).await
}

/// Lets users chat on services apart for as long as something is done to these, and judges what they saw. What is promised in time
/// may be late by `slack`.
///
/// # Errors
/// If what is done cannot be, or the servers do not let the users or cannot be stopped.
pub async fn chat_through(
    mut split: Split,
    slack: Duration,
    done: impl AsyncFnOnce(&mut Split, &Recorder) -> Result<()>,
) -> Result<Report> {
    let recorder = Recorder::default();
    recorder.allow(slack);
    let plan = Plan { steps: usize::MAX, ..Plan::default() };
    let mut crowd = Crowd::gather(&plan, &split.gateways(), &recorder).await.context("the beginning")?;
    let stop = crowd.stopper();
    let doing = async {
        let done = done(&mut split, &recorder).await;
        stop.store(true, Ordering::Relaxed);
        done
    };
    let ((), done) = tokio::join!(crowd.chat(), doing);
    done?;
    judge(crowd, &mut split.into_servers(), &recorder).await
}

/// Waits until a write was acknowledged that was not before.
///
/// # Errors
/// If none is within the time.
pub async fn wait_for_an_ack(recorder: &Recorder, limit: Duration) -> Result<()> {
    let (start, before) = (Instant::now(), recorder.acks());
    while recorder.acks() == before {
        ensure!(start.elapsed() < limit, "no write succeeds for {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until all is quiet, reads everything, stops the servers, scans their files and judges.
///
/// # Errors
/// If the servers cannot be read from or stopped. The history is then kept in their folder.
pub async fn judge(mut crowd: Crowd, servers: &mut [Server], recorder: &Recorder) -> Result<Report> {
    let settled = crowd.settle().await;
    let report = match settled {
        Ok(()) => {
            for server in servers.iter_mut() {
                recorder.count(server.counters().await?);
                server.stop(recorder).await?;
            }
            let settings = servers[0].settings();
            if settings.has_files() {
                recorder.scan(scan_store(&settings.data_folder(), true)?);
            }
            Ok(history::check(&recorder.history()))
        }
        Err(error) => Err(error),
    };
    let wanted = std::env::var_os(KEEP_VARIABLE);
    if wanted.is_some() || report.as_ref().map_or(true, |report| !report.anomalies.is_empty()) {
        let folder = wanted.clone().map_or_else(|| servers[0].settings().folder().to_owned(), PathBuf::from);
        let path = folder.join("history.json");
        if wanted.is_none() {
            servers[0].settings().keep();
        }
        recorder.save(&path)?;
        println!("the history: {}", path.display());
    }
    report.context("the end")
}
