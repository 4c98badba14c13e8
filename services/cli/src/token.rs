//! `viberchat token`: tokens for trying things out, for backends, and for tests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use viberchat_kit::auth::{Scope, TokenSigner};
use viberchat_kit::clock::SystemClock;
use viberchat_kit::id::UserId;

use crate::command::{ListenArgs, TokenArgs};
use crate::config::Config;
use crate::dev;

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    let keys = match &args.dev_data_dir {
        Some(folder) => dev::keys_of(folder)?,
        None => Config::load(args.config.as_deref(), &ListenArgs::default())?.require_keys()?.clone(),
    };
    let signer = TokenSigner::new(&keys.tokens, Arc::new(SystemClock));
    let ttl = Duration::from_secs(args.ttl_seconds);
    let token = match (&args.user, &args.service) {
        (Some(user), _) => signer.sign_user(&UserId::parse(user).context("--user")?, ttl)?,
        (None, Some(service)) => {
            let scopes: Vec<Scope> =
                args.scope.iter().map(|name| name.parse()).collect::<Result<_, _>>().context("--scope")?;
            signer.sign_service(service, &scopes, ttl)?
        }
        (None, None) => unreachable!("clap asks for --user or --service"),
    };
    println!("{token}");
    Ok(())
}
