//! What the machine says about itself and about a process. Linux only; elsewhere readings are absent, and the report says so.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;

/// Which core runs what is measured and which one runs the load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pinning {
    server: Option<usize>,
    load: Option<usize>,
    pub(crate) note: String,
}

impl Pinning {
    /// The first core that this process may use for the server, the second for the load, if `taskset` is there.
    pub(crate) fn plan() -> Self {
        let cores = allowed_cores();
        let free = |note: &str| Self { server: None, load: None, note: note.to_owned() };
        match cores[..] {
            [] => free("not pinned: this system does not say which cores it has"),
            [_] => free("not pinned: one core only, server and load share it"),
            _ if !has_taskset() => free("not pinned: taskset is not installed"),
            [server, load, ..] => Self {
                server: Some(server),
                load: Some(load),
                note: format!("server and floors on core {server}, load on core {load} of {}", cores.len()),
            },
        }
    }

    /// A command that runs the program on the server's core.
    pub(crate) fn server_command(&self, program: &Path) -> Command {
        match self.server {
            None => Command::new(program),
            Some(core) => {
                // taskset replaces itself by the program, so the child's id is the program's.
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
        }
    }

    /// Moves this process, and what it starts from now on, to the load's core.
    pub(crate) fn pin_load(&mut self) {
        let Some(core) = self.load else { return };
        let pid = std::process::id().to_string();
        let moved = quiet("taskset").args(["-a", "-c", "-p", &core.to_string(), &pid]).status();
        if !moved.is_ok_and(|status| status.success()) {
            self.note.push_str(" (the load could not be moved there)");
        }
    }
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn has_taskset() -> bool {
    quiet("taskset").arg("--version").status().is_ok_and(|status| status.success())
}

fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "Cpus_allowed_list:").map(parse_core_list).unwrap_or_default()
}

/// `0-2,5` is 0, 1, 2, 5.
fn parse_core_list(list: &str) -> Vec<usize> {
    list.split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
        })
        .flatten()
        .collect()
}

/// What the figures were taken on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) load_average: String,
    pub(crate) open_files_max: Option<u64>,
}

impl Machine {
    /// Reads it; `folder` is where the server keeps its data.
    pub(crate) fn read(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            file_system: file_system_of(folder),
            load_average: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            open_files_max: field(&read("/proc/self/limits"), "Max open files")
                .and_then(|limits| limits.split_whitespace().next()?.parse().ok()),
        }
    }

    /// Whether a synced write reaches anything that outlives the power.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.file_system.as_str(), "tmpfs" | "ramfs")
    }
}

/// The type of the file system that holds the folder.
pub(crate) fn file_system_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut parts = line.split(' ').skip(1);
        let (point, kind) = (parts.next()?, parts.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    // Of mounts on the same point the last one counts, and max_by_key takes the last of equals.
    holding.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Resident memory of a process, in bytes. The summed-up map is exact; the status line lags by up to 64 pages a core.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let from_map = exact.as_deref().and_then(|text| kibibytes(text, "Rss:"));
    from_map.or_else(|| kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:"))
}

/// CPU time that all threads of a process have used, those that ended included.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_cpu_ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Calls by which a process has written so far, to sockets and files.
pub(crate) fn write_calls(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    field(&io, "syscw:")?.parse().ok()
}

/// What Linux tells user space, on every architecture that we build for.
const TICKS_PER_SECOND: u64 = 100;

/// utime and stime are fields 14 and 15; the second field is a name that may hold anything, in parentheses.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Memory of the kernel for sockets of this machine, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct KernelMemory {
    /// Pages in TCP buffers (`/proc/net/sockstat`).
    pub(crate) tcp_buffers: u64,
    /// All slab caches, where the sockets themselves live.
    pub(crate) slab: u64,
}

impl KernelMemory {
    pub(crate) fn read() -> Option<Self> {
        let sockets = fs::read_to_string("/proc/net/sockstat").ok()?;
        let pages = field(&sockets, "TCP:")?.rsplit_once("mem ")?.1.parse::<u64>().ok()?;
        let slab = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "Slab:")?;
        Some(Self { tcp_buffers: pages * PAGE_BYTES, slab })
    }
}

const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_list_is_read_with_ranges() {
        assert_eq!(parse_core_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_core_list("7"), [7]);
        assert!(parse_core_list("").is_empty());
    }

    #[test]
    fn cpu_ticks_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 900 0 0 0 17 5 0 0 20 0 4 0 1000";
        assert_eq!(parse_cpu_ticks(stat), Some(22));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_a_file_system() {
        assert!(resident_bytes(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_time(std::process::id()).is_some());
        assert_ne!(file_system_of(Path::new("/proc")), "unknown");
    }
}
