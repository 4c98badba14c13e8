//! Settings of the service, their defaults and what is allowed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viberchat_kit::config::ConfigError;
use viberchat_kit::store::Engine;
use viberchat_kit::store::postgres::Settings;

use crate::domain::Limits;

/// The section of the configuration.
const SECTION: &str = "conversation";

/// The section `[conversation]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where conversations and users are kept: `sqlite` (one process) or `postgres` (any number of instances).
    pub store: Engine,
    /// The SQLite file.
    pub data_file: PathBuf,
    /// Connections that read, besides the one that writes.
    pub reader_connections: u32,
    /// Who counts as a user.
    pub directory: Directory,
    /// Whom users find. Services that act for nobody find everybody.
    pub search: Search,
    /// Whether a user may have a direct conversation with themselves.
    pub allow_self_conversation: bool,
    /// Members of a group at most.
    pub group_members_max: u32,
    /// Members in one call at most.
    pub call_members_max: u32,
    /// Conversations in a user's list at most.
    pub user_conversations_max: u32,
    /// Users whom a user may block at most.
    pub user_blocks_max: u32,
    /// How long the same request id gives the first result.
    pub request_retention_ms: u64,
    /// How long a call waits for the seq of its entry before it says `pending`.
    pub entry_wait_ms: u64,
    /// How long one append to the log may take.
    pub relay_timeout_ms: u64,
    /// How often the relay looks for entries that are left.
    pub relay_interval_ms: u64,
    /// The same while the log cannot be reached: the interval doubles up to this.
    pub relay_backoff_max_ms: u64,
    /// How often changes of other processes are looked for, whether the bus says that there are some or not.
    pub watch_poll_ms: u64,
    /// How long changes are kept for processes that look for them, and for streams that resume.
    pub watch_retention_ms: u64,
    /// Users on one stream of memberships at most.
    pub watch_users_max: u32,
    /// Changes that may wait for a slow stream before it is ended.
    pub watch_queue_max: u32,
    /// How to reach PostgreSQL.
    pub postgres: Settings,
}

/// Who counts as a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directory {
    /// Every well-formed id, known or not, that was not deactivated.
    #[default]
    Open,
    /// Only those that the host application has pushed.
    Strict,
}

