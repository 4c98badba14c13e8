use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::supervised::Supervised;
use crate::{cassandra, nats, postgres, say, skip};

/// A server that tests share. Each test keeps to a namespace of its own in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// `VIBERCHAT_TEST_POSTGRES_URL`: of a user that may create databases and schemas.
    Postgres,
    /// `VIBERCHAT_TEST_NATS_URL`.
    Nats,
    /// `VIBERCHAT_TEST_CASSANDRA`: host and port of one node, whose user may create keyspaces.
    Cassandra,
}

/// A server that this process started.
pub(crate) struct Started {
    pub(crate) address: String,
    /// The program and its version, for people.
    pub(crate) version: String,
    /// Ends it when dropped.
    pub(crate) process: Supervised,
}

impl Server {
    /// In the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Nats, Self::Cassandra];

    /// The name that people know.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Nats => "NATS",
            Self::Cassandra => "Cassandra",
        }
    }

    /// The address of one that runs already stands here.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "VIBERCHAT_TEST_POSTGRES_URL",
            Self::Nats => "VIBERCHAT_TEST_NATS_URL",
            Self::Cassandra => "VIBERCHAT_TEST_CASSANDRA",
        }
    }

    /// Next to the address, certificates to trust for it stand here, if it speaks TLS.
    #[must_use]
    pub const fn ca_variable(self) -> Option<&'static str> {
        match self {
            Self::Postgres | Self::Nats => None,
            Self::Cassandra => Some("VIBERCHAT_TEST_CASSANDRA_CA"),
        }
    }

    /// The address of the server, started at the first call in this process if none is named. `None`, and a line that
    /// says so, if it is not installed. Blocks for the seconds that a start may take.
    ///
    /// # Panics
    /// If it does not start, or is missing where engines are required.
    #[must_use]
    pub fn address(self) -> Option<String> {
        self.shared().map(|running| running.address.clone())
    }

    /// Certificates (PEM) to trust for TLS to that server. `None`: it has no TLS that is known here.
    ///
    /// # Panics
    /// As [`Server::address`].
    #[must_use]
    pub fn ca_file(self) -> Option<PathBuf> {
        self.shared()?.ca_file.clone()
    }

    fn shared(self) -> Option<&'static Running> {
        static POSTGRES: OnceLock<Option<Running>> = OnceLock::new();
        static NATS: OnceLock<Option<Running>> = OnceLock::new();
        static CASSANDRA: OnceLock<Option<Running>> = OnceLock::new();
        let running = match self {
            Self::Postgres => &POSTGRES,
            Self::Nats => &NATS,
            Self::Cassandra => &CASSANDRA,
        };
        let running = running.get_or_init(|| self.run().unwrap_or_else(|error| panic!("{}: {error:#}", self.name())));
        running.as_ref()
    }

    /// The same, until the answer is dropped. Each call starts another one.
    ///
    /// # Errors
    /// If it does not start.
    ///
    /// # Panics
    /// If it is missing where engines are required.
    pub fn run(self) -> anyhow::Result<Option<Running>> {
        if let Some(address) = env::var(self.variable()).ok().filter(|address| !address.is_empty()) {
            say(&format!("{}: at {address}", self.name()));
            let ca_file = self.ca_variable().and_then(env::var_os).map(PathBuf::from);
            return Ok(Some(Running { address, ca_file, _process: None }));
        }
        let Some(started) = self.start()? else {
            skip(&format!("no {}", self.name()));
            return Ok(None);
        };
        say(&format!("{}: {} at {}", self.name(), started.version, started.address));
        let ca_file = self.ca_variable().map(|_| cassandra::ca_file());
        Ok(Some(Running { address: started.address, ca_file, _process: Some(started.process) }))
    }

    /// Starts one. `None`: it is not installed.
    pub(crate) fn start(self) -> anyhow::Result<Option<Started>> {
        match self {
            Self::Postgres => postgres::start(),
            Self::Nats => nats::start(),
            Self::Cassandra => cassandra::start(),
        }
    }
}

/// A server that runs. One that we started ends when this is dropped, or when this process ends, however it ends.
pub struct Running {
    address: String,
    ca_file: Option<PathBuf>,
    _process: Option<Supervised>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Certificates (PEM) to trust for it, if it speaks TLS.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }
}
