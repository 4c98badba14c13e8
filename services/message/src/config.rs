//! What can be configured, each with its default and its check. `cassandra` is the section of its own.

mod cassandra;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viberchat_kit::config::ConfigError;

pub use self::cassandra::CassandraConfig;

/// Where the log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreEngine {
    /// One file.
    #[default]
    Sqlite,
    /// Cassandra or ScyllaDB.
    Cassandra,
}

/// The section `message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the log is kept: `sqlite` or `cassandra`.
    pub store: StoreEngine,
    /// The SQLite file.
    pub data_file: PathBuf,
    /// Bytes of a message's text.
    pub text_bytes_max: usize,
    /// How old an answer about a member may become while the conversation service does not answer.
    pub authorization_grace_ms: u64,
    /// Answers about members that are remembered.
    pub authorizations_max: u64,
    /// Connections that read.
    pub readers: usize,
    /// Writes that may wait for the store.
    pub write_queue_max: usize,
    /// Conversations whose head is kept in memory.
    pub lanes_max: usize,
    /// Writes that may wait in one conversation.
    pub lane_pending_max: usize,
    /// Bytes that may wait in all conversations.
    pub pending_bytes_max: usize,
    /// Request ids that are remembered of each conversation, at least 64; up to 16 times as many where many writes wait.
    pub lane_ids_max: usize,
    /// For calls that do not say how long they wait.
    pub timeout_default_ms: u64,
    /// Requests under way on one stream of sends; then the stream is read no further. Well below `lane_pending_max`, so that a
    /// few busy streams are held back instead of refused.
    pub stream_in_flight_max: usize,
    /// Entries that may wait for one subscriber; beyond it they are read again from the log.
    pub subscriber_entries_max: usize,
    /// Conversations that one stream may follow for users. Streams of gateways are not limited.
    pub user_subscriptions_max: usize,
    /// Between heartbeats of a subscription.
    pub heartbeat_interval_ms: u64,
    /// Between reports of a conversation's newest message.
    pub activity_interval_ms: u64,
    /// Between looks whether another process has written to the store.
    pub foreign_writes_interval_ms: u64,
    /// The keyspace, if the store is `cassandra`.
    pub cassandra: CassandraConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: StoreEngine::default(),
            data_file: PathBuf::from("message.sqlite"),
            text_bytes_max: 16 * 1024,
            authorization_grace_ms: 10_000,
            authorizations_max: 100_000,
            readers: 4,
            write_queue_max: 1_024,
            lanes_max: 4_096,
            lane_pending_max: 32_768,
            pending_bytes_max: 64 * 1024 * 1024,
            lane_ids_max: 256,
            timeout_default_ms: 10_000,
            stream_in_flight_max: 2_048,
            subscriber_entries_max: 1_024,
            user_subscriptions_max: 1_000,
            heartbeat_interval_ms: 15_000,
            activity_interval_ms: 5_000,
            foreign_writes_interval_ms: 200,
            cassandra: CassandraConfig::default(),
        }
    }
}

/// Look-ups of ids rely on as many being remembered as one append can bring.
const LANE_IDS_MIN: usize = 64;
/// A batch holds at most 256 KiB, and a text is part of one.
const TEXT_BYTES_LIMIT: usize = 64 * 1024;
/// More would let a subscriber lag longer than the contract says.
const FOREIGN_WRITES_INTERVAL_MS_MAX: u64 = 250;

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// All that is wrong, each with its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, good: bool, rule: &str| {
            if !good {
                wrong.push(format!("message.{key}: has to be {rule}"));
            }
        };
        check("data_file", !self.data_file.as_os_str().is_empty(), "the path of a file");
        check("text_bytes_max", (1..=TEXT_BYTES_LIMIT).contains(&self.text_bytes_max), "1 to 65536");
        check("authorization_grace_ms", self.authorization_grace_ms >= 1, "at least 1");
        check("authorizations_max", self.authorizations_max >= 1, "at least 1");
        check("readers", (1..=64).contains(&self.readers), "1 to 64");
        check("write_queue_max", self.write_queue_max >= 1, "at least 1");
        check("lanes_max", self.lanes_max >= 1, "at least 1");
        check("lane_pending_max", self.lane_pending_max >= 1, "at least 1");
        check("pending_bytes_max", self.pending_bytes_max >= 1 << 20, "at least 1048576");
        check("lane_ids_max", self.lane_ids_max >= LANE_IDS_MIN, "at least 64");
        check("timeout_default_ms", self.timeout_default_ms >= 1, "at least 1");
        check("stream_in_flight_max", self.stream_in_flight_max >= 1, "at least 1");
        check("subscriber_entries_max", self.subscriber_entries_max >= 1, "at least 1");
        check("user_subscriptions_max", self.user_subscriptions_max >= 1, "at least 1");
        check("heartbeat_interval_ms", self.heartbeat_interval_ms >= 1, "at least 1");
        check("activity_interval_ms", self.activity_interval_ms >= 4, "at least 4");
        let polled = (1..=FOREIGN_WRITES_INTERVAL_MS_MAX).contains(&self.foreign_writes_interval_ms);
        check("foreign_writes_interval_ms", polled, "1 to 250");
        wrong.extend(self.cassandra.findings());
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }

    pub(crate) fn timeout_default(&self) -> Duration {
        Duration::from_millis(self.timeout_default_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn every_key_is_checked() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        // Any of its values is right; sections are looked at by themselves.
        let is_checked = |key: &str| !["store", "cassandra"].contains(&key);
        for (key, value) in defaults.as_object().unwrap().iter().filter(|(key, _)| is_checked(key)) {
            let mut broken = defaults.clone();
            broken[key] = if value.is_string() { "".into() } else { 0.into() };
            let config: Config = serde_json::from_value(broken).unwrap();
            let message = config.validate().expect_err(key).to_string();
            assert!(message.starts_with(&format!("message.{key}: ")), "{key}: {message}");
        }
    }
}