/// Whom users find by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// Those with whom they share a conversation.
    #[default]
    Shared,
    /// Everybody.
    Everybody,
    /// Nobody: searches are refused.
    Off,
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Engine::Sqlite,
            data_file: PathBuf::from("conversation.sqlite"),
            reader_connections: 4,
            directory: Directory::Open,
            search: Search::Shared,
            allow_self_conversation: false,
            group_members_max: 5_000,
            call_members_max: 200,
            user_conversations_max: 10_000,
            user_blocks_max: 10_000,
            request_retention_ms: 24 * HOUR_MS,
            entry_wait_ms: SECOND_MS,
            relay_timeout_ms: 5 * SECOND_MS,
            relay_interval_ms: SECOND_MS,
            relay_backoff_max_ms: 10 * SECOND_MS,
            watch_poll_ms: 250,
            watch_retention_ms: 10 * MINUTE_MS,
            watch_users_max: 50_000,
            watch_queue_max: 8_192,
            postgres: Settings::default(),
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// Names each key that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let numbers: [(&str, u64, RangeInclusive<u64>); 14] = [
            ("reader_connections", self.reader_connections.into(), 1..=64),
            ("group_members_max", self.group_members_max.into(), 2..=5_000),
            ("call_members_max", self.call_members_max.into(), 1..=200),
            ("user_conversations_max", self.user_conversations_max.into(), 1..=100_000),
            ("user_blocks_max", self.user_blocks_max.into(), 1..=100_000),
            ("request_retention_ms", self.request_retention_ms, HOUR_MS..=30 * 24 * HOUR_MS),
            ("entry_wait_ms", self.entry_wait_ms, 1..=MINUTE_MS),
            ("relay_timeout_ms", self.relay_timeout_ms, 10..=MINUTE_MS),
            ("relay_interval_ms", self.relay_interval_ms, 10..=MINUTE_MS),
            ("relay_backoff_max_ms", self.relay_backoff_max_ms, self.relay_interval_ms..=HOUR_MS),
            // Changes of another process have to show within a second.
            ("watch_poll_ms", self.watch_poll_ms, 10..=SECOND_MS),
            ("watch_retention_ms", self.watch_retention_ms, MINUTE_MS..=24 * HOUR_MS),
            ("watch_users_max", self.watch_users_max.into(), 1..=1_000_000),
            ("watch_queue_max", self.watch_queue_max.into(), 16..=1_000_000),
        ];
        let mut findings = Vec::new();
        if self.data_file.as_os_str().is_empty() {
            findings.push(format!("{SECTION}.data_file: is empty"));
        }
        for (key, value, allowed) in numbers {
            if !allowed.contains(&value) {
                let (from, to) = allowed.into_inner();
                findings.push(format!("{SECTION}.{key}: is {value}, allowed are {from} to {to}"));
            }
        }
        findings.extend(self.postgres.findings(&format!("{SECTION}.postgres")));
        if self.store == Engine::Postgres && self.postgres.url.is_none() {
            findings.push(format!("{SECTION}.postgres.url: is missing, and {SECTION}.store is postgres"));
        }
        if findings.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(findings)) }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            group_members_max: self.group_members_max,
            call_members_max: self.call_members_max,
            user_conversations_max: self.user_conversations_max,
            user_blocks_max: self.user_blocks_max,
            known_users_only: self.directory == Directory::Strict,
        }
    }

    pub(crate) fn entry_wait(&self) -> Duration {
        Duration::from_millis(self.entry_wait_ms)
    }

    pub(crate) fn request_retention(&self) -> Duration {
        Duration::from_millis(self.request_retention_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn validate(config: Value) -> Result<(), ConfigError> {
        serde_json::from_value::<Config>(config).expect("the shape is right").validate()
    }

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn every_number_and_path_has_a_check_that_names_its_key() {
        let default = serde_json::to_value(Config::default()).unwrap();
        let mut checked = 0;
        for (key, value) in default.as_object().unwrap() {
            let wrong = match value {
                Value::Number(_) => vec![json!(0), json!(u32::MAX)],
                Value::String(_) if key == "data_file" => vec![json!("")],
                _ => continue,
            };
            for value in wrong {
                let mut config = default.clone();
                config[key] = value;
                let error = validate(config).expect_err(key).to_string();
                assert!(error.contains(&format!("conversation.{key}: ")), "{error}");
            }
            checked += 1;
        }
        assert_eq!(checked, 15);
    }

    #[test]
    fn postgres_needs_its_address_and_has_its_checks() {
        let missing = validate(json!({"store": "postgres"})).unwrap_err().to_string();
        assert!(missing.contains("conversation.postgres.url: "), "{missing}");
        validate(json!({"store": "postgres", "postgres": {"url": "postgres://chat@localhost/chat"}})).unwrap();
        let wrong = validate(json!({"postgres": {"namespace": "A"}})).unwrap_err().to_string();
        assert!(wrong.contains("conversation.postgres.namespace: "), "{wrong}");
        assert!(serde_json::from_value::<Config>(json!({"store": "mysql"})).is_err());
    }

    #[test]
    fn directories_and_searches_go_by_their_names() {
        let config: Config = serde_json::from_value(json!({"directory": "strict", "search": "everybody"})).unwrap();
        assert_eq!((config.directory, config.search), (Directory::Strict, Search::Everybody));
        assert!(config.limits().known_users_only && !Config::default().limits().known_users_only);
        // Nobody finds strangers unless somebody has decided so.
        assert_eq!(Config::default().search, Search::Shared);
    }

    #[test]
    fn unknown_keys_and_directories_are_refused() {
        assert!(serde_json::from_value::<Config>(json!({"data_fill": "x"})).is_err());
        assert!(serde_json::from_value::<Config>(json!({"directory": "closed"})).is_err());
        assert!(serde_json::from_value::<Config>(json!({"search": "nearby"})).is_err());
    }
}
