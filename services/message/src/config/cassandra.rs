use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use viberchat_kit::keys::Password;
use viberchat_kit::tls::Identity;

/// The section `message.cassandra`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CassandraConfig {
    /// Hosts with ports of some nodes, to begin with.
    pub contact_points: Vec<String>,
    /// Begins the name of the keyspace, `<namespace>_message`, so that several deployments can share a cluster.
    pub namespace: String,
    /// The data center that is written to and read from.
    pub data_center: String,
    /// Copies of each row in that data center, for a keyspace that is made.
    pub replication_factor: u32,
    /// Who signs in; empty: nobody.
    pub username: String,
    /// Their password.
    pub password: Password,
    /// Whether connections are encrypted. The certificate of each node has to name the IP address that it is reached at.
    pub tls: bool,
    /// Certificates (PEM) to trust, instead of the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), if the nodes want one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Whether a start brings the schema up to date. Otherwise `viberchat migrate schema` does, and a start without refuses.
    pub migrate_on_start: bool,
    /// For a connection to be made.
    pub connect_timeout_ms: u64,
    /// For a read, and for a write that may be repeated.
    pub request_timeout_ms: u64,
    /// For an append. Beyond it its outcome is unknown and the log is read.
    pub append_timeout_ms: u64,
    /// After this time without an answer another replica is asked as well. 0: never.
    pub speculative_delay_ms: u64,
    /// Conversations whose head is remembered.
    pub logs_max: u64,
}

impl Default for CassandraConfig {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            namespace: "viberchat".to_owned(),
            data_center: "datacenter1".to_owned(),
            replication_factor: 3,
            username: String::new(),
            password: Password::default(),
            tls: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            migrate_on_start: false,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 5_000,
            append_timeout_ms: 5_000,
            speculative_delay_ms: 100,
            logs_max: 100_000,
        }
    }
}

/// A keyspace has at most 48 characters, and ours ends with `_message`.
const NAMESPACE_LEN_MAX: usize = 40;

impl CassandraConfig {
    /// The keyspace.
    pub(crate) fn keyspace(&self) -> String {
        format!("{}_message", self.namespace)
    }

    /// Who we are, for nodes that want to know.
    pub(crate) fn identity(&self) -> Option<Identity<'_>> {
        let (certificate_file, key_file) = (self.certificate_file.as_deref()?, self.key_file.as_deref()?);
        Some(Identity { certificate_file, key_file })
    }

    /// What is wrong, each with its key.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, good: bool, rule: &str| {
            if !good {
                wrong.push(format!("message.cassandra.{key}: has to be {rule}"));
            }
        };
        let is_address = |point: &String| {
            point.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let named = !self.contact_points.is_empty() && self.contact_points.iter().all(is_address);
        check("contact_points", named, "a list of addresses like host:9042");
        // It becomes part of statements as it is.
        let is_name = self.namespace.starts_with(|first: char| first.is_ascii_lowercase())
            && self.namespace.len() <= NAMESPACE_LEN_MAX
            && self.namespace.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        check("namespace", is_name, "1 to 40 of a-z, 0-9 and _, a letter first");
        let is_place = !self.data_center.is_empty()
            && self.data_center.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        check("data_center", is_place, "the name of a data center: letters, digits, '_', '-', '.'");
        check("replication_factor", (1..=9).contains(&self.replication_factor), "1 to 9");
        let signs_in = self.username.is_empty() == self.password.is_empty();
        check("password", signs_in, "set exactly if username is");
        // Whoever names them expects encryption.
        check("ca_file", self.tls || self.ca_file.is_none(), "left out without tls");
        check("certificate_file", self.tls || self.certificate_file.is_none(), "left out without tls");
        let both = self.certificate_file.is_some() == self.key_file.is_some();
        check("key_file", both, "set exactly if certificate_file is");
        check("connect_timeout_ms", self.connect_timeout_ms >= 1, "at least 1");
        check("request_timeout_ms", self.request_timeout_ms >= 1, "at least 1");
        check("append_timeout_ms", self.append_timeout_ms >= 1, "at least 1");
        let is_early = self.speculative_delay_ms < self.request_timeout_ms;
        check("speculative_delay_ms", is_early, "less than request_timeout_ms");
        check("logs_max", self.logs_max >= 1, "at least 1");
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        let refused = |change: fn(&mut CassandraConfig)| {
            let mut config = CassandraConfig::default();
            change(&mut config);
            config.findings().join(", ")
        };
        assert_eq!(refused(|_| {}), "");
        assert_eq!(refused(|config| (config.tls, config.ca_file) = (true, Some("ca.pem".into()))), "");
        for (key, said) in [
            ("contact_points", refused(|config| config.contact_points.clear())),
            ("contact_points", refused(|config| config.contact_points = vec!["host".to_owned()])),
            ("namespace", refused(|config| config.namespace = "a; DROP".to_owned())),
            ("namespace", refused(|config| config.namespace = "a".repeat(41))),
            ("data_center", refused(|config| config.data_center = "it's".to_owned())),
            ("replication_factor", refused(|config| config.replication_factor = 0)),
            ("password", refused(|config| config.username = "somebody".to_owned())),
            ("ca_file", refused(|config| config.ca_file = Some("ca.pem".into()))),
            (
                "certificate_file",
                refused(|config| {
                    (config.certificate_file, config.key_file) = (Some("own.pem".into()), Some("key.pem".into()));
                }),
            ),
            ("key_file", refused(|config| (config.tls, config.certificate_file) = (true, Some("own.pem".into())))),
            ("key_file", refused(|config| (config.tls, config.key_file) = (true, Some("key.pem".into())))),
            ("connect_timeout_ms", refused(|config| config.connect_timeout_ms = 0)),
            ("request_timeout_ms", refused(|config| config.request_timeout_ms = 0)),
            ("append_timeout_ms", refused(|config| config.append_timeout_ms = 0)),
            ("speculative_delay_ms", refused(|config| config.speculative_delay_ms = 5_000)),
            ("logs_max", refused(|config| config.logs_max = 0)),
        ] {
            assert!(said.starts_with(&format!("message.cassandra.{key}: ")), "{key}: {said}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let config = CassandraConfig { password: "hunter2".into(), ..CassandraConfig::default() };
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("(secret)"), "{shown}");
    }
}
