use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use rustls::ClientConfig;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::AsyncReadExt as _;

use super::fetch;
use super::keys::InvalidJwks;
use crate::tls::{self, TlsError};

/// Bytes of a key set at most.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// The keys could not be read. The last good ones stay.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file.
    #[error("{}: {cause}", path.display())]
    File {
        /// As it is configured.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// More than [`JWKS_BYTES_MAX`].
    #[error("it is larger than 256 KiB")]
    TooLarge,
    /// The server cannot be reached, or breaks off.
    #[error("the server cannot be reached: {0}")]
    Unreachable(std::io::Error),
    /// What it says is no HTTP.
    #[error("the server does not answer with HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// Redirections are not followed.
    #[error("the server answered {0}")]
    Status(http::StatusCode),
    /// Plain HTTP that leaves this machine.
    #[error("http is for loopback only, and the name stands for another machine")]
    NotLoopback,
    /// The certificates to trust.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// Not within the configured time.
    #[error("it did not come in time")]
    Timeout,
    /// What was read is no key set.
    #[error(transparent)]
    Invalid(#[from] InvalidJwks),
}

/// Where the key set is.
#[derive(Clone)]
pub enum JwksSource {
    /// A file, read again and again.
    File(PathBuf),
    /// A server.
    Url {
        /// Its address.
        url: JwksUrl,
        /// Whom to trust, for https.
        tls: Arc<ClientConfig>,
    },
}

impl JwksSource {
    /// A server. `ca_file` has the certificates (PEM) to trust instead of the public ones.
    ///
    /// # Errors
    /// [`JwksError::Trust`].
    pub fn url(url: JwksUrl, ca_file: Option<&Path>) -> Result<Self, JwksError> {
        Ok(Self::Url { url, tls: tls::client_config(ca_file, None)? })
    }

    pub(super) async fn read(&self) -> Result<Bytes, JwksError> {
        match self {
            Self::File(path) => read_file(path)
                .await
                .map_err(|cause| JwksError::File { path: path.clone(), cause })?
                .ok_or(JwksError::TooLarge),
            Self::Url { url, tls } => fetch::get(url, tls.clone()).await,
        }
    }
}

impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url { url, .. } => url.fmt(f),
        }
    }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `None`: it is too large.
async fn read_file(path: &Path) -> std::io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    let mut file = tokio::fs::File::open(path).await?.take(JWKS_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes).await?;
    Ok((bytes.len() <= JWKS_BYTES_MAX).then(|| bytes.into()))
}

/// `https://…`, or `http://…` of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    uri: Uri,
    is_https: bool,
}

/// Why a text is no [`JwksUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwksUrl {
    /// Not `scheme://host…`.
    #[error("is no URL")]
    NotUrl,
    /// It would be logged.
    #[error("has a user or a password in it")]
    HasCredentials,
    /// Whoever is on the way could make users.
    #[error("is not https (http is for loopback only)")]
    NotHttps,
}

impl JwksUrl {
    /// The host as names are looked up: an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https { 443 } else { 80 })
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// For the header `host`.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl FromStr for JwksUrl {
    type Err = InvalidJwksUrl;

    fn from_str(text: &str) -> Result<Self, InvalidJwksUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidJwksUrl::NotUrl)?;
        let (scheme, authority) = uri.scheme().zip(uri.authority()).ok_or(InvalidJwksUrl::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(InvalidJwksUrl::HasCredentials);
        }
        let is_https = *scheme == Scheme::HTTPS;
        let url = Self { is_https, uri: uri.clone() };
        let is_here = url.host() == "localhost" || url.host().parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if is_https || (*scheme == Scheme::HTTP && is_here) { Ok(url) } else { Err(InvalidJwksUrl::NotHttps) }
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl Serialize for JwksUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JwksUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
