//! `viberchat dev`: everything in one process on embedded storage, with people to talk to and a bot that answers.
//!
//! It makes its own keys and keeps them in its data folder; no other mode reads them. `POST /dev/token` hands out tokens
//! to everybody, so it listens on loopback only.

mod banner;
mod bot;
mod seed;
mod token_door;

use std::fs;
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use viberchat_kit::auth::{Scope, TokenSigner};
use viberchat_kit::clock::SystemClock;
use viberchat_kit::id::{SystemEntropy, UserId};
use viberchat_kit::keys::{Keys, Secret};
use viberchat_kit::telemetry;

use crate::assemble::{self, Lifecycles};
use crate::command::{DevArgs, ListenArgs};
use crate::config::{Config, Listen};
use crate::role::Role;
use crate::serve::{Doors, Running};

/// Tokens of the demo last a working day.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 3_600);
const KEYS_FILE: &str = "dev-keys.toml";
const DRAIN: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    // A folder of our own is removed when the process ends by a signal.
    let temporary = match &args.listen.data_dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("viberchat-dev-").tempdir().context("temporary folder")?),
    };
    let mut listen = args.listen.clone();
    listen.data_dir = listen.data_dir.or_else(|| temporary.as_ref().map(|folder| folder.path().to_owned()));
    let config = config(&args, &listen)?;
    require_loopback(&config.listen)?;

    let log = telemetry::init_logs(config.log.format, &config.log.filter)?;
    let doors = Doors::bind(Role::All, &config.listen).await?;
    assemble::create_folder(&config.data_dir)?;
    let keys = Arc::new(keys_in(&config.data_dir)?);
    let signer = Arc::new(TokenSigner::new(&keys.tokens, Arc::new(SystemClock)));
    let lifecycles = Lifecycles::default();
    let shared = lifecycles.share(keys);
    let assembled = assemble::assemble(Role::All, &config, &shared, token_door::router(signer.clone())).await?;
    let running = Running::start(doors, assembled, &shared, log).await?;

    let channel = running.assembled().channel("dev", &[Scope::ActForUsers, Scope::Authorize, Scope::Directory]);
    if !args.no_demo {
        seed::plant(channel.clone()).await.context("demo people")?;
        bot::start(channel, &shared.edge);
    }
    if listen.print_addresses {
        running.print_addresses()?;
    } else {
        let token = signer.sign_user(&UserId::parse("alice")?, TOKEN_TTL)?;
        let service_token = signer.sign_service("demo-backend", &[Scope::ActForUsers], TOKEN_TTL)?;
        banner::print(&running.addresses, &token, &service_token, &config.data_dir, temporary.is_some());
    }
    running.until_signal(lifecycles, DRAIN).await
}

fn config(args: &DevArgs, listen: &ListenArgs) -> anyhow::Result<Config> {
    let mut config = Config::load(None, listen)?;
    if std::env::var_os("VIBERCHAT__LOG__FILTER").is_none() {
        // The banner is what people want to see.
        config.log.filter = "warn".into();
    }
    // Nobody shares a conversation with those who are yet to be found.
    config.conversation.search = viberchat_conversation::Search::Everybody;
    if let Some(secret) = &args.jwt_hs256_secret {
        // Secrets of a framework are often shorter than what we would make.
        let secret = Secret::parse(secret).or_else(|_| Secret::new(secret)).context("--jwt-hs256-secret")?;
        config.auth.hs256_secrets.push(secret);
    }
    Ok(config)
}

/// Everybody who reaches the demo door gets a token; so only this machine may reach it.
fn require_loopback(listen: &Listen) -> anyhow::Result<()> {
    for (flag, address) in [("--http", &listen.http), ("--grpc", &listen.grpc), ("--admin", &listen.admin)] {
        let mut addresses = address.to_socket_addrs().with_context(|| format!("{flag} {address}"))?;
        if !addresses.all(|address| address.ip().is_loopback()) {
            bail!("{flag} {address}: `viberchat dev` listens on loopback only; use `viberchat serve` for all else");
        }
    }
    Ok(())
}

/// The keys that a `viberchat dev` made in this folder.
///
/// # Errors
/// When there are none.
pub(crate) fn keys_of(folder: &Path) -> anyhow::Result<Keys> {
    let file = folder.join(KEYS_FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("{}: no keys of `viberchat dev`", file.display()))?;
    toml::from_str(&text).with_context(|| file.display().to_string())
}

fn keys_in(folder: &Path) -> anyhow::Result<Keys> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if folder.join(KEYS_FILE).exists() {
        return keys_of(folder);
    }
    let keys = Keys::generate(&SystemEntropy);
    let text = format!(
        "# Made by `viberchat dev`, and good for nothing else.\ntokens = \"{}\"\npages = \"{}\"\nfingerprint = \"{}\"\n",
        keys.tokens.to_base64(),
        keys.pages.to_base64(),
        keys.fingerprint.to_base64(),
    );
    let file = folder.join(KEYS_FILE);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .with_context(|| file.display().to_string())?;
    Ok(keys)
}
