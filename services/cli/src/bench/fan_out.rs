//! The floor of a fan-out: the same bytes to as many bare sockets, from a process that does nothing else.

use std::time::Instant;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::ANSWER_TIMEOUT;
use super::floor::{FloorKind, FloorProcess, Work, request};
use super::sample::Latencies;
use super::{Bench, machine};

/// Connections that wait for being accepted.
const BACKLOG: usize = 64;
/// Of a WebSocket frame of this size.
const HEADER_BYTES: usize = 4;

pub(crate) struct FanOutFloor {
    process: FloorProcess,
    control: TcpStream,
    readers: Vec<TcpStream>,
    frame: Vec<u8>,
}

impl FanOutFloor {
    pub(crate) async fn connect(bench: &Bench, members: usize, payload_bytes: usize) -> anyhow::Result<Self> {
        let process = FloorProcess::start(FloorKind::FanOut, bench.folder(), &bench.pinning)?;
        let control = TcpStream::connect(process.address).await?;
        control.set_nodelay(true)?;
        let frame = vec![b'x'; payload_bytes + HEADER_BYTES];
        let mut floor = Self { process, control, readers: Vec::new(), frame };
        while floor.readers.len() < members {
            let some = BACKLOG.min(members - floor.readers.len());
            for _ in 0..some {
                floor.readers.push(TcpStream::connect(floor.process.address).await?);
            }
            ask(&mut floor.control, Work::Accept, u32::try_from(some)?, &[]).await?;
        }
        Ok(floor)
    }

    /// How long each frame took to reach the last reader.
    pub(crate) async fn one_by_one(&mut self, count: u32) -> anyhow::Result<Latencies> {
        let mut spreads = Latencies::new();
        for _ in 0..count {
            let start = Instant::now();
            let (control, bytes) = (&mut self.control, self.frame.len());
            let asking = ask(control, Work::FanOut, 1, &self.frame);
            let reading = read_all(&mut self.readers, bytes);
            in_time(futures::future::try_join(reading, asking)).await?;
            spreads.record(start.elapsed());
        }
        Ok(spreads)
    }

    /// Millions of frames a second of the process's CPU, so many in each write. `None`: not readable here.
    pub(crate) async fn burst(&mut self, deliveries: u64, frames_a_write: u64) -> anyhow::Result<Option<f64>> {
        let writes = (deliveries / self.readers.len() as u64 / frames_a_write).max(1);
        let batch = self.frame.repeat(usize::try_from(frames_a_write)?);
        let bytes = batch.len() * usize::try_from(writes)?;
        let cpu = machine::cpu_time(self.process.pid());
        let asking = ask(&mut self.control, Work::FanOut, u32::try_from(writes)?, &batch);
        in_time(futures::future::try_join(read_all(&mut self.readers, bytes), asking)).await?;
        let cpu = machine::cpu_time(self.process.pid()).zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let frames = (writes * frames_a_write * self.readers.len() as u64) as f64;
        Ok(cpu.filter(|cpu| !cpu.is_zero()).map(|cpu| frames / cpu.as_secs_f64() / 1e6))
    }
}

async fn ask(control: &mut TcpStream, work: Work, number: u32, bytes: &[u8]) -> anyhow::Result<()> {
    control.write_all(&request(work, number, bytes)?).await?;
    control.read_exact(&mut [0; 4]).await?;
    Ok(())
}

/// Each reads so many bytes, as the listeners do: 8 KiB at once, whatever is there.
async fn read_all(readers: &mut [TcpStream], bytes: usize) -> anyhow::Result<()> {
    let reading: FuturesUnordered<_> = readers
        .iter_mut()
        .map(async |reader| {
            let (mut buffer, mut left) = (vec![0; 8 * 1024], bytes);
            while left > 0 {
                let read = reader.read(&mut buffer).await?;
                anyhow::ensure!(read > 0, "the floor closed a socket");
                left = left.saturating_sub(read);
            }
            anyhow::Ok(())
        })
        .collect();
    tokio::task::unconstrained(reading.try_collect::<()>()).await
}

async fn in_time<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT * 3, work).await.context("no floor in time")?
}
