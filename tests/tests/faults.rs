//! Processes are killed under load. What was acknowledged is there afterwards, once; what was not may be, once.
//!
//! The stores run on the file layer that forgets what was not synced, so that a kill is as good as a power cut.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use viberchat_tests::{
    cluster::{Server, Settings},
    history::{self, Check, Counters, Recorder, Report},
    workload::{Crowd, Plan, judge, size_from_environment, wait_for_an_ack},
};

/// A server that was armed dies soon under load.
const DEATH_LIMIT: Duration = Duration::from_secs(60);

/// After a restart the next write must succeed within this time.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

fn settings() -> Result<Settings> {
    Ok(Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.unsynced())
}

/// No step ends a run: whoever kills says when it is over.
fn endless() -> Plan {
    Plan { steps: usize::MAX, ..Plan::default() }
}

/// Runs the load on a server that dies at the nth pass of a kill point, restarts it, goes on for a while, and judges.
async fn die_at(point: &str, pass: u32) -> Result<Report> {
    let armed = settings()?.kill_point(point, pass);
    let recorder = Recorder::default();
    let mut server = Server::start(&armed).await?;
    let mut crowd = Crowd::gather(&endless(), &[&server], &recorder).await?;
    let stop = crowd.stopper();
    let killed = async {
        server.wait_for_death(DEATH_LIMIT, &recorder).await?;
        server.set_settings(armed.unfaulted());
        server.restart().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let ((), killed) = tokio::join!(crowd.chat(), killed);
    killed?;
    judge(crowd, &mut [server], &recorder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_commit_before_the_ack_nothing_is_lost_or_doubled() -> Result<()> {
    let report = die_at("message.log_committed", 150).await?;
    report.assert_green(Counters { duplicates: 1, resumed: 1, ..Counters::default() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_membership_commit_before_the_relay_the_entry_comes_all_the_same() -> Result<()> {
    // The first passes make the groups.
    let report = die_at("conversation.change_committed", 8).await?;
    report.assert_green(Counters { resumed: 1, ..Counters::default() });
    Ok(())
}

/// Kills at random under load. A store that `keeps` its promises takes writes again soon after each restart.
async fn kill_at_random(settings: &Settings, plan: &Plan, kills: u32, keeps: bool) -> Result<Report> {
    let recorder = Recorder::default();
    let mut server = Server::start(settings).await?;
    let mut crowd = Crowd::gather(plan, &[&server], &recorder).await?;
    let stop = crowd.stopper();
    let mut rng = SmallRng::seed_from_u64(plan.seed);
    let killing = async {
        let killed = async {
            for _ in 0..kills {
                tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
                server.kill(&recorder).await?;
                server.restart().await?;
                if keeps {
                    wait_for_an_ack(&recorder, RECOVERY_LIMIT).await?;
                }
            }
            anyhow::Ok(())
        };
        let killed = killed.await;
        stop.store(true, Ordering::Relaxed);
        killed
    };
    let ((), killed) = tokio::join!(crowd.chat(), killing);
    killed?;
    if keeps {
        return judge(crowd, &mut [server], &recorder).await;
    }
    // Without syncs not even a stop leaves anything in the files.
    crowd.settle().await?;
    Ok(history::check(&recorder.history()))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_fifty_times_under_load_nothing_is_lost_doubled_or_missing() -> Result<()> {
    let kills = size_from_environment("VIBERCHAT_TEST_KILLS", 50);
    let report = kill_at_random(&settings()?, &endless(), kills, true).await?;
    report.assert_green(Counters { duplicates: 10, resumed: u64::from(kills), ..Counters::default() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_sync_is_found_out() -> Result<()> {
    let plan = Plan { churn: false, sessions: false, ..endless() };
    let report = kill_at_random(&settings()?.synchronous("OFF"), &plan, 3, false).await?;
    assert!(report.broken().contains(&Check::C1), "acknowledged writes were lost, unseen: {report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stood_still_goes_on() -> Result<()> {
    let recorder = Recorder::default();
    let server = Server::start(&settings()?).await?;
    let mut crowd = Crowd::gather(&endless(), &[&server], &recorder).await?;
    let stop = crowd.stopper();
    let pausing = async {
        let paused = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                server.pause()?;
                tokio::time::sleep(Duration::from_millis(700)).await;
                server.resume()?;
                wait_for_an_ack(&recorder, RECOVERY_LIMIT).await?;
            }
            anyhow::Ok(())
        };
        let paused = paused.await;
        stop.store(true, Ordering::Relaxed);
        paused
    };
    let ((), paused) = tokio::join!(crowd.chat(), pausing);
    paused?;
    judge(crowd, &mut [server], &recorder).await?.assert_green(Counters::default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_said_and_every_session_resumes_with_all_it_missed() -> Result<()> {
    let recorder = Recorder::default();
    let mut server = Server::start(&settings()?).await?;
    let mut crowd = Crowd::gather(&endless(), &[&server], &recorder).await?;
    let stop = crowd.stopper();
    let stopping = async {
        let stopped = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                server.stop(&recorder).await?;
                server.restart().await?;
                wait_for_an_ack(&recorder, RECOVERY_LIMIT).await?;
            }
            anyhow::Ok(())
        };
        let stopped = stopped.await;
        stop.store(true, Ordering::Relaxed);
        stopped
    };
    let ((), stopped) = tokio::join!(crowd.chat(), stopping);
    stopped?;
    judge(crowd, &mut [server], &recorder).await?.assert_green(Counters { resumed: 3, ..Counters::default() });
    Ok(())
}
