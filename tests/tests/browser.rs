//! The web client in a real Chromium against the binary in dev mode. Each story has a server of its own; screenshots are kept
//! in `artefacts/browser`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use viberchat_engines::{Program, skip};

const START_LIMIT: Duration = Duration::from_secs(30);
const STORY_LIMIT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_in_two_windows() -> Result<()> {
    tell("two-people.mjs").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_is_read_without_a_jump() -> Result<()> {
    tell("long-history.mjs").await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_a_mouse() -> Result<()> {
    tell("without-a-mouse.mjs").await
}

async fn tell(story: &str) -> Result<()> {
    let (Some(chromium), Some(node)) = (Program::Chromium.find(), Program::Node.find()) else { return Ok(()) };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    if !folder.join("node_modules/playwright-core").exists() {
        skip("no playwright-core");
        return Ok(());
    }
    let (server, http) = start_dev().await?;
    let telling = Command::new(node)
        .arg(story)
        .arg(chromium)
        .arg(format!("http://{http}"))
        .arg(artefacts()?)
        .current_dir(folder)
        .kill_on_drop(true)
        .status();
    let status = timeout(STORY_LIMIT, telling).await.context("the story does not end")??;
    drop(server);
    ensure!(status.success(), "{story} failed: see artefacts/browser");
    Ok(())
}

/// Dropping the child kills it.
async fn start_dev() -> Result<(Child, String)> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_viberchat-under-test"))
        .args(["dev", "--print-addresses", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("its output")?).lines();
    let line = timeout(START_LIMIT, lines.next_line()).await.context("it does not come up")??.context("it ended")?;
    let addresses: serde_json::Value = serde_json::from_str(&line)?;
    let http = addresses["http"].as_str().context("its address")?.to_owned();
    Ok((server, http))
}

fn artefacts() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artefacts/browser");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}
