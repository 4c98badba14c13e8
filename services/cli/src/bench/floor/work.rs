//! The floor's own process: the least code around the work.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use super::{FloorKind, Work};
use super::{cassandra, grpc, pages};

/// What an instance commits at once, at most.
const GROUP_ENTRIES: usize = 64;
/// A text of 200 bytes with the ids around it.
const ENTRY_BYTES: usize = 300;
/// The most that is asked for at once.
const REQUEST_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Serves until standard input ends.
pub(crate) fn serve(kind: FloorKind, folder: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?);
    // The parent holds the other end and never writes: the end of input is the end of the parent.
    std::thread::spawn(exit_with_parent);
    match kind {
        FloorKind::Blocking => serve_blocking(&listener, folder),
        FloorKind::FanOut => serve_fan_out(&listener),
        FloorKind::Grpc => grpc::serve(listener),
        FloorKind::Tcp => serve_idle(listener, |mut stream| async move {
            let mut byte = [0; 1];
            while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        }),
        FloorKind::WebSocket => serve_idle(listener, |stream| async move {
            let Ok((_, mut socket)) = tokio_websockets::ServerBuilder::new().accept(stream).await else { return };
            while let Some(Ok(frame)) = socket.next().await {
                // What a heartbeat is answered with, at the least.
                if frame.is_text() && socket.send(frame).await.is_err() {
                    return;
                }
            }
        }),
    }
}

#[expect(clippy::exit, reason = "a floor holds nothing that an orderly end would save")]
fn exit_with_parent() {
    drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    std::process::exit(0);
}

/// One task a connection, that waits.
fn serve_idle<F>(listener: TcpListener, idle: fn(tokio::net::TcpStream) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            connections.spawn(idle(stream));
        }
    })
}

fn serve_blocking(listener: &TcpListener, folder: &Path) -> anyhow::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut synced = SyncedFile::create(&folder.join("floor.log"))?;
    let mut bytes = Vec::new();
    loop {
        let (work, number) = read_request(&mut stream, &mut bytes)?;
        let time = Duration::from_millis(number.into());
        match work {
            Work::Echo => {}
            Work::SyncedEcho => synced.append(&bytes)?,
            Work::Transfer => bytes.resize(number as usize, b'x'),
            Work::SqliteGroups => bytes = sqlite_groups(&folder.join("floor.sqlite"), time)?.to_be_bytes().into(),
            Work::FileGroups => bytes = file_groups(&folder.join("groups.log"), time)?.to_be_bytes().into(),
            Work::SqlitePages => {
                let messages = u32::from_be_bytes(bytes[..].try_into().context("how many messages")?);
                bytes = pages::a_second(&folder.join("pages.sqlite"), time, messages)?.to_be_bytes().into();
            }
            Work::Cassandra => {
                let measured = cassandra::measure(&serde_json::from_slice(&bytes)?, time)?;
                bytes = serde_json::to_vec(&measured)?;
            }
            Work::Accept | Work::FanOut => anyhow::bail!("this floor has one connection"),
        }
        let length = u32::try_from(bytes.len())?.to_be_bytes();
        stream.write_all(&[&length[..], &bytes].concat())?;
    }
}

/// The first connection says what to do; the others are written to.
fn serve_fan_out(listener: &TcpListener) -> anyhow::Result<()> {
    let (mut control, _) = listener.accept()?;
    control.set_nodelay(true)?;
    let (mut readers, mut bytes) = (Vec::new(), Vec::new());
    loop {
        let (work, number) = read_request(&mut control, &mut bytes)?;
        for _ in 0..number {
            match work {
                Work::Accept => {
                    let (reader, _) = listener.accept()?;
                    reader.set_nodelay(true)?;
                    readers.push(reader);
                }
                Work::FanOut => readers.iter_mut().try_for_each(|reader| reader.write_all(&bytes))?,
                _ => anyhow::bail!("this floor only writes"),
            }
        }
        control.write_all(&0_u32.to_be_bytes())?;
    }
}

fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<(Work, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [kind, a, b, c, d, e, f, g, h] = head;
    let (number, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    anyhow::ensure!(number.max(length) <= REQUEST_BYTES_MAX, "the request is too large");
    bytes.resize(length as usize, 0);
    stream.read_exact(bytes)?;
    let work = Work::ALL.into_iter().find(|work| *work as u8 == kind).context("no such work")?;
    Ok((work, number))
}

/// A file whose space is there before it is written, as a write-ahead log's is after its first round: the least a synced
/// append can cost.
struct SyncedFile {
    file: File,
    at: u64,
}

impl SyncedFile {
    const BYTES: usize = 4 * 1024 * 1024;

    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(&vec![0; Self::BYTES])?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        use std::io::Seek as _;
        if self.at + bytes.len() as u64 > Self::BYTES as u64 {
            self.at = 0;
        }
        self.file.seek(std::io::SeekFrom::Start(self.at))?;
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(self.file.sync_data()?)
    }
}

fn file_groups(path: &Path, time: Duration) -> anyhow::Result<f64> {
    let mut file = SyncedFile::create(path)?;
    let group = vec![b'x'; GROUP_ENTRIES * ENTRY_BYTES];
    entries_a_second(time, || file.append(&group))
}

/// The entry and the unique key that keeps it from being stored twice; nothing else.
fn sqlite_groups(path: &Path, time: Duration) -> anyhow::Result<f64> {
    let mut connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "DROP TABLE IF EXISTS entry;
         CREATE TABLE entry (seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);",
    )?;
    let body = [b'x'; ENTRY_BYTES];
    let mut seq = 0_i64;
    entries_a_second(time, || {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3)")?;
            for _ in 0..GROUP_ENTRIES {
                seq += 1;
                insert.execute((seq, format!("sender-{:02}-{seq:09}", seq % 16), &body[..]))?;
            }
        }
        Ok(transaction.commit()?)
    })
}

fn entries_a_second(time: Duration, mut append_group: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut groups = 0_u32;
    while start.elapsed() < time {
        append_group()?;
        groups += 1;
    }
    Ok(f64::from(groups) * GROUP_ENTRIES as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synced_file_begins_anew_when_it_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SyncedFile::create(&folder.path().join("log")).unwrap();
        file.at = SyncedFile::BYTES as u64 - 1;
        file.append(b"abc").unwrap();
        assert_eq!(file.at, 3);
        assert_eq!(std::fs::metadata(folder.path().join("log")).unwrap().len(), SyncedFile::BYTES as u64);
    }

    #[test]
    fn group_appends_have_a_rate() {
        let folder = tempfile::tempdir().unwrap();
        let time = Duration::from_millis(30);
        assert!(file_groups(&folder.path().join("f"), time).unwrap() > 0.0);
        assert!(sqlite_groups(&folder.path().join("q"), time).unwrap() > 0.0);
        let stored: i64 = rusqlite::Connection::open(folder.path().join("q"))
            .unwrap()
            .query_row("SELECT count(*) FROM entry", [], |row| row.get(0))
            .unwrap();
        assert!(stored > 0 && stored % 64 == 0, "{stored}");
    }
}
