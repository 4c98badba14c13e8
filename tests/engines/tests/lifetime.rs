//! A server ends with whoever started it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use viberchat_engines::Server;

const PATIENCE: Duration = Duration::from_secs(20);

/// The part of an address that a socket wants.
fn host(address: &str) -> String {
    let rest = address.split("://").last().unwrap_or(address);
    rest.split('@').next_back().unwrap_or(rest).split('/').next().unwrap_or_default().to_owned()
}

fn ends(address: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(host(address)).is_ok() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

#[test]
fn a_server_that_was_started_ends_when_it_is_dropped() {
    for server in Server::ALL {
        // One that somebody else runs is not ours to end.
        if std::env::var_os(server.variable()).is_some() {
            continue;
        }
        let Some(running) = server.run().unwrap() else { continue };
        let address = running.address().to_owned();
        assert!(TcpStream::connect(host(&address)).is_ok(), "{address}");
        drop(running);
        assert!(ends(&address), "{address} is still there");
    }
}

#[test]
fn a_server_ends_although_the_one_who_started_it_was_killed() {
    let shown: Vec<String> = Server::ALL.iter().map(|server| format!("${}", server.variable())).collect();
    let mut runner = Command::new(env!("CARGO_BIN_EXE_viberchat-engines"))
        .args(["sh", "-c", &format!("echo {}; exec cat", shown.join(" "))])
        .envs(Server::ALL.map(|server| (server.variable(), "")))
        .env_remove("VIBERCHAT_TEST_REQUIRE_ENGINES")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(runner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(
        line.contains("://") || Server::ALL.iter().all(|server| server.run().is_ok_and(|found| found.is_none())),
        "{line}"
    );
    runner.kill().unwrap();
    // Ends the command, too: nobody but us holds the other end of its input.
    runner.wait().unwrap();
    for address in line.split_whitespace() {
        assert!(ends(address), "{address} is still there");
    }
}

#[test]
fn the_command_decides_how_the_runner_ends() {
    let run = |script: &str| {
        let mut runner = Command::new(env!("CARGO_BIN_EXE_viberchat-engines"));
        runner.args(["sh", "-c", script]).env_remove("VIBERCHAT_TEST_REQUIRE_ENGINES");
        runner.envs(Server::ALL.map(|server| (server.variable(), "somewhere"))).status().unwrap().code()
    };
    assert_eq!((run("exit 0"), run("exit 7")), (Some(0), Some(7)));
}
