//! Each known defect is woken in the binary, the workload that should notice it runs, and the checker must turn red.
//!
//! `make mutants` runs these on files and on engines, by `VIBERCHAT_TEST_MUTANTS=1`; `make test` runs the same workloads without a mutant,
//! in `checker.rs` and `faults.rs`.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use viberchat_kit::fault;
use viberchat_tests::{
    cluster::{Server, Settings},
    history::{Check, Recorder, Report},
    workload::{Crowd, Plan, chat_and_judge, judge},
};

/// Which load shows a defect.
#[derive(Clone, Copy)]
enum Load {
    /// One server; sessions come and go.
    Sessions,
    /// Two servers on one store; conditions are lost.
    Races,
    /// One server that is killed.
    Kills,
}

/// Each mutant, the load that shows it, and the checks of which at least one must turn red.
const EXPECTED: &[(&str, Load, &[Check])] = &[
    ("ack_before_write", Load::Kills, &[Check::C1]),
    ("dedup_off", Load::Sessions, &[Check::C2]),
    ("condition_ignored", Load::Races, &[Check::C1, Check::C4, Check::C5]),
    ("rules_not_redecided", Load::Races, &[Check::C12, Check::C16]),
    ("conflict_ids_not_redecided", Load::Races, &[Check::C2]),
    ("stream_gap_unnoticed", Load::Sessions, &[Check::C7]),
    ("fanout_order_swapped", Load::Sessions, &[Check::C7]),
    ("resume_off_by_one", Load::Sessions, &[Check::C10]),
    ("position_backwards", Load::Sessions, &[Check::C9]),
    ("removed_member_served", Load::Sessions, &[Check::C12]),
    ("deletion_leaves_text", Load::Sessions, &[Check::C16]),
    ("direct_pair_not_unique", Load::Sessions, &[Check::C8]),
    ("hidden_history_served", Load::Sessions, &[Check::C12]),
    ("hidden_target_pushed", Load::Sessions, &[Check::C12]),
    ("block_ignored", Load::Sessions, &[Check::C12]),
    ("delivered_backwards", Load::Sessions, &[Check::C9]),
    ("position_pushed_backwards", Load::Sessions, &[Check::C9]),
    ("typing_leaks", Load::Sessions, &[Check::C11]),
    ("presence_shown_to_strangers", Load::Sessions, &[Check::C11]),
    ("invisible_shown", Load::Sessions, &[Check::C11]),
];

/// Where all is stored.
#[derive(Clone, Copy)]
enum Backend {
    /// SQLite.
    Files,
    /// PostgreSQL and Cassandra, with NATS.
    Engines,
}

impl Backend {
    /// A defect of a race may sleep through most runs: one that wakes in every fourth lives through all in one of 300 times.
    fn runs_max(self) -> u32 {
        match self {
            Self::Files => 24,
            Self::Engines => 20,
        }
    }

    fn plan(self) -> Plan {
        match self {
            Self::Files => Plan::default(),
            Self::Engines => Plan { steps: 80, ..Plan::default() },
        }
    }

    /// `None`: an engine is missing here, and that was said.
    fn settings(self) -> Result<Option<Settings>> {
        let settings = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?;
        Ok(match self {
            Self::Files => Some(settings),
            Self::Engines => settings.on_engines(),
        })
    }
}

async fn run(load: Load, settings: &Settings, plan: Plan) -> Result<Report> {
    match load {
        Load::Sessions => {
            let mut servers = [Server::start(settings).await?];
            chat_and_judge(&plan, &mut servers).await
        }
        Load::Races => {
            let mut servers = [Server::start(settings).await?, Server::start(settings).await?];
            chat_and_judge(&Plan { sessions: false, ..plan }, &mut servers).await
        }
        Load::Kills => {
            let settings = settings.clone().unsynced();
            let recorder = Recorder::default();
            let mut server = Server::start(&settings).await?;
            let plan = Plan { steps: usize::MAX, ..plan };
            let mut crowd = Crowd::gather(&plan, &[&server], &recorder).await?;
            let stop = crowd.stopper();
            let killing = async {
                let killed = async {
                    for _ in 0..10 {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        server.kill(&recorder).await?;
                        server.restart().await?;
                    }
                    anyhow::Ok(())
                };
                let killed = killed.await;
                stop.store(true, Ordering::Relaxed);
                killed
            };
            let ((), killed) = tokio::join!(crowd.chat(), killing);
            killed?;
            judge(crowd, &mut [server], &recorder).await
        }
    }
}

/// Wakes the mutant and expects the checker to notice.
async fn is_noticed(name: &str, backend: Backend) -> Result<()> {
    let (_, load, checks) = EXPECTED.iter().find(|(listed, ..)| *listed == name).expect("every mutant is in the table");
    let runs_max = backend.runs_max();
    for _ in 0..runs_max {
        let Some(settings) = backend.settings()? else { return Ok(()) };
        let report = run(*load, &settings.mutant(name), backend.plan()).await?;
        if checks.iter().any(|check| report.broken().contains(check)) {
            println!("mutant {name}: noticed; {report}");
            return Ok(());
        }
        println!("mutant {name}: not yet noticed; {report}");
    }
    panic!("mutant {name} lives: none of {checks:?} turned red in {runs_max} runs");
}

/// Whether `make mutants` asks; says once that they are skipped otherwise.
fn wanted() -> bool {
    static WANTED: LazyLock<bool> = LazyLock::new(|| {
        let wanted = std::env::var("VIBERCHAT_TEST_MUTANTS").as_deref() == Ok("1");
        if !wanted {
            viberchat_engines::say("SKIPPED: planted bugs (make mutants)");
        }
        wanted
    });
    *WANTED
}

macro_rules! mutants {
    ($($name:ident)*) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread")]
                async fn on_files() -> Result<()> {
                    if wanted() { is_noticed(stringify!($name), Backend::Files).await } else { Ok(()) }
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn on_engines() -> Result<()> {
                    if wanted() { is_noticed(stringify!($name), Backend::Engines).await } else { Ok(()) }
                }
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

mutants! {
    ack_before_write
    dedup_off
    condition_ignored
    rules_not_redecided
    conflict_ids_not_redecided
    stream_gap_unnoticed
    fanout_order_swapped
    resume_off_by_one
    position_backwards
    removed_member_served
    deletion_leaves_text
    direct_pair_not_unique
    hidden_history_served
    hidden_target_pushed
    block_ignored
    delivered_backwards
    position_pushed_backwards
    typing_leaks
    presence_shown_to_strangers
    invisible_shown
}

#[test]
fn every_mutant_has_a_test() {
    let planted: BTreeSet<&str> = fault::MUTANTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(planted, TESTED.iter().copied().collect());
    assert_eq!(planted, EXPECTED.iter().map(|(name, ..)| *name).collect());
}
