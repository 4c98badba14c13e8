//! `viberchat config check|show|example`.

use crate::command::{ConfigArgs, ConfigCommand, ListenArgs};
use crate::config::Config;

const KEYS_EXAMPLE: &str = "
# The keys of the deployment, each 32 random bytes, the same on every instance: `openssl rand -base64 32`.
# tokens and pages can be replaced: move the present one to tokens_previous or pages_previous. fingerprint never changes.
# [keys]
# tokens = \"base64:…\"
# pages = \"base64:…\"
# fingerprint = \"base64:…\"
";

/// Keys of a section that have no default, below its heading.
const OPTIONAL_KEYS: &[(&str, &str)] = &[
    ("[conversation.postgres]\n", POSTGRES_KEYS),
    ("[presence.postgres]\n", POSTGRES_KEYS),
    (
        "[message.cassandra]\n",
        "\
# Over TLS: whom to trust, and who we are, if the nodes want to know.
# ca_file = \"/etc/viberchat/cassandra-ca.pem\"
# certificate_file = \"/etc/viberchat/cassandra.pem\"
# key_file = \"/etc/viberchat/cassandra-key.pem\"
",
    ),
    (
        "[auth]\n",
        "\
# The public keys of the host application, RS256, ES256 or EdDSA: a file or an address, and whom to trust for it.
# jwks_file = \"/etc/viberchat/jwks.json\"
# jwks_url = \"https://id.example.org/.well-known/jwks.json\"
# jwks_ca_file = \"/etc/viberchat/ca.pem\"
",
    ),
    (
        "[services]\n",
        "\
# For processes that run one service each: where the others are, and a service token to show them, which is otherwise
# signed with keys.tokens.
# conversation = \"http://conversation:8081\"
# message = \"http://message:8081\"
# presence = \"http://presence:8081\"
# token_file = \"/run/secrets/viberchat-token\"
",
    ),
];

const POSTGRES_KEYS: &str = "\
# Where the server is; better in the environment, as VIBERCHAT__CONVERSATION__POSTGRES__URL or …__PRESENCE__…
# url = \"postgres://viberchat:password@db.example.org:5432/viberchat\"
# Whom to trust for it, and who we are, if the server wants to know.
# ca_file = \"/etc/viberchat/postgres-ca.pem\"
# certificate_file = \"/etc/viberchat/postgres.pem\"
# key_file = \"/etc/viberchat/postgres-key.pem\"
";

pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => {
            load(args)?.require_keys()?;
            println!("the configuration is good");
        }
        ConfigCommand::Show(args) => print!("{}", toml::to_string(&load(args)?)?),
        ConfigCommand::Example => {
            println!(
                "# Every key with its default. The environment wins over the file: VIBERCHAT__LISTEN__HTTP=0.0.0.0:8080\n"
            );
            print!("{}", example()?);
        }
    }
    Ok(())
}

fn example() -> anyhow::Result<String> {
    let mut text = toml::to_string(&Config::default())?;
    for (heading, keys) in OPTIONAL_KEYS {
        text = text.replacen(heading, &format!("{heading}{keys}"), 1);
    }
    Ok(text + KEYS_EXAMPLE)
}

fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    Config::load(args.config.as_deref(), &ListenArgs::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key, also those that are comments in the example.
    #[test]
    fn the_example_is_a_good_configuration_with_every_key() {
        let text = example().unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.findings(), Vec::<String>::new());
        for key in ["jwks_file", "jwks_url", "jwks_ca_file", "issuer", "token_lifetime_max_s", "presence", "token_file"]
        {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
        let uncommented: String = text
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .filter(|line| line.contains(" = ") || line.starts_with('['))
            .map(|line| format!("{line}\n"))
            .collect();
        let uncommented = uncommented.replace("base64:…", "base64:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        let config: Config = toml::from_str(&uncommented).unwrap();
        assert!(config.keys.is_some() && config.auth.jwks_url.is_some(), "{uncommented}");
        assert!(config.message.cassandra.ca_file.is_some() && config.message.cassandra.key_file.is_some());
        assert!(config.conversation.postgres.url.is_some() && config.presence.postgres.key_file.is_some());
    }
}
