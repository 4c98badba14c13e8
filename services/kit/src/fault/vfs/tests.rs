//! A child process commits a row by the VFS and kills itself; what the parent finds on the disk is what was synced.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{self, Command},
};

use rusqlite::{Connection, OpenFlags};

const CHILD_FILE: &str = "VIBERCHAT_TEST_VFS_CHILD_FILE";
const CHILD_SYNCHRONOUS: &str = "VIBERCHAT_TEST_VFS_CHILD_SYNCHRONOUS";
const CHILD_LIVES: &str = "VIBERCHAT_TEST_VFS_CHILD_LIVES";

fn open(path: &Path, synchronous: &str) -> Connection {
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), super::register()).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    connection
}

fn count_rows(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap()
}

/// Not a test by itself: [`rows_after_death`] runs it in a process of its own.
#[test]
fn child() {
    let Some(path) = env::var_os(CHILD_FILE) else { return };
    let connection = open(Path::new(&path), &env::var(CHILD_SYNCHRONOUS).unwrap());
    for number in 0..100 {
        connection.execute("INSERT INTO entry VALUES (?1, randomblob(500))", [number]).unwrap();
    }
    let other = open(Path::new(&path), "FULL");
    assert_eq!(count_rows(&other), 100, "another connection of the process sees what is not synced");
    if env::var_os(CHILD_LIVES).is_none() {
        let status = Command::new("kill").args(["-9", &process::id().to_string()]).status();
        unreachable!("killed: {status:?}");
    }
    // The connections are not closed: what is not synced is left to the end of the process.
    std::mem::forget((connection, other));
}

fn rows_after_death(synchronous: &str) -> i64 {
    rows_after_the_end(synchronous, true)
}

fn rows_after_the_end(synchronous: &str, killed: bool) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let plain = Connection::open(&path).unwrap();
    plain.pragma_update(None, "journal_mode", "wal").unwrap();
    plain.execute("CREATE TABLE entry (number INTEGER, body BLOB)", []).unwrap();
    drop(plain);
    let mut child = Command::new(env::current_exe().unwrap());
    child
        .args(["--exact", "--nocapture", concat!(module_path!(), "::child")].map(|argument| {
            // The harness names tests without the crate.
            argument.split_once("::").map_or(argument, |(_, name)| name)
        }))
        .env(CHILD_FILE, &path)
        .env(CHILD_SYNCHRONOUS, synchronous);
    if !killed {
        child.env(CHILD_LIVES, "1");
    }
    let status = child.status().unwrap();
    assert_eq!(status.signal(), killed.then_some(9), "the child died by its own hand, if it was to");
    let connection = Connection::open(&path).unwrap();
    let intact: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(intact, "ok");
    count_rows(&connection)
}

#[test]
fn what_was_committed_with_synchronous_full_is_there_after_a_kill() {
    assert_eq!(rows_after_death("FULL"), 100);
}

#[test]
fn what_was_committed_with_synchronous_off_is_gone_after_a_kill() {
    assert_eq!(rows_after_death("OFF"), 0);
}

#[test]
fn what_was_not_synced_is_there_when_the_process_ended_by_itself() {
    assert_eq!(rows_after_the_end("OFF", false), 100);
}

#[test]
fn a_store_works_through_checkpoints_vacuum_and_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    for round in 1..=3 {
        let connection = open(&path, "FULL");
        connection.execute("CREATE TABLE IF NOT EXISTS entry (number INTEGER, body BLOB)", []).unwrap();
        for number in 0..500 {
            connection.execute("INSERT INTO entry VALUES (?1, randomblob(3000))", [number]).unwrap();
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        connection.execute("DELETE FROM entry WHERE number >= 400", []).unwrap();
        connection.execute("VACUUM", []).unwrap();
        assert_eq!(count_rows(&connection), 400 * round);
    }
    let plain = Connection::open(&path).unwrap();
    assert_eq!(count_rows(&plain), 1200, "a clean close leaves everything on the disk");
}
