//! The server that is measured: a child process of this same executable, in a folder of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
use viberchat_kit::rpc::{Channel, Instances, ServiceToken};

use super::machine::Pinning;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const TOKEN_TTL: Duration = Duration::from_secs(6 * 3_600);

/// A deployment on disk: configuration, keys and data. It can be started again and again.
pub(crate) struct Deployment {
    program: PathBuf,
    folder: PathBuf,
    keys: Keys,
    pinning: Pinning,
}

/// A running server. Ends with this value; [`Server::stop`] ends it in order.
pub(crate) struct Server {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) http: SocketAddr,
    grpc: SocketAddr,
    signer: TokenSigner,
    keys: Keys,
}

#[derive(Deserialize)]
struct Addresses {
    http: SocketAddr,
    grpc: SocketAddr,
}

impl Deployment {
    /// An empty one below `folder`.
    pub(crate) fn create(program: &Path, folder: &Path, pinning: &Pinning) -> anyhow::Result<Self> {
        Self::create_with(program, folder, pinning, "")
    }

    /// The same, with more settings of the gateway, one a line.
    pub(crate) fn create_with(program: &Path, folder: &Path, pinning: &Pinning, gateway: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let keys = Keys::generate(&SystemEntropy);
        let config = format!(
            "{CONFIG}{gateway}\n[keys]\ntokens = \"{}\"\npages = \"{}\"\nfingerprint = \"{}\"\n",
            keys.tokens.to_base64(),
            keys.pages.to_base64(),
            keys.fingerprint.to_base64()
        );
        fs::write(folder.join("viberchat.toml"), config)?;
        Ok(Self { program: program.to_owned(), folder: folder.to_owned(), keys, pinning: pinning.clone() })
    }

    /// Starts the server and waits until it says where it listens.
    pub(crate) async fn start(&self) -> anyhow::Result<Server> {
        let log = self.folder.join("server.log");
        let mut command = Command::from(self.pinning.server_command(&self.program));
        command.args(["serve", "all", "--print-addresses", "--config"]).arg(self.folder.join("viberchat.toml"));
        command.arg("--data-dir").arg(self.folder.join("data"));
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
        let Addresses { http, grpc } =
            addresses.await.context("the server is not up in time").flatten().with_context(|| last_lines(&log))?;
        let pid = child.id().context("the server has ended")?;
        let signer = TokenSigner::new(&self.keys.tokens, Arc::new(SystemClock));
        Ok(Server { child, pid, http, grpc, signer, keys: self.keys.clone() })
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

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("the server's log ends with:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
}

impl Server {
    /// A user's token.
    pub(crate) fn token(&self, user: &str) -> anyhow::Result<String> {
        Ok(self.signer.sign_user(&UserId::parse(user)?, TOKEN_TTL)?)
    }

    /// The internal door, as a service that may act for users. Each call makes connections of its own.
    pub(crate) fn grpc(&self) -> anyhow::Result<Channel> {
        let clock = Arc::new(SystemClock);
        let signer = TokenSigner::new(&self.keys.tokens, clock.clone());
        let token = ServiceToken::new(signer, "bench", &[Scope::ActForUsers], TOKEN_TTL, clock);
        let target = format!("http://{}", self.grpc).parse()?;
        Ok(Channel::connect(&target, Instances::One, token.into_source(), &Lifecycle::new().handle()))
    }

    /// Ends the server as a crash does.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the server does not end")
    }

    /// Ends the server: asked first, then not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.pid.to_string()).stderr(Stdio::null()).status().await;
        if asked.is_ok_and(|status| status.success())
            && tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_ok()
        {
            return Ok(());
        }
        self.child.kill().await.context("the server does not end")
    }
}
