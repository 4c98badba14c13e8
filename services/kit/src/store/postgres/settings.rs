use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// How to reach PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Server, database and account: `postgres://user:password@host:5432/database`. The password is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<DatabaseUrl>,
    /// What the name of the schema begins with, so that several deployments share a database. The service's name follows.
    pub namespace: String,
    /// `disable`, `prefer` (without a check of the server), `require`, `verify_ca` or `verify_full`.
    pub tls: Tls,
    /// Certificates (PEM) to trust besides the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), if the server wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Connections of one instance at most.
    pub connections_max: u32,
    /// How long a call waits for a connection.
    pub connect_timeout_ms: u64,
    /// How long one statement may take, and how long a transaction may be silent.
    pub statement_timeout_ms: u64,
    /// How long a statement waits for a lock.
    pub lock_timeout_ms: u64,
    /// Whether a start brings the schema up to date. Otherwise `viberchat migrate schema` does, and a start without refuses.
    pub migrate_on_start: bool,
}

/// How far the server is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Plain text.
    Disable,
    /// Encrypted if the server can, whoever it is.
    #[default]
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, with a certificate that is trusted.
    VerifyCa,
    /// And that is the host's.
    VerifyFull,
}

/// An address with a password, which it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Arc<str>);

/// Text that is no address of PostgreSQL. Does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Another one, or none.
    #[error("does not begin with postgres://")]
    Scheme,
    /// `?sslmode=…` and the like.
    #[error("has parameters; TLS and timeouts are settings of their own")]
    Parameters,
    /// Not an address.
    #[error("is no address: postgres://user:password@host:5432/database, special characters as %XX")]
    Malformed,
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
/// With the service's name a schema has to stay within 63 bytes.
const NAMESPACE_BYTES_MAX: usize = 40;

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            namespace: "viberchat".into(),
            tls: Tls::Prefer,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            connections_max: 16,
            connect_timeout_ms: 3 * SECOND_MS,
            statement_timeout_ms: 5 * SECOND_MS,
            lock_timeout_ms: 2 * SECOND_MS,
            migrate_on_start: false,
        }
    }
}

impl Settings {
    /// What is wrong, as `section.key: problem`.
    pub fn findings(&self, section: &str) -> Vec<String> {
        let numbers: [(&str, u64, RangeInclusive<u64>); 4] = [
            ("connections_max", self.connections_max.into(), 2..=1_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 100..=MINUTE_MS),
            ("statement_timeout_ms", self.statement_timeout_ms, 100..=MINUTE_MS),
            ("lock_timeout_ms", self.lock_timeout_ms, 10..=self.statement_timeout_ms),
        ];
        let mut found = Vec::new();
        if !is_namespace(&self.namespace) {
            found.push(format!(
                "{section}.namespace: has to be 1 to {NAMESPACE_BYTES_MAX} of a-z, 0-9 and _, beginning with a letter"
            ));
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            found.push(format!("{section}.key_file: belongs to certificate_file, and only to it"));
        }
        for (key, value, allowed) in numbers {
            if !allowed.contains(&value) {
                let (from, to) = allowed.into_inner();
                found.push(format!("{section}.{key}: is {value}, allowed are {from} to {to}"));
            }
        }
        found
    }

    /// The schema of a service.
    pub fn schema(&self, service: &str) -> String {
        format!("{}_{service}", self.namespace)
    }

    /// The server and the schema, for people.
    pub fn place(&self, service: &str) -> String {
        let url = self.url.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("PostgreSQL {url}, schema {}", self.schema(service))
    }

    pub(super) fn connect_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let url = self.url.as_ref().ok_or_else(|| sqlx::Error::Configuration("url is missing".into()))?;
        let mut options = PgConnectOptions::from_str(&url.0)?
            .application_name("viberchat")
            .ssl_mode(match self.tls {
                Tls::Disable => PgSslMode::Disable,
                Tls::Prefer => PgSslMode::Prefer,
                Tls::Require => PgSslMode::Require,
                Tls::VerifyCa => PgSslMode::VerifyCa,
                Tls::VerifyFull => PgSslMode::VerifyFull,
            })
            .disable_statement_logging();
        if let Some(file) = &self.ca_file {
            options = options.ssl_root_cert(file);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        Ok(options)
    }
}

fn is_namespace(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    begins_well && text.len() <= NAMESPACE_BYTES_MAX && text.bytes().all(plain)
}

impl DatabaseUrl {
    /// As it is written in configuration.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(InvalidUrl::Scheme);
        }
        if text.contains('?') {
            return Err(InvalidUrl::Parameters);
        }
        PgConnectOptions::from_str(text).map_err(|_| InvalidUrl::Malformed)?;
        Ok(Self(text.into()))
    }
}

/// Without the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", &self.0));
        let Some((account, place)) = rest.rsplit_once('@') else { return write!(f, "{scheme}://{rest}") };
        match account.split_once(':') {
            Some((user, _)) => write!(f, "{scheme}://{user}:(secret)@{place}"),
            None => write!(f, "{scheme}://{account}@{place}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Redacted: a configuration that is printed shows no secret.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_printed_by_nothing() {
        let url = DatabaseUrl::parse("postgres://chat:p%40ss@db.example.org:5433/chat").unwrap();
        let settings = Settings { url: Some(url), ..Settings::default() };
        let shown = [format!("{settings:?}"), serde_json::to_string(&settings).unwrap(), settings.place("x")];
        for text in shown {
            assert!(!text.contains("p%40ss") && text.contains("chat:(secret)@db.example.org:5433/chat"), "{text}");
        }
        let without = DatabaseUrl::parse("postgresql://chat@localhost/chat").unwrap();
        assert_eq!(without.to_string(), "postgresql://chat@localhost/chat");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        let refusal = |text: &str| DatabaseUrl::parse(text).unwrap_err();
        assert_eq!(refusal("mysql://u:secret@h/d"), InvalidUrl::Scheme);
        assert_eq!(refusal("postgres://u:secret@h/d?sslmode=disable"), InvalidUrl::Parameters);
        assert_eq!(refusal("postgres://u:secret@h:no/d"), InvalidUrl::Malformed);
        assert!(!refusal("postgres://u:secret@h:no/d").to_string().contains("secret"));
    }

    #[test]
    fn each_wrong_value_is_named() {
        let one = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.findings("s").join("; ")
        };
        assert_eq!(Settings::default().findings("s"), Vec::<String>::new());
        for namespace in ["", "A", "1a", "a-b", "a\"b", "é", &"a".repeat(41)] {
            let settings = Settings { namespace: namespace.into(), ..Settings::default() };
            assert!(settings.findings("s").join(";").starts_with("s.namespace: "), "{namespace}");
        }
        assert!(one(|settings| settings.connections_max = 1).starts_with("s.connections_max: is 1"));
        assert!(one(|settings| settings.connect_timeout_ms = 0).starts_with("s.connect_timeout_ms: "));
        assert!(one(|settings| settings.statement_timeout_ms = 60_001).starts_with("s.statement_timeout_ms: "));
        assert!(one(|settings| settings.lock_timeout_ms = 5_001).starts_with("s.lock_timeout_ms: "));
        assert!(one(|settings| settings.key_file = Some("k".into())).starts_with("s.key_file: "));
    }
}
