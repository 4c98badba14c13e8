//! The least that the same work costs. It runs in a child process on the server's core, like the server.
//!
//! Map: `work` is the child, `pages` and `cassandra` are works of it, `grpc` is one that answers calls, this file the parent's side. The child ends when its standard input does, so it never
//! outlives its parent.

mod cassandra;
mod grpc;
mod pages;
mod work;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::machine::Pinning;

/// What the child does. For the parent only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FloorKind {
    /// Echoes, synced writes, group appends: one plain thread.
    Blocking,
    /// Accepts connections and waits for bytes.
    Tcp,
    /// Accepts WebSockets, waits for frames and echoes them.
    WebSocket,
    /// Writes the same bytes to many bare sockets: one plain thread.
    FanOut,
    /// Answers sends over gRPC with nothing.
    Grpc,
}

pub(crate) use cassandra::{Order, What};
pub(crate) use pages::place as page_place;
pub(crate) use work::serve;

/// What a blocking child is asked for; the first byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Work {
    Echo = b'e',
    SyncedEcho = b's',
    Transfer = b't',
    SqliteGroups = b'q',
    FileGroups = b'f',
    SqlitePages = b'p',
    Cassandra = b'c',
    Accept = b'a',
    FanOut = b'o',
}

impl Work {
    const ALL: [Self; 9] = [
        Self::Echo,
        Self::SyncedEcho,
        Self::Transfer,
        Self::SqliteGroups,
        Self::FileGroups,
        Self::SqlitePages,
        Self::Cassandra,
        Self::Accept,
        Self::FanOut,
    ];
}

/// Far above anything that is asked: a floor that hangs fails the run.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A child process that does the least.
pub(crate) struct FloorProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl FloorProcess {
    /// Starts it; what it writes goes to `folder`.
    pub(crate) fn start(kind: FloorKind, folder: &Path, pinning: &Pinning) -> anyhow::Result<Self> {
        let name = clap::ValueEnum::to_possible_value(&kind).context("the floor has a name")?;
        let mut child = pinning
            .server_command(&std::env::current_exe()?)
            .args(["bench", "--floor", name.get_name(), "--folder"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the floor process does not start")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the floor's output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("the floor process said {line:?}"));
        Ok(Self { address: address.inspect_err(|_| drop(child.kill()))?, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for FloorProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection to the blocking child. Calls block the load's thread: nothing else runs meanwhile.
pub(crate) struct BlockingFloor {
    stream: TcpStream,
    answer: Vec<u8>,
    // Ends with the connection.
    _process: FloorProcess,
}

impl BlockingFloor {
    pub(crate) fn start(folder: &Path, pinning: &Pinning) -> anyhow::Result<Self> {
        let process = FloorProcess::start(FloorKind::Blocking, folder, pinning)?;
        let stream = TcpStream::connect(process.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream, answer: Vec::new(), _process: process })
    }

    /// The bytes there and back.
    pub(crate) fn echo(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.ask(Work::Echo, 0, bytes)
    }

    /// The bytes there, appended to a file and synced, and back.
    pub(crate) fn synced_echo(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.ask(Work::SyncedEcho, 0, bytes)
    }

    /// The bytes there, and so many back.
    pub(crate) fn transfer(&mut self, bytes: &[u8], back: u32) -> anyhow::Result<()> {
        self.ask(Work::Transfer, back, bytes)
    }

    /// Entries a second that SQLite takes in transactions of 64, synced.
    pub(crate) fn sqlite_groups(&mut self, time: Duration) -> anyhow::Result<f64> {
        self.rate(Work::SqliteGroups, time, &[])
    }

    /// Entries a second that a plain file takes in writes of 64, synced.
    pub(crate) fn file_groups(&mut self, time: Duration) -> anyhow::Result<f64> {
        self.rate(Work::FileGroups, time, &[])
    }

    /// Random pages of 50 messages a second that one statement of SQLite reads from a log of so many.
    pub(crate) fn sqlite_pages(&mut self, time: Duration, messages: u32) -> anyhow::Result<f64> {
        self.rate(Work::SqlitePages, time, &messages.to_be_bytes())
    }

    /// Entries or pages a second, and the median milliseconds of one batch or page, of the driver alone.
    pub(crate) fn cassandra(&mut self, order: &Order, time: Duration) -> anyhow::Result<(f64, f64)> {
        self.ask(Work::Cassandra, u32::try_from(time.as_millis())?, &serde_json::to_vec(order)?)?;
        Ok(serde_json::from_slice(&self.answer)?)
    }

    fn rate(&mut self, work: Work, time: Duration, bytes: &[u8]) -> anyhow::Result<f64> {
        self.ask(work, u32::try_from(time.as_millis())?, bytes)?;
        Ok(f64::from_be_bytes(self.answer[..].try_into().context("the floor answers with a number")?))
    }

    /// The answer is bytes, behind their length.
    fn ask(&mut self, work: Work, number: u32, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(&request(work, number, bytes)?)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer)?;
        Ok(())
    }
}

/// Work, a number and bytes. All in one write, as a frame is.
pub(crate) fn request(work: Work, number: u32, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut request = vec![work as u8];
    request.extend(number.to_be_bytes());
    request.extend(u32::try_from(bytes.len())?.to_be_bytes());
    request.extend(bytes);
    Ok(request)
}
