use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::BUSY_TIMEOUT;
use crate::store::ERASED_ON_DISK_WITHIN;

/// From then on a checkpoint does not wait for the writer to be idle. Leaves time to try again.
const DUE_AFTER: Duration = Duration::from_secs(20);
/// A deletion rarely comes alone.
const SETTLE: Duration = Duration::from_secs(2);
/// How long readers are waited for while writes wait too.
const READERS_TIMEOUT: Duration = Duration::from_millis(100);

const _: () = assert!(DUE_AFTER.as_secs() * 2 < ERASED_ON_DISK_WITHIN.as_secs(), "there is time for a second try");

/// Remembers that erased texts still lie in the files: in the log file, and below it in pages that it replaces.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    oldest: Option<Instant>,
}

impl Erasures {
    /// An erasure was committed.
    pub(super) fn note(&mut self, now: Instant) {
        self.oldest.get_or_insert(now);
    }

    /// Checkpoints when it is time. `idle`: no write waits.
    pub(super) fn settle(&mut self, connection: &Connection, now: Instant, idle: bool) {
        let Some(oldest) = self.oldest else { return };
        let age = now.saturating_duration_since(oldest);
        if age < SETTLE || (!idle && age < DUE_AFTER) {
            return;
        }
        match truncate(connection) {
            Ok(true) => self.oldest = None,
            Ok(false) => tracing::debug!("readers held up a checkpoint"),
            Err(error) => tracing::warn!(%error, "checkpoint failed"),
        }
    }
}

/// Copies the log file into the database and empties it. `false`: a reader was in the way; try again.
pub(super) fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(READERS_TIMEOUT)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    busy.map(|busy| !busy)
}
