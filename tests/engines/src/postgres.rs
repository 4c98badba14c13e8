use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::server::Started;
use crate::supervised::{Account, Folder, accepts, find_program, free_port, version};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where packages put what is not on the path: Debian one folder a version, Homebrew one a formula.
const PACKAGES: &[&str] = &["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

pub(crate) fn start() -> anyhow::Result<Option<Started>> {
    let (Some(initdb), Some(postgres)) = (find("initdb"), find("postgres")) else { return Ok(None) };
    let folder = Folder::new("postgres", account()?)?;
    let data = folder.path().join("data");
    let mut init = Command::new(initdb);
    init.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    folder.run(&mut init)?;

    let port = free_port()?;
    let mut command = Command::new(&postgres);
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p"]).arg(port.to_string());
    for setting in [
        &format!("unix_socket_directories={}", folder.path().display()),
        // Killed processes lose nothing by this; a machine that loses its power would.
        "fsync=off",
        "max_connections=300",
        "log_min_messages=warning",
    ] {
        command.arg("-c").arg(setting);
    }
    // Ends at once, without waiting for those who are connected.
    let process = folder.supervise(&command, "QUIT", PATIENCE, || accepts(Ipv4Addr::LOCALHOST, port))?;
    let address = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    Ok(Some(Started { address, version: version(&postgres, "--version"), process }))
}

fn find(program: &str) -> Option<PathBuf> {
    let versions = PACKAGES.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort_unstable_by(|a, b| b.cmp(a));
    find_program(program, folders)
}

/// PostgreSQL refuses to run as root.
fn account() -> anyhow::Result<Option<Account>> {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let mut accounts = ["postgres", "nobody"].iter().filter_map(|name| {
        let fields: Vec<&str> = passwd
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.collect()))?;
        Some(Account { user_id: fields.get(1)?.parse().ok()?, group_id: fields.get(2)?.parse().ok()? })
    });
    accounts.next().context("there is no user to run it as").map(Some)
}
