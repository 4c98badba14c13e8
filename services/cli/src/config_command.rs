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
            print!("{}{KEYS_EXAMPLE}", toml::to_string(&Config::default())?);
        }
    }
    Ok(())
}

fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    Config::load(args.config.as_deref(), &ListenArgs::default())
}
