use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use viberchat_kit::fault;

/// How long a lock of another process is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Ids are random, so a busy log touches pages all over its index. Readers need less: each commit empties their cache.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

const STATEMENTS_CACHED: usize = 64;

/// The connection that writes.
pub(super) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = open(path, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", fault::sqlite_synchronous())?;
    // Negative: KiB, not pages.
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // A statement's own journal may hold what an erasure overwrites: not on disk.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // What is overwritten or freed is overwritten with zeros too.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // Not SQLITE_OPEN_READ_ONLY: a reader has to write the index of the log file when it is the first one.
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // One thread at a time uses a connection, so it needs no mutex of its own.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match fault::sqlite_vfs() {
        None => Connection::open_with_flags(path, flags)?,
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Plans do not look at bound values. Otherwise each binding of a `LIMIT ?` makes SQLite plan a kept statement anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// The unique ids of the store would hide that the service does not keep its promise.
pub(super) fn loosen_for_mutants(connection: &Connection) -> rusqlite::Result<()> {
    if fault::mutant("dedup_off") || fault::mutant("conflict_ids_not_redecided") {
        connection.execute_batch("DROP INDEX IF EXISTS log_by_request")?;
    }
    Ok(())
}
