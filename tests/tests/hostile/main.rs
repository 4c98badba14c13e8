//! Hostile and broken clients: every bad frame and call gets its documented error or close code, nothing is stored, and
//! the server's memory stays where it was.
//!
//! The size is `VIBERCHAT_TEST_BAD_FRAMES`, 100,000 by default, in shares of each kind.

mod calls;
mod door;
mod sockets;

use std::future::Future;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use viberchat_tests::{
    cluster::{Server, Settings},
    history::{Recorder, scan_store},
    workload::size_from_environment,
};

use self::calls::Scene;

/// The growth that the issue allows.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Clients at once, of each kind.
const CLIENTS: usize = 4;
/// Alice's to bob and to carol, and one of each attacker.
const SENT_WELL: usize = 2 + CLIENTS;
/// Bad frames before memory is measured: pools, caches and arenas have their size then.
const WARM_UP: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_and_calls_get_their_answer_and_leave_nothing_behind() -> Result<()> {
    let total = size_from_environment("VIBERCHAT_TEST_BAD_FRAMES", 100_000);
    let settings = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?;
    let mut server = Server::start(&settings).await?;
    let mut scenes = Vec::new();
    for index in 0..CLIENTS {
        scenes.push(Scene::set(&server, &format!("mallory-{index}")).await?);
    }

    attack(&server, &scenes, WARM_UP.min(total)).await?;
    let before = server.memory_bytes()?;
    attack(&server, &scenes, total).await?;
    let after = server.memory_bytes()?;
    let growth = after.saturating_sub(before);
    println!("{total} bad frames and calls: {} KiB before, {} KiB more after", before / 1024, growth / 1024);
    ensure!(growth <= GROWTH_BYTES_MAX, "resident memory grew by {growth} bytes");

    server.stop(&Recorder::default()).await?;
    let stored = scan_store(&settings.data_folder(), true)?.entries.len();
    ensure!(stored == SENT_WELL, "{stored} entries are stored, {SENT_WELL} were sent well");
    Ok(())
}

/// `total` bad frames and calls, in shares.
async fn attack(server: &Server, scenes: &[Scene], total: usize) -> Result<()> {
    let share = |percent: usize| (total * percent / 100).div_ceil(CLIENTS);
    at_once(scenes, |scene| calls::on_sessions(server, scene, share(60))).await?;
    at_once(scenes, |scene| door::over_http(server, scene, share(12))).await?;
    at_once(scenes, |scene| sockets::unreadable_frames(server, scene, share(20))).await?;
    at_once(scenes, |_| sockets::bad_tokens(server, share(4))).await?;
    at_once(scenes, |_| sockets::calls_before_hello(server, share(2))).await?;
    at_once(scenes, |scene| sockets::half_frames(server, scene, share(1))).await?;
    at_once(scenes, |scene| sockets::oversized_frames(server, scene, share(1).min(100))).await?;
    sockets::silent_ones(server).await
}

async fn at_once<'a, F>(scenes: &'a [Scene], client: impl Fn(&'a Scene) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    try_join_all(scenes.iter().map(client)).await.map(drop)
}
