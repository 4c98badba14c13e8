//! Secrets, and the keys of a deployment.
//!
//! Invariant: a secret is printed by nothing here except [`Secret::to_base64`] and [`Password::expose`].

mod password;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

pub use self::password::Password;

use crate::id::Entropy;

/// Bytes of a secret that is written as it is, and of our own keys, at least.
pub const SECRET_BYTES_MIN: usize = 32;

const BASE64_PREFIX: &str = "base64:";
const REDACTED: &str = "(secret)";

/// A secret that does not print itself.
///
/// In configuration: `base64:` and the bytes in base64, or a text of at least 32 bytes that is used as it is.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// Text or bytes that cannot be a secret. Does not repeat them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Zero bytes.
    #[error("a secret is empty")]
    Empty,
    /// Too short to be a good one by accident.
    #[error("a secret has less than 32 bytes (shorter ones of a host application: base64:…)")]
    TooShort,
    /// Not base64 after the prefix.
    #[error("a secret that begins with base64: is not base64")]
    NotBase64,
}

impl Secret {
    /// These bytes.
    ///
    /// # Errors
    /// [`InvalidSecret::Empty`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidSecret> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() { Err(InvalidSecret::Empty) } else { Ok(Self(bytes.into())) }
    }

    /// As it is written in configuration.
    ///
    /// # Errors
    /// [`InvalidSecret`].
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        match text.strip_prefix(BASE64_PREFIX) {
            Some(encoded) => Self::new(STANDARD.decode(encoded).map_err(|_| InvalidSecret::NotBase64)?),
            None if text.is_empty() => Err(InvalidSecret::Empty),
            None if text.len() < SECRET_BYTES_MIN => Err(InvalidSecret::TooShort),
            None => Self::new(text),
        }
    }

    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; SECRET_BYTES_MIN];
        entropy.fill(&mut bytes);
        Self(bytes.as_slice().into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As [`Secret::parse`] takes it, for a file that only the owner reads.
    pub fn to_base64(&self) -> String {
        format!("{BASE64_PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// HMAC-SHA256 of `parts`, each with its length before it, so that no two lists of parts are the same input.
    pub fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Compares in a time that does not depend on where they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(other.0.iter()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Redacted: a configuration that is printed shows no secret.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The keys of a deployment, the same on every instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Signs the tokens that we issue.
    pub tokens: Secret,
    /// Its predecessor, still taken while it is being replaced.
    #[serde(default)]
    pub tokens_previous: Option<Secret>,
    /// Encrypts page tokens.
    pub pages: Secret,
    /// Its predecessor, still taken while it is being replaced.
    #[serde(default)]
    pub pages_previous: Option<Secret>,
    /// Makes the fingerprints of bodies. Never changes for a deployment.
    pub fingerprint: Secret,
}

impl Keys {
    /// New ones, for `viberchat dev` and tests.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self {
            tokens: Secret::generate(entropy),
            tokens_previous: None,
            pages: Secret::generate(entropy),
            pages_previous: None,
            fingerprint: Secret::generate(entropy),
        }
    }

    /// The key names, without the keys, of what has less than [`SECRET_BYTES_MIN`] bytes. Empty: all is well.
    pub fn too_short(&self) -> Vec<&'static str> {
        let named = [
            ("keys.tokens", Some(&self.tokens)),
            ("keys.tokens_previous", self.tokens_previous.as_ref()),
            ("keys.pages", Some(&self.pages)),
            ("keys.pages_previous", self.pages_previous.as_ref()),
            ("keys.fingerprint", Some(&self.fingerprint)),
        ];
        let short = |secret: Option<&Secret>| secret.is_some_and(|s| s.as_bytes().len() < SECRET_BYTES_MIN);
        named.into_iter().filter(|(_, secret)| short(*secret)).map(|(name, _)| name).collect()
    }

    /// Both secrets that sign tokens of ours, the present one first.
    pub fn token_secrets(&self) -> Vec<Secret> {
        std::iter::once(&self.tokens).chain(&self.tokens_previous).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
