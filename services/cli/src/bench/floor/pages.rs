//! A page of a log by one statement: what reading from the store costs at the least.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// Messages a page.
const PAGE: i64 = 50;
/// A text of 200 bytes with what is around it.
const BODY_BYTES: usize = 210;
/// Statements between two looks at the clock.
const ROUND: u32 = 16;
const CONVERSATION: [u8; 16] = [7; 16];

/// Random pages a second of a log of `messages`, which is made first unless it is there.
pub(super) fn a_second(path: &Path, time: Duration, messages: u32) -> anyhow::Result<f64> {
    let mut connection = Connection::open(path)?;
    fill(&mut connection, messages)?;
    let mut statement = connection.prepare(
        "SELECT seq, message_no, actor_user_id, create_time_ms, body FROM log
         WHERE conversation_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
    )?;
    let (start, mut pages, mut bytes) = (Instant::now(), 0_u32, 0_usize);
    while start.elapsed() < time {
        for _ in 0..ROUND {
            let before = place(pages, messages);
            let mut rows = statement.query(params![CONVERSATION, before, PAGE])?;
            while let Some(row) = rows.next()? {
                let (_seq, _number): (i64, i64) = (row.get(0)?, row.get(1)?);
                let _time: i64 = row.get(3)?;
                bytes += row.get::<_, String>(2)?.len() + row.get::<_, Vec<u8>>(4)?.len();
            }
            pages += 1;
        }
    }
    anyhow::ensure!(bytes > 0, "the log is empty");
    Ok(f64::from(pages) / start.elapsed().as_secs_f64())
}

/// Where the page ends that is read in this turn: all over the log, the same in each run.
pub(crate) fn place(turn: u32, messages: u32) -> u32 {
    let span = messages.saturating_sub(50).max(1);
    51 + turn.wrapping_mul(2_654_435_761) % span
}

fn fill(connection: &mut Connection, messages: u32) -> anyhow::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS log (
             id INTEGER PRIMARY KEY, conversation_id BLOB NOT NULL, seq INTEGER NOT NULL, message_no INTEGER NOT NULL,
             actor_user_id TEXT NOT NULL, create_time_ms INTEGER NOT NULL, body BLOB NOT NULL
         ) STRICT;
         CREATE UNIQUE INDEX IF NOT EXISTS log_by_seq ON log (conversation_id, seq);",
    )?;
    let stored: u32 = connection.query_row("SELECT count(*) FROM log", [], |row| row.get(0))?;
    let transaction = connection.transaction()?;
    for seq in stored + 1..=messages {
        transaction.execute(
            "INSERT INTO log (conversation_id, seq, message_no, actor_user_id, create_time_ms, body)
             VALUES (?1, ?2, ?2, 'a-user', 1700000000000, ?3)",
            params![CONVERSATION, seq, [b'x'; BODY_BYTES]],
        )?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_a_rate_and_the_log_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        for _ in 0..2 {
            assert!(a_second(&path, Duration::from_millis(5), 300).unwrap() > 0.0);
        }
        let stored: u32 =
            Connection::open(&path).unwrap().query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 300);
    }

    #[test]
    fn places_lie_within_the_log_and_differ() {
        let places: std::collections::HashSet<_> = (0..1_000).map(|turn| place(turn, 20_000)).collect();
        assert!(places.iter().all(|place| (51..=20_000).contains(place)));
        assert!(places.len() > 900, "{}", places.len());
    }
}
