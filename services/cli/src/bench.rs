//! `viberchat bench`: latency, throughput and memory, each beside the least that the same work costs.
//!
//! It starts the server as a child process of this executable, speaks the real protocols to it over loopback, and stops by
//! itself. Server and floors run on one core, the load on another. With the addresses of engines each service runs in a
//! process of its own, on them.
//!
//! Map: `w1` to `w10`, `inbox` are the workloads; `server`, `split` and `seed` what is measured and what it holds; `client` a
//! session, `crowd` many that only listen, `speaker` one that sends to them, `senders` many that send over gRPC; `floor` the floors, `fan_out` one of them; `order` checks what came; `sample` histograms and series; `report` the table and the verdicts, `assertion` the rule
//! that fails a run;
//! `machine` what the figures were taken on.
//!
//! Invariants: latency counts from the intended time of a send; a run that lost an entry or got one out of its place has no
//! figure; every wait has an end; only processes that it started are ended.

mod assertion;
mod client;
mod crowd;
mod fan_out;
mod floor;
mod inbox;
mod machine;
mod order;
mod report;
mod sample;
mod seed;
mod senders;
mod server;
mod speaker;
mod split;
mod w1;
mod w10;
mod w2;
mod w3;
mod w4;
mod w5;
mod w6;
mod w7;
mod w8;
mod w9;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use self::floor::{BlockingFloor, FloorKind, Order, What};
use self::machine::{Machine, Pinning};
use self::report::Report;
use self::split::Engines;

/// No bench takes longer.
const BENCH_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Files that a process needs besides its sockets.
const SPARE_FILES: u64 = 200;

/// What is measured, and how thoroughly.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these [default: all, or all that measure processes apart]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Name>,
    /// Measure each service in a process of its own, with the log on the cluster of this node
    #[arg(long, value_name = "HOST:PORT", requires_all = ["postgres", "nats"])]
    cassandra: Option<String>,
    /// The same, with conversations and last seen on this server, whose user may create schemas
    #[arg(long, value_name = "URL", requires = "cassandra")]
    postgres: Option<String>,
    /// The same, with hints by this server
    #[arg(long, value_name = "URL", requires = "cassandra")]
    nats: Option<String>,
    /// Runs of each; the table has median and range
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    /// Two short runs and 500 sockets: whether it works, not how well
    #[arg(long)]
    quick: bool,
    /// Idle sockets of w5 and of w6's storm [default: 5000 and 10000, or 500 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    sockets: Option<u32>,
    /// Fail when a figure is too far from its target, relative to the floors of this run and of the reference machine
    #[arg(long)]
    assert: bool,
    /// Write the figures as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to put the data, in a folder that is removed at the end [default: the temporary folder, unless it is in memory]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Measure the server of another executable
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Run as a floor: what the bench starts beside the server
    #[arg(long, value_enum, hide = true)]
    floor: Option<FloorKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// One message in flight: latency
    W1,
    /// Users in pairs: throughput
    W2,
    /// One conversation, 16 senders: throughput
    W3,
    /// A group on sockets: fan-out
    W4,
    /// Idle sockets: memory and CPU
    W5,
    /// Everybody connects, and again after a crash
    W6,
    /// Pages of history
    W7,
    /// Presence
    W8,
    /// Members who stop reading
    W9,
    /// Sends over gRPC
    W10,
    /// A user with 10,000 conversations
    Inbox,
}

impl Name {
    const ALL: [Self; 11] = [
        Self::W1,
        Self::W2,
        Self::W3,
        Self::W4,
        Self::W5,
        Self::W6,
        Self::W7,
        Self::W8,
        Self::W9,
        Self::W10,
        Self::Inbox,
    ];

    /// Those that say something of processes apart: sockets are the same gateway's.
    const SPLIT: [Self; 6] = [Self::W1, Self::W2, Self::W3, Self::W7, Self::W10, Self::Inbox];
}

/// What every workload needs.
struct Bench {
    plan: Plan,
    program: PathBuf,
    folder: TempDir,
    pinning: Pinning,
    machine: Machine,
    /// `None`: all in one process, on files.
    engines: Option<Engines>,
}

struct Plan {
    runs: u32,
    quick: bool,
    sockets: Option<usize>,
}

impl Bench {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the driver of the log's engine does alone, if there is one: entries or pages a second, and the median
    /// milliseconds of a batch or a page.
    fn driver(&self, floor: &mut BlockingFloor, what: What, time: Duration) -> anyhow::Result<Option<(f64, f64)>> {
        let Some(engines) = &self.engines else { return Ok(None) };
        let order = Order { node: engines.cassandra.clone(), keyspace: engines.namespace("floor"), what };
        floor.cassandra(&order, time).map(Some)
    }

    /// An engine that has just started compiles itself for a minute of work, at the cost of whatever is measured meanwhile.
    fn warm_up(&self) -> anyhow::Result<()> {
        let time = Duration::from_secs(if self.plan.quick { 1 } else { 25 });
        let mut floor = BlockingFloor::start(self.folder(), &self.pinning)?;
        let appends = [(64, 1), (1, 64)].map(|(partitions, entries)| What::Append { partitions, entries });
        for what in appends.into_iter().chain([What::Read { messages: 20_000, calls: 64 }]) {
            self.driver(&mut floor, what, time)?;
        }
        Ok(())
    }

