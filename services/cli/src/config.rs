//! The whole configuration: TOML, then `VIBERCHAT__SECTION__KEY`, then flags.

mod auth;
mod services;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use viberchat_kit::auth::{Jwks, TokenVerifier};
use viberchat_kit::bus;
use viberchat_kit::clock::SharedClock;
use viberchat_kit::config::{self, ConfigError};
use viberchat_kit::keys::Keys;
use viberchat_kit::telemetry::LogFormat;

pub use auth::Auth;
pub use services::Services;

use crate::command::ListenArgs;
use crate::role::Role;

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the embedded stores.
    pub data_dir: PathBuf,
    /// How long a stop waits for what is in flight, in milliseconds: first for sockets and their calls, then, for what is
    /// left of it and a second at least, for the services. Either may take 2 s more for what does not end by itself, so
    /// give the process `drain_ms` and 5 s before it is killed (`terminationGracePeriodSeconds`), and some for its disk.
    pub drain_ms: u64,
    /// Where the process listens.
    pub listen: Listen,
    /// What is logged.
    pub log: Log,
    /// Whose tokens are taken.
    pub auth: Auth,
    /// The keys of the deployment. `viberchat dev` makes its own; all else needs them here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The bus between instances.
    pub bus: bus::Config,
    /// Where the services are that the process does not run itself.
    pub services: Services,
    /// The conversation service.
    pub conversation: viberchat_conversation::Config,
    /// The message service.
    pub message: viberchat_message::Config,
    /// The presence service.
    pub presence: viberchat_presence::Config,
    /// The gateway.
    pub gateway: viberchat_gateway::Config,
}

/// Where the process listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Public HTTP and WebSocket.
    pub http: String,
    /// Internal gRPC, with health and reflection.
    pub grpc: String,
    /// Metrics, probes and the log level. Never public.
    pub admin: String,
}

/// What is logged, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// As in `info,viberchat_message=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "viberchat-data".into(),
            drain_ms: 10_000,
            listen: Listen::default(),
            log: Log::default(),
            auth: Auth::default(),
            keys: None,
            bus: bus::Config::default(),
            services: Services::default(),
            conversation: viberchat_conversation::Config::default(),
            message: viberchat_message::Config::default(),
            presence: viberchat_presence::Config::default(),
            gateway: viberchat_gateway::Config::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: "127.0.0.1:8080".into(), grpc: "127.0.0.1:8081".into(), admin: "127.0.0.1:8082".into() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

#[derive(Serialize)]
struct Flags<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<&'a Path>,
    listen: ListenFlags<'a>,
}

#[derive(Serialize)]
struct ListenFlags<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<&'a str>,
}

impl Config {
    /// Reads file, environment and flags, and checks what results.
    pub(crate) fn load(file: Option<&Path>, listen: &ListenArgs) -> anyhow::Result<Self> {
        let flags = Flags {
            data_dir: listen.data_dir.as_deref(),
            listen: ListenFlags {
                http: listen.http.as_deref(),
                grpc: listen.grpc.as_deref(),
                admin: listen.admin.as_deref(),
            },
        };
        Ok(config::load_checked(file, flags, Self::findings)?)
    }

    /// The same with the stores' files where they lie, in `data_dir`.
    pub(crate) fn with_files_in_place(&self) -> Self {
        let mut config = self.clone();
        let Self { conversation, message, presence, .. } = &mut config;
        for file in [&mut conversation.data_file, &mut message.data_file, &mut presence.data_file] {
            *file = self.data_dir.join(&*file);
        }
        config
    }

    /// What is wrong, as `section.key: problem`.
    pub fn findings(&self) -> Vec<String> {
        let short = self.keys.as_ref().map(Keys::too_short).unwrap_or_default();
        let mut found: Vec<_> = short.iter().map(|key| format!("{key}: has less than 32 bytes")).collect();
        found.extend(self.auth.findings());
        found.extend(of_section(self.bus.validate()));
        found.extend(self.services.findings(self.bus.is_set()));
        found.extend(of_section(self.conversation.validate()));
        found.extend(of_section(self.message.validate()));
        found.extend(of_section(self.presence.validate()));
        if let Err(invalid) = self.gateway.validate() {
            found.push(format!("gateway.{invalid}"));
        }
        found
    }

    /// The keys.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn require_keys(&self) -> anyhow::Result<&Keys> {
        self.keys.as_ref().context(
            "keys are missing: set keys.tokens, keys.pages and keys.fingerprint (`viberchat config example` shows how)",
        )
    }

    /// Whether all is there that a process of this role calls.
    ///
    /// # Errors
    /// Names what is not.
    pub(crate) fn require_services(&self, role: Role) -> anyhow::Result<()> {
        let missing = self.services.missing(role);
        if missing.is_empty() {
            return Ok(());
        }
        bail!("{}", missing.join("\n"))
    }

    /// Takes the users' tokens as configured, and the services' as signed by `keys`.
    pub(crate) fn verifier(
        &self,
        keys: &Keys,
        jwks: Option<Arc<Jwks>>,
        clock: SharedClock,
    ) -> anyhow::Result<TokenVerifier> {
        TokenVerifier::new(self.auth.verifier_config(keys, jwks), clock).context("auth")
    }
}

fn of_section(checked: Result<(), ConfigError>) -> Vec<String> {
    match checked {
        Ok(()) => Vec::new(),
        Err(ConfigError::Invalid(findings)) => findings,
        Err(unreadable) => vec![unreadable.to_string()],
    }
}

#[cfg(test)]
mod tests;
