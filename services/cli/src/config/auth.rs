//! Whose user tokens are taken.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use viberchat_kit::auth::{Jwks, JwksSource, JwksTiming, JwksUrl, LEEWAY_MAX, VerifierConfig};
use viberchat_kit::config::one_or_many;
use viberchat_kit::keys::{Keys, Secret};
use viberchat_kit::telemetry::Metrics;

/// Whose user tokens are taken, besides those that we sign with `keys.tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// HS256 secrets of the host application; several while one is being replaced.
    pub hs256_secrets: Vec<Secret>,
    /// File with the public keys of the host application (JWK Set): RS256, ES256, EdDSA. Read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// The same at an address: https, or http on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<JwksUrl>,
    /// Certificates (PEM) to trust for `jwks_url`, instead of the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_ca_file: Option<PathBuf>,
    /// How often the keys at `jwks_url` are fetched, in milliseconds. A file is looked at every 10 s at least.
    pub jwks_refresh_ms: u64,
    /// They are fetched at most this often because of a token whose key is not known, in milliseconds.
    pub jwks_refresh_min_ms: u64,
    /// How long one fetch may take, in milliseconds.
    pub jwks_timeout_ms: u64,
    /// Claims that name the user; the first one that a token has counts.
    pub user_id_claims: Vec<String>,
    /// `iss` that a user token must have: one, or a list of which it has to be one.
    #[serde(deserialize_with = "one_or_many")]
    pub issuer: Vec<String>,
    /// `aud` that a user token must have: one, or a list of which it has to be one. Without it, a token that names an
    /// audience is refused.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Vec<String>,
    /// Claims that a user token must have, with their values.
    pub required_claims: BTreeMap<String, String>,
    /// How long a user token may be good in all, from `iat` to `exp`, in seconds; 0: as long as it says.
    pub token_lifetime_max_s: u64,
    /// How far clocks may differ, in milliseconds.
    pub leeway_ms: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            hs256_secrets: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_refresh_ms: 300_000,
            jwks_refresh_min_ms: 10_000,
            jwks_timeout_ms: 5_000,
            user_id_claims: vec!["user_id".into(), "sub".into()],
            issuer: Vec::new(),
            audience: Vec::new(),
            required_claims: BTreeMap::new(),
            token_lifetime_max_s: 0,
            leeway_ms: 5_000,
        }
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

impl Auth {
    /// What is wrong, as `auth.key: problem`.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut refuse = |key: &str, problem: &str| found.push(format!("auth.{key}: {problem}"));
        if self.jwks_url.is_some() && self.jwks_file.is_some() {
            refuse("jwks_url", "there is auth.jwks_file already: only one of them");
        }
        if self.jwks_ca_file.is_some() && self.jwks_url.is_none() {
            refuse("jwks_ca_file", "is for auth.jwks_url, which is missing");
        }
        let lists = [("user_id_claims", &self.user_id_claims), ("issuer", &self.issuer), ("audience", &self.audience)];
        for (key, list) in lists {
            if list.iter().any(String::is_empty) {
                refuse(key, "has an empty text");
            }
        }
        if self.user_id_claims.is_empty() {
            refuse("user_id_claims", "names no claim");
        }
        let numbers: [(&str, u64, RangeInclusive<u64>); 4] = [
            ("jwks_refresh_ms", self.jwks_refresh_ms, 10_000..=DAY_MS),
            ("jwks_refresh_min_ms", self.jwks_refresh_min_ms, 1_000..=self.jwks_refresh_ms),
            ("jwks_timeout_ms", self.jwks_timeout_ms, 100..=60_000),
            ("leeway_ms", self.leeway_ms, 0..=LEEWAY_MAX.as_millis() as u64),
        ];
        for (key, value, allowed) in numbers {
            if !allowed.contains(&value) {
                refuse(key, &format!("is {value}, allowed are {} to {}", allowed.start(), allowed.end()));
            }
        }
        found
    }

    /// The public keys of the host application, read once; to be kept fresh with [`Jwks::run`].
    ///
    /// # Errors
    /// When the file cannot be used. A server that does not answer is asked again later: it may be behind us.
    pub(crate) async fn jwks(&self, metrics: &Metrics) -> anyhow::Result<Option<Arc<Jwks>>> {
        let source = match (&self.jwks_file, &self.jwks_url) {
            (Some(file), _) => JwksSource::File(file.clone()),
            (None, Some(url)) => {
                JwksSource::url(url.clone(), self.jwks_ca_file.as_deref()).context("auth.jwks_ca_file")?
            }
            (None, None) => return Ok(None),
        };
        let timing = JwksTiming {
            refresh: Duration::from_millis(self.jwks_refresh_ms),
            refresh_min: Duration::from_millis(self.jwks_refresh_min_ms),
            timeout: Duration::from_millis(self.jwks_timeout_ms),
        };
        let jwks = Jwks::new(source, timing, metrics);
        match jwks.refresh().await {
            Ok(()) => {}
            Err(error) if self.jwks_file.is_some() => return Err(error).context("auth.jwks_file"),
            Err(error) => tracing::warn!(%error, "auth.jwks_url: no keys yet; tokens signed with them are not taken"),
        }
        Ok(Some(jwks))
    }

    /// For the verifier of a process with these keys.
    pub(super) fn verifier_config(&self, keys: &Keys, jwks: Option<Arc<Jwks>>) -> VerifierConfig {
        VerifierConfig {
            user_secrets: self.hs256_secrets.clone(),
            jwks,
            user_id_claims: self.user_id_claims.clone(),
            issuers: self.issuer.clone(),
            audiences: self.audience.clone(),
            required_claims: self.required_claims.clone(),
            token_lifetime_max: (self.token_lifetime_max_s > 0).then(|| Duration::from_secs(self.token_lifetime_max_s)),
            leeway: Duration::from_millis(self.leeway_ms),
            service_secrets: keys.token_secrets(),
        }
    }
}
