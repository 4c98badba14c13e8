//! A server that ends with the process that started it, however that one ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context as _, bail};

/// What a server writes, in its folder.
const LOG: &str = "log";

/// Between looks at a server that starts.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Lies in the folder of a server whose data are to stay when it ends.
const KEPT: &str = "kept";

/// Waits for the end of its input, which comes when our process is gone, then ends the server and takes its data away.
/// `$1` is the signal, `$2` the folder, `$3` the mark of one that stays; then come the program and its arguments.
const SUPERVISOR: &str = r#"
signal=$1 folder=$2 kept=$3; shift 3
"$@" </dev/null & server=$!
cat >/dev/null
kill "-$signal" "$server" 2>/dev/null
wait "$server"
[ -e "$folder/$kept" ] || rm -rf "$folder" 2>/dev/null
"#;

/// A running server, its data, and the shell that watches over both. Dropping it ends the server and removes the data.
pub(crate) struct Supervised {
    shell: Child,
    /// `None`: it has ended, and its data stay.
    folder: Option<Folder>,
}

/// Who runs a server that does not run as root.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) user_id: u32,
    pub(crate) group_id: u32,
}

/// A folder for the data of a server, which goes when this is dropped.
pub(crate) struct Folder {
    path: PathBuf,
    account: Option<Account>,
}

impl Folder {
    /// Below the temporary folder, readable for `account`.
    pub(crate) fn new(name: &str, account: Option<Account>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("viberchat-{name}-")).tempdir()?;
        if let Some(Account { user_id, group_id }) = account {
            chown(folder.path(), Some(user_id), Some(group_id))?;
        }
        // Not all of it is ours to remove: see the supervisor.
        Ok(Self { path: folder.keep(), account })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a program to its end, as the folder's account.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        self.account_of(command);
        let output = command.current_dir(self.path()).output().with_context(|| format!("{command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts the server, whose output goes to `log` in the folder, and waits until `is_ready`. `signal` ends it.
    pub(crate) fn supervise(
        self,
        command: &Command,
        signal: &str,
        patience: Duration,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Supervised> {
        let log = File::create(self.path().join(LOG))?;
        let _ = fs::remove_file(self.path().join(KEPT));
        let mut shell = Command::new("sh");
        shell.args(["-c", SUPERVISOR, "sh", signal]).arg(self.path()).arg(KEPT).arg(command.get_program());
        shell.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // A group of its own: the key that ends a test run must not end the server before its clients.
        shell.current_dir(self.path()).process_group(0);
        shell.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        self.account_of(&mut shell);
        let child = shell.spawn().context("sh")?;
        let mut server = Supervised { shell: child, folder: Some(self) };
        let deadline = Instant::now() + patience;
        while !is_ready() {
            if server.shell.try_wait()?.is_some() || Instant::now() > deadline {
                let log = server.log();
                bail!("does not start: {command:?}\n{}", log.lines().rev().take(30).collect::<Vec<_>>().join("\n"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(server)
    }

    fn account_of(&self, command: &mut Command) {
        if let Some(Account { user_id, group_id }) = self.account {
            command.uid(user_id).gid(group_id);
        }
    }
}

impl Supervised {
    /// What it has written.
    pub(crate) fn log(&self) -> String {
        let path = self.folder.as_ref().map(|folder| folder.path().join(LOG));
        path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
    }

    /// Ends it. Its data stay, as long as their folder.
    pub(crate) fn end(mut self) -> anyhow::Result<Folder> {
        let folder = self.folder.take().context("it has a folder until it ends")?;
        File::create(folder.path().join(KEPT))?;
        Ok(folder)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder itself may lie where the server's account may not remove it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether somebody accepts connections there.
pub(crate) fn accepts(host: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((host, port)), LOOK_INTERVAL).is_ok()
}

/// The first of these programs on the path or in one of these folders.
pub(crate) fn find_program(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = folders.into_iter().chain(env::split_paths(&path)).map(|folder| folder.join(name));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// What a program says of its version, in one line.
pub(crate) fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