    /// As many sockets as wanted, or as this process may open.
    fn sockets(&self, wanted: usize) -> (usize, Option<String>) {
        let free = self.machine.open_files_max.map_or(u64::MAX, |files| files.saturating_sub(SPARE_FILES));
        match usize::try_from(free) {
            Ok(free) if free < wanted => {
                (free, Some(format!("capped at {free} sockets by ulimit -n ({wanted} asked for)")))
            }
            _ => (wanted, None),
        }
    }
}

/// Measures, prints the table, and writes the JSON file.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if let Some(kind) = args.floor {
        return floor::serve(kind, &args.folder.context("a floor needs --folder")?);
    }
    let mut pinning = Pinning::plan();
    pinning.pin_load();
    let folder = data_folder(args.folder.as_deref())?;
    let plan = Plan {
        runs: if args.quick { args.runs.min(2) } else { args.runs },
        quick: args.quick,
        sockets: args.sockets.map(|sockets| sockets as usize),
    };
    let program = args.server.map_or_else(std::env::current_exe, Ok)?;
    let engines = args.cassandra.zip(args.postgres).zip(args.nats);
    let engines = engines.map(|((cassandra, postgres), nats)| Engines::new(postgres, cassandra, nats));
    let offered: &[Name] = if engines.is_some() { &Name::SPLIT } else { &Name::ALL };
    let only = if args.only.is_empty() { offered.to_vec() } else { args.only };
    if let Some(other) = only.iter().find(|name| !offered.contains(name)) {
        anyhow::bail!("{other:?} measures one process: it takes no engines");
    }
    let bench = Bench { plan, program, machine: Machine::read(folder.path()), folder, pinning, engines };
    // One thread: the load has one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = tokio::time::timeout(BENCH_TIMEOUT, measure(bench, &only)) => report.context("it took too long"),
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })?;
    println!("{}", report.table());
    if let Some(file) = args.json {
        std::fs::write(&file, report.json()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.assert {
        let asserted = assertion::assert(&report);
        println!("{}", asserted.text);
        anyhow::ensure!(asserted.failed == 0, "{} figures fail", asserted.failed);
    }
    anyhow::ensure!(report.failures.is_empty(), "{}", report.failures.join("; "));
    Ok(())
}

/// Where the load keeps data: on a disk, if there is one.
fn data_folder(wanted: Option<&Path>) -> anyhow::Result<TempDir> {
    let temporary = std::env::temp_dir();
    let in_memory = matches!(machine::file_system_of(&temporary).as_str(), "tmpfs" | "ramfs");
    let parent = match wanted {
        Some(folder) => folder,
        None if in_memory => Path::new("."),
        None => &temporary,
    };
    TempDir::with_prefix_in("viberchat-bench-", parent).with_context(|| format!("cannot write to {}", parent.display()))
}

async fn measure(bench: Bench, only: &[Name]) -> Report {
    let (mut workloads, mut failures) = (Vec::new(), Vec::new());
    let commitlog_sync = match &bench.engines {
        None => None,
        Some(engines) => engines.commitlog_sync().await.map_err(|error| failures.push(format!("{error:#}"))).ok(),
    };
    if bench.engines.is_some() {
        eprintln!("warming up …");
        failures.extend(bench.warm_up().err().map(|error| format!("{error:#}")));
    }
    for name in Name::ALL.into_iter().filter(|name| only.contains(name)) {
        eprintln!("measuring {name:?} …");
        let measured = match name {
            Name::W1 => w1::run(&bench).await,
            Name::W2 => w2::run(&bench).await.map(|workload| vec![workload]),
            Name::W3 => w3::run(&bench).await.map(|workload| vec![workload]),
            Name::W4 => w4::run(&bench).await.map(|workload| vec![workload]),
            Name::W5 => w5::run(&bench).await.map(|workload| vec![workload]),
            Name::W6 => w6::run(&bench).await.map(|workload| vec![workload]),
            Name::W7 => w7::run(&bench).await.map(|workload| vec![workload]),
            Name::W8 => w8::run(&bench).await.map(|workload| vec![workload]),
            Name::W9 => w9::run(&bench).await.map(|workload| vec![workload]),
            Name::W10 => w10::run(&bench).await.map(|workload| vec![workload]),
            Name::Inbox => inbox::run(&bench).await.map(|workload| vec![workload]),
        };
        match measured {
            Ok(measured) => workloads.extend(measured),
            // What the others gave is not lost with it.
            Err(error) => failures.push(format!("{name:?}: {error:#}")),
        }
    }
    let Bench { plan, pinning, machine, .. } = bench;
    let Plan { runs, quick, .. } = plan;
    let version = env!("CARGO_PKG_VERSION");
    Report { version, machine, pinning, commitlog_sync, runs, quick, workloads, failures }
}

/// Waits for the moment, exactly, when nothing else is to be done: the runtime's timers tick each millisecond, which is
/// longer than what is measured. Only the last of it is spent turning, or the kernel's own work on this core would wait.
fn pace(moment: Instant) {
    const TURNING: Duration = Duration::from_micros(100);
    let sleep = moment.saturating_duration_since(Instant::now()).saturating_sub(TURNING);
    std::thread::sleep(sleep);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}

/// A reading once it has stayed the same for half a second, or the last one after 15.
async fn settled(read: impl Fn() -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    let (mut last, mut same) = (read()?, 0);
    for _ in 0..150 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = read()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same == 5 {
            break;
        }
    }
    Ok(last)
}
