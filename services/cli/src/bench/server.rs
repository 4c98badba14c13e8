//! The server that is measured: a child process of this same executable, in a folder of its own; or one process for each
//! service, on engines that are there.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use viberchat_kit::auth::{Scope, TokenSigner};
use viberchat_kit::clock::SystemClock;
use viberchat_kit::id::{SystemEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::{Channel, Instances, ServiceToken, TokenSource};

use super::Bench;
use super::machine::{self, Pinning};
use super::split::Split;
use crate::role::Role;

/// Cassandra takes its time for the tables.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const TOKEN_TTL: Duration = Duration::from_secs(6 * 3_600);

/// A deployment on disk: configuration, keys and data. It can be started again and again.
pub(crate) struct Deployment {
    program: PathBuf,
    folder: PathBuf,
    keys: Keys,
    pinning: Pinning,
    /// Where the services are; `None`: all in one process.
    split: Option<Split>,
}

/// A running server. Ends with this value; [`Server::stop`] ends it in order.
pub(crate) struct Server {
    /// In the order in which they are stopped: the first one is the gateway's, or the only one.
    processes: Vec<Process>,
    pub(crate) pid: u32,
    pub(crate) http: SocketAddr,
    conversation: SocketAddr,
    message: SocketAddr,
    signer: TokenSigner,
    keys: Keys,
}

struct Process {
    child: Child,
    pid: u32,
    addresses: Addresses,
}

#[derive(Deserialize)]
struct Addresses {
    /// Of a gateway.
    http: Option<SocketAddr>,
    grpc: SocketAddr,
}

impl Deployment {
    /// An empty one in a folder of this name, of the shape that is measured.
    pub(crate) fn create(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        Self::create_with(bench, name, "")
    }

    /// The same, with more settings of the gateway, one a line.
    pub(crate) fn create_with(bench: &Bench, name: &str, gateway: &str) -> anyhow::Result<Self> {
        let folder = bench.folder().join(name);
        fs::create_dir_all(&folder)?;
        let keys = Keys::generate(&SystemEntropy);
        let split = bench.engines.as_ref().map(|_| Split::plan()).transpose()?;
        let engines = bench.engines.as_ref().map(|engines| engines.settings(name)).unwrap_or_default();
        let config = format!(
            "{CONFIG}{gateway}\n[keys]\ntokens = \"{}\"\npages = \"{}\"\nfingerprint = \"{}\"\n{engines}{}",
            keys.tokens.to_base64(),
            keys.pages.to_base64(),
            keys.fingerprint.to_base64(),
            split.as_ref().map(Split::settings).unwrap_or_default(),
        );
        fs::write(folder.join("viberchat.toml"), config)?;
        Ok(Self { program: bench.program.clone(), folder, keys, pinning: bench.pinning.clone(), split })
    }

    /// Starts the server and waits until it says where it listens.
    pub(crate) async fn start(&self) -> anyhow::Result<Server> {
        let mut processes = Vec::new();
        match &self.split {
            None => processes.push(self.start_process(Role::All, None).await?),
            Some(split) => {
                for (role, address) in split.processes() {
                    processes.insert(0, self.start_process(role, address).await?);
                }
            }
        }
        let edge = processes.first().context("something was started")?;
        let of = |role| self.split.as_ref().and_then(|split| split.address(role)).unwrap_or(edge.addresses.grpc);
        Ok(Server {
            pid: edge.pid,
            http: edge.addresses.http.context("the gateway has a public door")?,
            conversation: of(Role::Conversation),
            message: of(Role::Message),
            signer: TokenSigner::new(&self.keys.tokens, Arc::new(SystemClock)),
            keys: self.keys.clone(),
            processes,
        })
    }

    async fn start_process(&self, role: Role, grpc: Option<SocketAddr>) -> anyhow::Result<Process> {
        let name = clap::ValueEnum::to_possible_value(&role).context("the role has a name")?;
        let log = self.folder.join(format!("{}.log", name.get_name()));
        let mut command = Command::from(self.pinning.server_command(&self.program));
        command.args(["serve", name.get_name(), "--print-addresses", "--config"]);
        command.arg(self.folder.join("viberchat.toml")).arg("--data-dir").arg(self.folder.join("data"));
        if let Some(address) = grpc {
            command.env("VIBERCHAT__LISTEN__GRPC", address.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?).kill_on_drop(true);
        let mut child = command.spawn().context("the server does not start")?;
        let stdout = child.stdout.take().context("the server's output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let addresses = tokio::time::timeout(START_TIMEOUT, async {
            while let Some(line) = lines.next_line().await? {
                if let Ok(addresses) = serde_json::from_str::<Addresses>(&line) {
                    return Ok(addresses);
                }
            }
            anyhow::bail!("the server ended")
        });
        let addresses =
            addresses.await.context("the server is not up in time").flatten().with_context(|| last_lines(&log))?;
        let pid = child.id().context("the server has ended")?;
        Ok(Process { child, pid, addresses })
    }
}

/// One process, on loopback, with limits that the load does not meet.
const CONFIG: &str = r#"
[listen]
http = "127.0.0.1:0"
grpc = "127.0.0.1:0"
admin = "127.0.0.1:0"

[log]
filter = "warn"

[gateway]
connections_max = 200000
sends_per_second_max = 0
drain_ms = 100
"#;

fn last_lines(log: &std::path::Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("the server's log ends with:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
}

impl Server {
    /// A user's token.
    pub(crate) fn token(&self, user: &str) -> anyhow::Result<String> {
        Ok(self.signer.sign_user(&UserId::parse(user)?, TOKEN_TTL)?)
    }

    /// To the conversation service, as a service that may act for users. Each call makes connections of its own.
    pub(crate) fn conversation(&self) -> anyhow::Result<Channel> {
        self.channel(self.conversation)
    }

    /// The same to the message service.
    pub(crate) fn message(&self) -> anyhow::Result<Channel> {
        self.channel(self.message)
    }

    fn channel(&self, address: SocketAddr) -> anyhow::Result<Channel> {
        let target = format!("http://{address}").parse()?;
        Ok(Channel::connect(&target, Instances::One, self.service_token(), &Lifecycle::new().handle()))
    }

    /// Of a service that may act for users.
    pub(crate) fn service_token(&self) -> TokenSource {
        let clock = Arc::new(SystemClock);
        let signer = TokenSigner::new(&self.keys.tokens, clock.clone());
        ServiceToken::new(signer, "bench", &[Scope::ActForUsers], TOKEN_TTL, clock).into_source()
    }

    /// CPU time that all its processes have used.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.processes.iter().map(|process| machine::cpu_time(process.pid)).sum()
    }

    /// Ends the server as a crash does.
    pub(crate) async fn kill(self) -> anyhow::Result<()> {
        for mut process in self.processes {
            process.child.kill().await.context("the server does not end")?;
        }
        Ok(())
    }

    /// Ends the server: asked first, then not.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for process in self.processes {
            process.stop().await?;
        }
        Ok(())
    }
}

impl Process {
    async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.pid.to_string()).stderr(Stdio::null()).status().await;
        if asked.is_ok_and(|status| status.success())
            && tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_ok()
        {
            return Ok(());
        }
        self.child.kill().await.context("the server does not end")
    }
}
