//! What bare connections take in a process that only accepts, waits, and echoes.

use std::time::Duration;

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use super::HANDSHAKES;
use crate::bench::client::ANSWER_TIMEOUT;
use crate::bench::floor::{FloorKind, FloorProcess};
use crate::bench::{Bench, machine, settled};

/// What a bare WebSocket takes.
pub(super) struct WebSocketFloor {
    pub(super) memory_kib: f64,
    /// CPU a socket and second, with an echo each heartbeat. `None`: not readable here.
    pub(super) cpu_micros: Option<f64>,
}

/// KiB that a bare TCP connection takes.
pub(super) async fn tcp(bench: &Bench, sockets: usize) -> anyhow::Result<f64> {
    let process = FloorProcess::start(FloorKind::Tcp, bench.folder(), &bench.pinning)?;
    let address = process.address;
    let (connections, grown) = connect(&process, sockets, async move || Ok(TcpStream::connect(address).await?)).await?;
    drop(connections);
    Ok(kib_each(grown, sockets))
}

/// What a bare WebSocket takes, and what it costs when a frame is echoed each `heartbeat`.
pub(super) async fn web_socket(bench: &Bench, sockets: usize, heartbeat: Duration) -> anyhow::Result<WebSocketFloor> {
    let process = FloorProcess::start(FloorKind::WebSocket, bench.folder(), &bench.pinning)?;
    let address = process.address;
    let connect_one = async move || {
        let builder = ClientBuilder::new().uri(&format!("ws://{address}/"))?;
        Ok(builder.connect_on(TcpStream::connect(address).await?).await?.0)
    };
    let (mut connections, grown) = connect(&process, sockets, connect_one).await?;
    let (cpu, since) = (machine::cpu_time(process.pid()), Instant::now());
    echo_all(&mut connections, heartbeat).await?;
    let cpu = machine::cpu_time(process.pid()).zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let cpu_micros = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / sockets as f64 / since.elapsed().as_secs_f64());
    Ok(WebSocketFloor { memory_kib: kib_each(grown, sockets), cpu_micros })
}

async fn connect<C>(
    process: &FloorProcess,
    sockets: usize,
    connect_one: impl AsyncFn() -> anyhow::Result<C>,
) -> anyhow::Result<(Vec<C>, u64)> {
    let resident = || machine::resident_bytes(process.pid()).context("the floor's memory is not readable");
    let before = settled(resident).await?;
    let connecting =
        futures::stream::iter(0..sockets).map(|_| connect_one()).buffer_unordered(HANDSHAKES).try_collect();
    let connections: Vec<_> =
        tokio::time::timeout(ANSWER_TIMEOUT * 5, connecting).await.context("no floor in time")??;
    let grown = settled(resident).await?.saturating_sub(before);
    Ok((connections, grown))
}

/// Each once, spread over the interval.
async fn echo_all(connections: &mut [WebSocketStream<TcpStream>], interval: Duration) -> anyhow::Result<()> {
    let (start, count) = (Instant::now(), u32::try_from(connections.len().max(1))?);
    for (index, connection) in (0..).zip(connections) {
        tokio::time::sleep_until(start + interval * index / count).await;
        connection.send(Message::text(String::from("{\"id\":12,\"heartbeat\":{}}"))).await?;
        connection.next().await.context("the floor closed the socket")??;
    }
    tokio::time::sleep_until(start + interval).await;
    Ok(())
}

fn kib_each(bytes: u64, sockets: usize) -> f64 {
    bytes as f64 / sockets as f64 / 1024.0
}
