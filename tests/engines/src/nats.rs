use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::server::Started;
use crate::supervised::{Folder, accepts, find_program, free_port, version};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn start() -> anyhow::Result<Option<Started>> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("bin");
    let Some(program) = find_program("nats-server", [ours]) else { return Ok(None) };
    let port = free_port()?;
    let mut command = Command::new(&program);
    command.args(["-a", "127.0.0.1", "-p"]).arg(port.to_string());
    let process =
        Folder::new("nats", None)?.supervise(&command, "KILL", PATIENCE, || accepts(Ipv4Addr::LOCALHOST, port))?;
    Ok(Some(Started { address: format!("nats://127.0.0.1:{port}"), version: version(&program, "--version"), process }))
}
