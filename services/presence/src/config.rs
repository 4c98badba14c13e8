//! Settings of the service, their defaults and what is allowed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viberchat_kit::config::ConfigError;
use viberchat_kit::store::Engine;
use viberchat_kit::store::postgres::Settings;

use crate::domain::registry::Limits;
use crate::domain::typing::TypingLimits;

/// The section of the configuration.
const SECTION: &str = "presence";

/// The section `[presence]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where statuses and last-seen times are kept: `sqlite` (one process) or `postgres` (any number of instances).
    pub store: Engine,
    /// The SQLite file.
    pub data_file: PathBuf,
    /// Connections that read, besides the one that writes.
    pub reader_connections: u32,
    /// Gateways at most.
    pub gateways_max: u32,
    /// Sessions of all gateways at most; more are not counted.
    pub sessions_max: u32,
    /// How often gateways hear from the service on their streams, and it from them.
    pub attach_heartbeat_ms: u64,
    /// A gateway that is silent for so long loses its stream.
    pub attach_silence_ms: u64,
    /// Sessions of a gateway that was not heard of for so long are gone.
    pub attach_grace_ms: u64,
    /// For so long after the start nobody is offline. Longer than a new instance takes to be known to all gateways.
    pub start_grace_ms: u64,
    /// How often last-seen times are written.
    pub last_seen_interval_ms: u64,
    /// Statuses that may wait to be written; more are refused.
    pub status_queue_max: u32,
    /// How long an answer about a shared conversation serves.
    pub visibility_ms: u64,
    /// How often those who watch are asked about again; also after a failure.
    pub visibility_check_ms: u64,
    /// Answers about shared conversations that are kept.
    pub visibilities_max: u32,
    /// Pairs of users on one stream of presences at most.
    pub watch_pairs_max: u32,
    /// Users that one user follows on a stream at most.
    pub watch_users_max: u32,
    /// How often streams say that they live.
    pub heartbeat_interval_ms: u64,
    /// Typing that is not repeated for so long is over.
    pub typing_ms: u64,
    /// Users who type at once; more are not noted.
    pub typists_max: u32,
    /// The same in one conversation.
    pub conversation_typists_max: u32,
    /// Conversations that users follow on one stream of typing at most, counted for each user.
    pub typing_follows_max: u32,
    /// Conversations on one stream of typing at most, gateways' included.
    pub typing_conversations_max: u32,
    /// How often users who follow typing are asked about again.
    pub typing_check_ms: u64,
    /// How long members go on while the conversation service does not answer.
    pub authorization_grace_ms: u64,
    /// Members that are remembered.
    pub authorizations_max: u32,
    /// How long a question to the conversation service, or to the store, may take.
    pub call_timeout_ms: u64,
    /// How to reach PostgreSQL.
    pub postgres: Settings,
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Engine::Sqlite,
            data_file: PathBuf::from("presence.sqlite"),
            reader_connections: 2,
            gateways_max: 1_000,
            sessions_max: 1_000_000,
            attach_heartbeat_ms: 2 * SECOND_MS,
            attach_silence_ms: 5 * SECOND_MS,
            attach_grace_ms: 9 * SECOND_MS,
            start_grace_ms: 10 * SECOND_MS,
            last_seen_interval_ms: 5 * SECOND_MS,
            status_queue_max: 1_024,
            visibility_ms: MINUTE_MS,
            visibility_check_ms: 30 * SECOND_MS,
            visibilities_max: 200_000,
            watch_pairs_max: 100_000,
            watch_users_max: 1_000,
            heartbeat_interval_ms: 15 * SECOND_MS,
            typing_ms: 6 * SECOND_MS,
            typists_max: 100_000,
            conversation_typists_max: 50,
            typing_follows_max: 1_000,
            typing_conversations_max: 100_000,
            typing_check_ms: 400,
            authorization_grace_ms: 10 * SECOND_MS,
            authorizations_max: 100_000,
            call_timeout_ms: 2 * SECOND_MS,
            postgres: Settings { connections_max: 4, ..Settings::default() },
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// Names each key that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut findings = Vec::new();
        if self.data_file.as_os_str().is_empty() {
            findings.push(format!("{SECTION}.data_file: is empty"));
        }
        for (key, value, allowed) in self.counts().into_iter().chain(self.times()) {
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

    fn counts(&self) -> Vec<(&'static str, u64, RangeInclusive<u64>)> {
        let count = |key, value: u32, max: u64| (key, u64::from(value), 1..=max);
        vec![
            count("reader_connections", self.reader_connections, 64),
            count("gateways_max", self.gateways_max, 100_000),
            count("sessions_max", self.sessions_max, 100_000_000),
            count("status_queue_max", self.status_queue_max, 1_000_000),
            count("visibilities_max", self.visibilities_max, 100_000_000),
            count("watch_pairs_max", self.watch_pairs_max, 10_000_000),
            count("watch_users_max", self.watch_users_max, 1_000_000),
            count("typists_max", self.typists_max, 10_000_000),
            count("conversation_typists_max", self.conversation_typists_max, 5_000),
            count("typing_follows_max", self.typing_follows_max, 100_000),
            count("typing_conversations_max", self.typing_conversations_max, 10_000_000),
            count("authorizations_max", self.authorizations_max, 100_000_000),
        ]
    }

    fn times(&self) -> Vec<(&'static str, u64, RangeInclusive<u64>)> {
        vec![
            ("attach_heartbeat_ms", self.attach_heartbeat_ms, 1..=4 * SECOND_MS),
            ("attach_silence_ms", self.attach_silence_ms, self.attach_heartbeat_ms..=self.attach_grace_ms),
            // A crash shows within 10 s, and the sweep takes its part of them.
            ("attach_grace_ms", self.attach_grace_ms, 1..=9_500),
            ("start_grace_ms", self.start_grace_ms, 1..=MINUTE_MS),
            ("last_seen_interval_ms", self.last_seen_interval_ms, 1..=MINUTE_MS),
            ("visibility_ms", self.visibility_ms, 1..=MINUTE_MS),
            ("visibility_check_ms", self.visibility_check_ms, 1..=self.visibility_ms),
            ("heartbeat_interval_ms", self.heartbeat_interval_ms, 1..=MINUTE_MS),
            ("typing_ms", self.typing_ms, 1..=MINUTE_MS),
            // With the age that an answer may have, a removal ends what is followed within a second.
            ("typing_check_ms", self.typing_check_ms, 1..=900),
            ("authorization_grace_ms", self.authorization_grace_ms, 1..=MINUTE_MS),
            ("call_timeout_ms", self.call_timeout_ms, 1..=MINUTE_MS),
        ]
    }

    pub(crate) fn registry_limits(&self) -> Limits {
        Limits {
            gateways_max: self.gateways_max as usize,
            sessions_max: self.sessions_max as usize,
            unsaved_max: self.sessions_max as usize,
            grace: Duration::from_millis(self.attach_grace_ms),
        }
    }

    pub(crate) fn typing_limits(&self) -> TypingLimits {
        TypingLimits {
            typists_max: self.typists_max as usize,
            conversation_typists_max: self.conversation_typists_max as usize,
            lifetime: Duration::from_millis(self.typing_ms),
        }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn every_number_and_path_has_a_check_that_names_its_key() {
        let default = serde_json::to_value(Config::default()).unwrap();
        for (key, value) in default.as_object().unwrap() {
            let wrong = match value {
                Value::Number(_) => vec![json!(0), json!(u32::MAX)],
                Value::String(_) if key == "data_file" => vec![json!("")],
                _ => continue,
            };
            for value in wrong {
                let mut config = default.clone();
                config[key] = value;
                let config: Config = serde_json::from_value(config).expect("the shape is right");
                let error = config.validate().expect_err(key).to_string();
                assert!(error.contains(&format!("presence.{key}: ")), "{error}");
            }
        }
    }

    #[test]
    fn postgres_needs_its_address_and_has_its_checks() {
        let findings = |config: Value| {
            let config: Config = serde_json::from_value(config).expect("the shape is right");
            config.validate().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(findings(json!({"store": "postgres"})).contains("presence.postgres.url: "));
        assert_eq!(findings(json!({"store": "postgres", "postgres": {"url": "postgres://chat@localhost/chat"}})), "");
        assert!(findings(json!({"postgres": {"lock_timeout_ms": 0}})).contains("presence.postgres.lock_timeout_ms: "));
    }

    #[test]
    fn a_crash_shows_within_ten_seconds_or_the_service_does_not_start() {
        let config = Config { attach_grace_ms: 9_501, ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("presence.attach_grace_ms: "));
        let config = Config { attach_silence_ms: 9_001, ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("presence.attach_silence_ms: "));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_value::<Config>(json!({"data_fill": "x"})).is_err());
    }
}
