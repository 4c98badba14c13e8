//! The whole configuration: TOML, then `VIBERCHAT__SECTION__KEY`, then flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use viberchat_kit::auth::{TokenVerifier, VerifierConfig};
use viberchat_kit::clock::SharedClock;
use viberchat_kit::config;
use viberchat_kit::keys::{Keys, Secret};
use viberchat_kit::telemetry::LogFormat;

use crate::command::ListenArgs;

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the embedded stores.
    pub data_dir: PathBuf,
    /// How long a stop waits for what is in flight, in milliseconds.
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
    /// The conversation service.
    pub conversation: viberchat_conversation::Config,
    /// The message service.
    pub message: viberchat_message::Config,
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

/// Whose user tokens are taken, besides those that we sign with `keys.tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// HS256 secrets of the host application; several while one is being replaced.
    pub hs256_secrets: Vec<Secret>,
    /// Claims that name the user; the first one that a token has counts.
    pub user_id_claims: Vec<String>,
    /// `iss` that a user token must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `aud` that a user token must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Claims that a user token must have, with their values.
    pub required_claims: BTreeMap<String, String>,
    /// How far clocks may differ, in milliseconds.
    pub leeway_ms: u64,
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
            conversation: viberchat_conversation::Config::default(),
            message: viberchat_message::Config::default(),
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

impl Default for Auth {
    fn default() -> Self {
        Self {
            hs256_secrets: Vec::new(),
            user_id_claims: vec!["user_id".into(), "sub".into()],
            issuer: None,
            audience: None,
            required_claims: BTreeMap::new(),
            leeway_ms: 5_000,
        }
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
        let config: Self = config::load(file, flags)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> anyhow::Result<()> {
        if let Some(short) = self.keys.as_ref().map(Keys::too_short).filter(|short| !short.is_empty()) {
            bail!("{}: a key has less than 32 bytes", short.join(", "));
        }
        self.conversation.validate().context("conversation")?;
        self.message.validate().context("message")?;
        self.gateway.validate().context("gateway")?;
        Ok(())
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

    /// Takes the users' tokens as configured, and the services' as signed by `keys`.
    pub(crate) fn verifier(&self, keys: &Keys, clock: SharedClock) -> anyhow::Result<TokenVerifier> {
        let config = VerifierConfig {
            user_secrets: self.auth.hs256_secrets.clone(),
            user_id_claims: self.auth.user_id_claims.clone(),
            issuer: self.auth.issuer.clone(),
            audience: self.auth.audience.clone(),
            required_claims: self.auth.required_claims.clone(),
            leeway: Duration::from_millis(self.auth.leeway_ms),
            service_secrets: keys.token_secrets(),
        };
        TokenVerifier::new(config, clock).context("auth")
    }
}
