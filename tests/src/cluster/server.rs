//! One process of the binary under test.

use std::{
    fs::OpenOptions,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Role, Services, Settings, Tokens};
use crate::{
    client::http,
    history::{Counters, Recorder},
};

/// A server that is not up by then never will be.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Longer than any drain that the tests configure.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Clone, Debug, Deserialize)]
pub struct Addresses {
    /// Public HTTP and WebSocket; empty where no gateway runs.
    #[serde(default)]
    pub http: String,
    /// gRPC of the services that run there.
    pub grpc: String,
    /// Metrics, probes.
    pub admin: String,
}

/// One process of the binary under test. Dropping it kills it.
pub struct Server {
    role: Role,
    settings: Settings,
    addresses: Addresses,
    child: Option<Child>,
}

impl Server {
    /// Starts a process on ports that the system chooses, and waits until it serves.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub async fn start(settings: &Settings) -> Result<Self> {
        Self::start_as(Role::All, settings, "127.0.0.1:0").await
    }

    /// The same of one service, with its gRPC at an address.
    pub(super) async fn start_as(role: Role, settings: &Settings, grpc: &str) -> Result<Self> {
        let listen = Addresses { http: "127.0.0.1:0".into(), grpc: grpc.into(), admin: "127.0.0.1:0".into() };
        let (child, addresses) = launch(role, settings, &listen).await?;
        Ok(Self { role, settings: settings.clone(), addresses, child: Some(child) })
    }

    /// Starts it again on the same ports and data after it has ended.
    ///
    /// # Errors
    /// If it runs, or does not come up in time.
    pub async fn restart(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server runs");
        let start = Instant::now();
        loop {
            match launch(self.role, &self.settings, &self.addresses).await {
                Ok((child, _)) => {
                    self.child = Some(child);
                    return Ok(());
                }
                // Another process may have been given a port of ours for a moment.
                Err(error) if start.elapsed() > START_LIMIT => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// With what the next start happens.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// With what it was started.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whose tokens it takes.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        self.settings.tokens()
    }

    /// Where it listens, through all restarts.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where gRPC of each service is, for who uses this server.
    #[must_use]
    pub fn services(&self) -> Services {
        self.settings.services().cloned().unwrap_or_else(|| Services::all_at(&self.addresses.grpc))
    }

    /// Ends the process as a power cut does.
    ///
    /// # Errors
    /// If the process cannot be waited for.
    pub async fn kill(&mut self, recorder: &Recorder) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let begun = recorder.now();
        child.kill().await.context("kill -9")?;
        recorder.stop(begun, false);
        Ok(())
    }

    /// Asks it to stop, and does not wait.
    ///
    /// # Errors
    /// If it does not run.
    pub fn begin_stop(&self) -> Result<()> {
        signal(self.child.as_ref().context("it does not run")?, libc::SIGTERM)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If it does not stop in time or not well.
    pub async fn stop(&mut self, recorder: &Recorder) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let begun = recorder.now();
        signal(&child, libc::SIGTERM)?;
        let status = timeout(STOP_LIMIT, child.wait()).await.context("it does not stop on SIGTERM")??;
        recorder.stop(begun, true);
        ensure!(status.success(), "it stopped with {status}");
        Ok(())
    }

    /// Waits until the process has ended by itself, at a kill point.
    ///
    /// # Errors
    /// If it still runs after the time.
    pub async fn wait_for_death(&mut self, limit: Duration, recorder: &Recorder) -> Result<()> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        let begun = recorder.now();
        timeout(limit, child.wait()).await.context("it lives on")??;
        self.child = None;
        recorder.stop(begun, false);
        Ok(())
    }

    /// Stops the process without ending it.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<()> {
        signal(self.child.as_ref().context("it does not run")?, libc::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<()> {
        signal(self.child.as_ref().context("it does not run")?, libc::SIGCONT)
    }

    /// The resident memory in bytes.
    ///
    /// # Errors
    /// If it does not run.
    pub fn memory_bytes(&self) -> Result<u64> {
        let id = self.child.as_ref().and_then(Child::id).context("it does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }

    /// The page of metrics.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let (status, body) = http::get(&self.addresses.admin, "/metrics").await?;
        ensure!(status == 200, "/metrics answered {status}");
        Ok(String::from_utf8(body.to_vec())?)
    }

    /// What the process counted of what a run must show.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn counters(&self) -> Result<Counters> {
        let metrics = self.metrics().await?;
        Ok(Counters {
            conditions_lost: sum_of(&metrics, "conditions_lost"),
            filled: sum_of(&metrics, "fills"),
            ..Counters::default()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // `kill_on_drop` does the same, but only if the runtime lives.
            drop(child.start_kill());
        }
    }
}

/// The sum of all counters whose name has the part in it.
fn sum_of(metrics: &str, part: &str) -> u64 {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let counted = samples.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        (name.contains(part) && name.ends_with("_total")).then(|| value.parse::<f64>().ok())?
    });
    counted.sum::<f64>() as u64
}

async fn launch(role: Role, settings: &Settings, listen: &Addresses) -> Result<(Child, Addresses)> {
    let log_path = settings.folder().join(format!("{}.log", role.name()));
    let log =
        OpenOptions::new().create(true).append(true).open(&log_path).with_context(|| log_path.display().to_string())?;
    let mut command = Command::new(settings.binary());
    command
        .args(["serve", role.name(), "--print-addresses", "--config"])
        .arg(settings.write_config()?)
        .args(["--grpc", &listen.grpc, "--admin", &listen.admin])
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| !name.starts_with("VIBERCHAT")))
        .envs(settings.variables().iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    if !listen.http.is_empty() {
        command.args(["--http", &listen.http]);
    }
    let mut child = command.spawn().with_context(|| settings.binary().display().to_string())?;
    let mut stdout = BufReader::new(child.stdout.take().context("its standard output")?);
    let mut line = String::new();
    match timeout(START_LIMIT, stdout.read_line(&mut line)).await {
        Ok(Ok(length)) if length > 0 => {}
        outcome => {
            let mut rest = String::new();
            drop(timeout(Duration::from_millis(100), stdout.read_to_string(&mut rest)).await);
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            bail!("it did not come up ({outcome:?}): {rest} {end:?}");
        }
    }
    let addresses = serde_json::from_str(&line).with_context(|| format!("the addresses in {line:?}"))?;
    Ok((child, addresses))
}

fn signal(child: &Child, signal: i32) -> Result<()> {
    let id = i32::try_from(child.id().context("it has ended")?)?;
    // SAFETY: `kill` has no preconditions. The id is that of a child that was not waited for yet, so it is not reused.
    let code = unsafe { libc::kill(id, signal) };
    ensure!(code == 0, "signal {signal}: {}", std::io::Error::last_os_error());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_their_labels() {
        let page = "# HELP x_fills y\nx_fills_total{a=\"b\"} 2\nx_fills_total{a=\"c\"} 3\nx_fills_other 9\nx_total 1\n";
        assert_eq!(sum_of(page, "fills"), 5);
    }
}
