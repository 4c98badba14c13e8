//! `docs/reference` is made from the protocol's own comments, the tables of the code and the defaults of the configuration.
//! A page that is no longer what they say fails here; `make gen` writes all pages anew.

mod configuration;
mod descriptor;
mod errors;
mod frames;
mod limits;
mod page;
mod rpcs;
mod scopes;

use std::path::{Path, PathBuf};
use std::{env, fs};

use viberchat_kit::auth::{MethodRule, OPEN_METHODS};

use configuration::Configuration;
use descriptor::Protocol;

/// Tables of all services: what the doors of a process are made of.
const METHODS: &[&[MethodRule]] = &[
    viberchat_conversation::METHODS,
    viberchat_message::METHODS,
    viberchat_presence::METHODS,
    viberchat_gateway::METHODS,
    OPEN_METHODS,
];

/// Where the structs of the configuration stand, by the section that they describe; empty: the top.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("", "services/cli/src/config.rs", "Config"),
    ("listen", "services/cli/src/config.rs", "Listen"),
    ("log", "services/cli/src/config.rs", "Log"),
    ("auth", "services/cli/src/config/auth.rs", "Auth"),
    ("keys", "services/kit/src/keys.rs", "Keys"),
    ("services", "services/cli/src/config/services.rs", "Services"),
    ("bus", "services/kit/src/bus/config.rs", "Config"),
    ("conversation", "services/conversation/src/config.rs", "Config"),
    ("conversation.postgres", POSTGRES, "Settings"),
    ("message", "services/message/src/config.rs", "Config"),
    ("message.cassandra", "services/message/src/config/cassandra.rs", "CassandraConfig"),
    ("presence", "services/presence/src/config.rs", "Config"),
    ("presence.postgres", POSTGRES, "Settings"),
    ("gateway", "services/gateway/src/config.rs", "Config"),
];

const POSTGRES: &str = "services/kit/src/store/postgres/settings.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn rules() -> Vec<MethodRule> {
    METHODS.iter().flat_map(|rules| rules.iter().copied()).collect()
}

fn configuration() -> Configuration {
    let defaults = serde_json::to_value(viberchat_cli::config::Config::default()).expect("it has a JSON form");
    let check = |changed: serde_json::Value| {
        let config: viberchat_cli::config::Config = serde_json::from_value(changed).ok()?;
        Some(config.findings())
    };
    Configuration::read(&root(), SETTINGS, &defaults, &check)
}

#[test]
fn the_generated_reference_is_what_the_code_says() {
    let (protocol, rules, configuration) =
        (Protocol::read(viberchat_proto::FILE_DESCRIPTOR_SET), rules(), configuration());
    let pages = [
        ("rpcs.md", rpcs::page(&protocol, &rules)),
        ("frames.md", frames::page(&protocol)),
        ("errors.md", errors::page(&protocol)),
        ("scopes.md", scopes::page(&rules)),
        ("limits.md", limits::page(&configuration)),
        ("configuration.md", configuration::page(&configuration)),
    ];
    let folder = root().join("docs/reference");
    let mut stale = Vec::new();
    for (name, expected) in pages {
        let file = folder.join(name);
        if env::var_os("VIBERCHAT_GENERATE").is_some() {
            fs::create_dir_all(&folder).expect("docs can be written");
            fs::write(&file, &expected).expect("docs can be written");
        }
        if fs::read_to_string(&file).ok().as_ref() != Some(&expected) {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "docs/reference/{{{}}} is no longer what the code says: make gen", stale.join(","));
}

#[test]
fn every_reason_that_the_protocol_names_is_in_the_table() {
    let protocol = Protocol::read(viberchat_proto::FILE_DESCRIPTOR_SET);
    let unknown: Vec<_> = errors::named(&protocol)
        .into_iter()
        .filter(|(_, reason)| viberchat_kit::error::Reason::parse(reason).is_none())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_method_has_a_rule_and_every_setting_a_meaning() {
    let protocol = Protocol::read(viberchat_proto::FILE_DESCRIPTOR_SET);
    let rules = rules();
    for (path, _) in protocol.methods() {
        assert!(rules.iter().any(|rule| rule.path == path), "{path} is in no table");
    }
    let configuration = configuration();
    let silent: Vec<_> = configuration.keys().filter(|key| key.meaning.is_empty()).map(|key| key.name()).collect();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
    assert!(configuration.keys().count() > 60, "the walk sees the keys");
}
