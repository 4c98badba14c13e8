use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::keys::Password;

/// The section `bus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// NATS 2.10 or later: `nats://host:port`, several with commas between. Empty: there is no bus, and instances hear of
    /// each other by the store only.
    pub url: String,
    /// What all subjects begin with: deployments that share a server have different ones.
    pub namespace: String,
    /// Whether only an encrypted connection will do.
    pub tls: bool,
    /// The file with the credentials of a NATS user (`.creds`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// A user, with `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password of `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Certificates of authorities to trust instead of those of the system, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The certificate by which this process is known, PEM, with `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The key of `certificate_file`, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            namespace: "viberchat".to_owned(),
            tls: false,
            credentials_file: None,
            user: None,
            password: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Config {
    /// Whether there is a bus.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// All that is wrong, each with its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, good: bool, rule: &str| {
            if !good {
                wrong.push(format!("bus.{key}: {rule}"));
            }
        };
        let is_address = |url: &str| {
            url.split_once("://").is_some_and(|(scheme, host)| ["nats", "tls"].contains(&scheme) && !host.is_empty())
        };
        let addresses = self.url.is_empty() || self.url.split(',').all(is_address);
        check("url", addresses, "has to be nats://host:port or tls://host:port, several with commas between");
        let is_word = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        let is_good = (1..=64).contains(&self.namespace.len()) && self.namespace.chars().all(is_word);
        check("namespace", is_good, "has to be 1 to 64 letters, digits, _ or -");
        check("password", self.user.is_some() == self.password.is_some(), "goes with bus.user");
        let both = self.certificate_file.is_some() == self.key_file.is_some();
        check("key_file", both, "goes with bus.certificate_file");
        let one = self.user.is_none() || self.credentials_file.is_none();
        check("credentials_file", one, "and bus.user exclude each other");
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Option<String> {
        let config: Config = toml::from_str(text).unwrap();
        config.validate().err().map(|error| error.to_string())
    }

    #[test]
    fn without_an_address_there_is_no_bus() {
        assert_eq!(wrong(""), None);
        assert!(!Config::default().is_set());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for good in ["url = 'nats://one:4222'", "url = 'nats://one:4222,tls://two'", "user = 'a'\npassword = 'b'"] {
            assert_eq!(wrong(good), None, "{good}");
        }
        for (text, key) in [
            ("url = 'one:4222'", "bus.url"),
            ("url = 'nats://one,'", "bus.url"),
            ("url = 'http://one'", "bus.url"),
            ("namespace = ''", "bus.namespace"),
            ("namespace = 'a.b'", "bus.namespace"),
            ("user = 'a'", "bus.password"),
            ("password = 'a'", "bus.password"),
            ("key_file = 'a'", "bus.key_file"),
            ("certificate_file = 'a'", "bus.key_file"),
            ("user = 'a'\npassword = 'b'\ncredentials_file = 'c'", "bus.credentials_file"),
        ] {
            assert!(wrong(text).is_some_and(|text| text.starts_with(key)), "{text}");
        }
    }
}
