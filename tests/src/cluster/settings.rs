//! What a server is started with.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use viberchat_engines::{CassandraCluster, Server as Engine};
use viberchat_kit::fault;

use super::{Services, Tokens, turn::Turn};

/// Of the logs of all tests in the process: no two have a conversation in common, and each keyspace costs the engine memory.
static KEYSPACE: LazyLock<String> = LazyLock::new(|| viberchat_engines::namespace("stories"));

/// What a server is started with. Servers with clones of one value share the folder, the keys and the store.
#[derive(Clone)]
pub struct Settings {
    binary: PathBuf,
    tokens: Tokens,
    folder: Arc<Folder>,
    variables: Vec<(String, String)>,
    /// `None`: all in one process.
    services: Option<Services>,
    has_files: bool,
    /// While this is held no other deployment of this process has one.
    turn: Option<Turn>,
}

/// A temporary folder that is kept when the test fails.
struct Folder {
    folder: Option<TempDir>,
    kept: AtomicBool,
}

impl Settings {
    /// The binary on an empty folder, with no fault. Tests name it by `env!("CARGO_BIN_EXE_viberchat-under-test")`.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(binary: impl Into<PathBuf>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("viberchat-test-").tempdir().context("a temporary folder")?;
        let settings = Self {
            binary: binary.into(),
            tokens: Tokens::generate(),
            folder: Arc::new(Folder { folder: Some(folder), kept: AtomicBool::new(false) }),
            variables: Vec::new(),
            services: None,
            has_files: true,
            turn: None,
        };
        // Tests send as fast as they can; that users cannot is the subject of a test of its own.
        let settings = settings.set("GATEWAY__SENDS_PER_SECOND_MAX", "0");
        // Whoever wants to see a test fail wakes a mutant for the whole run.
        Ok(match std::env::var(fault::MUTANT_VARIABLE) {
            Ok(name) => settings.mutant(&name),
            Err(_) => settings,
        })
    }

    /// Sets a key of the configuration, as `SECTION__KEY`.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.variable(&format!("VIBERCHAT__{key}"), value)
    }

    /// What a key of the configuration was set to.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let name = format!("VIBERCHAT__{key}");
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Wakes a mutant.
    #[must_use]
    pub fn mutant(self, name: &str) -> Self {
        self.variable(fault::MUTANT_VARIABLE, name)
    }

    /// Ends the process at the nth pass of a kill point. Only the next start is meant: see [`Self::unfaulted`].
    #[must_use]
    pub fn kill_point(self, name: &str, pass: u32) -> Self {
        self.variable(fault::KILL_POINT_VARIABLE, format!("{name}:{pass}"))
    }

    /// Takes the kill point away.
    #[must_use]
    pub fn unfaulted(mut self) -> Self {
        self.variables.retain(|(name, _)| name != fault::KILL_POINT_VARIABLE);
        self
    }

    /// Opens the stores by the file layer that forgets what was not synced.
    #[must_use]
    pub fn unsynced(self) -> Self {
        self.variable(fault::SQLITE_VFS_VARIABLE, "unsynced")
    }

    /// Opens the stores with this `synchronous`.
    #[must_use]
    pub fn synchronous(self, value: &str) -> Self {
        self.variable(fault::SQLITE_SYNCHRONOUS_VARIABLE, value)
    }

    /// Members that are known wait for the conversation service as all others do. It may be slow on a busy machine, and is not
    /// away.
    #[must_use]
    pub fn without_grace(self) -> Self {
        self.set("MESSAGE__AUTHORIZATION_GRACE_MS", "1")
    }

    /// With a clock that is ahead.
    #[must_use]
    pub fn clock_ahead(self, by: Duration) -> Self {
        self.variable(fault::CLOCK_AHEAD_VARIABLE, by.as_secs().to_string())
    }

    /// With a bus that loses, doubles and reorders hints.
    #[must_use]
    pub fn bad_bus(self) -> Self {
        self.variable(fault::BAD_BUS_VARIABLE, "on")
    }

    /// With buckets of `1 << shift` entries in logs on Cassandra, in a keyspace of its own. After [`Self::on_engines`].
    #[must_use]
    pub fn bucket_shift(self, shift: u32) -> Self {
        self.set("MESSAGE__CASSANDRA__NAMESPACE", &viberchat_engines::namespace("buckets"))
            .variable(fault::BUCKET_SHIFT_VARIABLE, shift.to_string())
    }

    /// Shows others this service token, and not one of its own.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn service_token(self, token: &str) -> Result<Self> {
        let path = self.folder().join("service.token");
        fs::write(&path, token).with_context(|| path.display().to_string())?;
        Ok(self.set("SERVICES__TOKEN_FILE", &path.to_string_lossy()))
    }

    /// Waits until no other deployment of this process that is so, or is on engines, is there.
    #[must_use]
    pub fn in_turn(mut self) -> Self {
        self.turn.get_or_insert_with(Turn::take);
        self
    }

    /// On real engines instead of files, in a namespace of its own: conversation and last seen on PostgreSQL, the log on
    /// Cassandra, hints on NATS. Logs share one keyspace with those of the other tests of the process. `None`: one of them is
    /// missing here, and that was said.
    #[must_use]
    pub fn on_engines(mut self) -> Option<Self> {
        let (postgres, cassandra) = (Engine::Postgres.address()?, Engine::Cassandra.address()?);
        let nats = Engine::Nats.address()?;
        let namespace = viberchat_engines::namespace("stories");
        for service in ["CONVERSATION", "PRESENCE"] {
            self = self
                .set(&format!("{service}__STORE"), "postgres")
                .set(&format!("{service}__POSTGRES__URL"), &postgres)
                .set(&format!("{service}__POSTGRES__NAMESPACE"), &namespace)
                .set(&format!("{service}__POSTGRES__MIGRATE_ON_START"), "true");
        }
        self.has_files = false;
        self = self.in_turn();
        let of_cassandra = self
            .set("MESSAGE__STORE", "cassandra")
            .set("MESSAGE__CASSANDRA__CONTACT_POINTS", &format!("[{cassandra:?}]"))
            .set("MESSAGE__CASSANDRA__NAMESPACE", &KEYSPACE)
            .set("MESSAGE__CASSANDRA__REPLICATION_FACTOR", "1")
            .set("MESSAGE__CASSANDRA__MIGRATE_ON_START", "true")
            .set("MESSAGE__CASSANDRA__CONNECT_TIMEOUT_MS", "20000");
        Some(of_cassandra.set("BUS__URL", &nats).set("BUS__NAMESPACE", &namespace))
    }

    /// The log on these nodes, three copies of it. After [`Self::on_engines`].
    #[must_use]
    pub fn on_nodes(self, nodes: &CassandraCluster) -> Self {
        self.set("MESSAGE__CASSANDRA__CONTACT_POINTS", &format!("{:?}", nodes.addresses()))
            .set("MESSAGE__CASSANDRA__REPLICATION_FACTOR", "3")
    }

    /// Whether what is stored lies in the data folder.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.has_files
    }

    /// Each service in a process of its own.
    pub(super) fn apart(mut self, services: &Services) -> Self {
        self.services = Some(services.clone());
        self.set("SERVICES__CONVERSATION", &format!("http://{}", services.conversation))
            .set("SERVICES__MESSAGE", &format!("http://{}", services.message))
            .set("SERVICES__PRESENCE", &format!("http://{}", services.presence))
    }

    pub(super) fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }

    /// Whose tokens the server takes.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Where the stores lie.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The file with the log.
    #[must_use]
    pub fn message_file(&self) -> PathBuf {
        self.data_folder().join("message.sqlite")
    }

    /// Where logs and kept histories go.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.folder.as_ref().expect("the folder lives as long as its settings").path()
    }

    /// Keeps the folder when all is over: something was found in it.
    pub fn keep(&self) {
        self.folder.kept.store(true, Ordering::Relaxed);
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Writes the configuration file and returns its path.
    pub(super) fn write_config(&self) -> Result<PathBuf> {
        let keys = &self.tokens.keys;
        let config = format!(
            "data_dir = {:?}\n[keys]\ntokens = {:?}\npages = {:?}\nfingerprint = {:?}\n[auth]\nhs256_secrets = [{:?}]\n",
            self.data_folder(),
            keys.tokens.to_base64(),
            keys.pages.to_base64(),
            keys.fingerprint.to_base64(),
            self.tokens.host_secret,
        );
        let path = self.folder().join("viberchat.toml");
        fs::write(&path, config).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if (self.kept.load(Ordering::Relaxed) || std::thread::panicking())
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
}
