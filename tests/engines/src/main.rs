//! Runs a command with the engines up: `viberchat-engines COMMAND ARGUMENT …`. Says what it runs against, one line an
//! engine, and exits as the command does.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use viberchat_engines::Server;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let mut command = Command::new(arguments.next().context("which command?")?);
    command.args(arguments);
    let mut running = Vec::new();
    for server in Server::ALL {
        if let Some(found) = server.run()? {
            command.env(server.variable(), found.address());
            if let (Some(variable), Some(ca_file)) = (server.ca_variable(), found.ca_file()) {
                command.env(variable, ca_file);
            }
            running.push(found);
        }
    }
    let status = command.status().with_context(|| format!("{command:?}"))?;
    drop(running);
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
