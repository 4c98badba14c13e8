//! Reads the store's files as they lie on the disk, when no server runs on them.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use prost::Message as _;
use rusqlite::{Connection, OpenFlags, Row};
use viberchat_proto::message::v1::EntryBody;

use super::{
    convert::body_of,
    record::{Body, Entry, RedactedKind, Scan},
    text::texts_in,
};

const ENTRIES: &str = "SELECT conversation_id, seq, message_no, conversation_version, actor_user_id, request_id, target_seq, \
                       erased, body FROM log ORDER BY conversation_id, seq";

/// Scans the message service's files in a data folder. `checkpointed`: the server was stopped, not killed.
///
/// # Errors
/// If the store cannot be read, or holds what cannot be decoded.
pub fn scan_store(data_folder: &Path, checkpointed: bool) -> Result<Scan> {
    // The bytes first: opening the database may already change its files.
    let texts = texts_on_disk(data_folder)?;
    let path = data_folder.join("message.sqlite");
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let intact: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    anyhow::ensure!(intact == "ok", "{}: {intact}", path.display());
    let mut statement = connection.prepare(ENTRIES).context("the table `log` as the message service has it")?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(Scan { entries, texts, checkpointed })
}

fn entry(row: &Row<'_>) -> Result<Entry> {
    let unsigned = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let conversation = row.get::<_, Vec<u8>>(0)?;
    let seq = unsigned(1)?;
    let decoded = EntryBody::decode(row.get_ref(8)?.as_blob()?)?;
    let body = decoded.body.as_ref().map_or(Body::Unknown, body_of);
    Ok(Entry {
        conversation: uuid_text(&conversation)?,
        seq,
        message_no: unsigned(2)?,
        version: unsigned(3)?,
        actor: row.get(4)?,
        request_id: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
        body: if row.get(7)? { erased(body, seq) } else { body },
    })
}

/// An erased row keeps what it was and of which message, without the text.
fn erased(body: Body, seq: u64) -> Body {
    match body {
        Body::Message { message_id, .. } => {
            Body::Redacted { kind: RedactedKind::Message, message_id, message_seq: seq }
        }
        Body::Edited { message_id, message_seq, .. } => {
            Body::Redacted { kind: RedactedKind::Edited, message_id, message_seq }
        }
        other => other,
    }
}

fn uuid_text(bytes: &[u8]) -> Result<String> {
    let bytes: [u8; 16] = bytes.try_into().context("a conversation id of 16 bytes")?;
    Ok(viberchat_kit::id::ConversationId::from_bytes(bytes).to_string())
}

/// The numbers of all texts that stand anywhere in the files of the folder, in free pages as well.
fn texts_on_disk(folder: &Path) -> Result<BTreeSet<u64>> {
    let mut texts = BTreeSet::new();
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = file?.path();
        if path.is_file() {
            texts.extend(texts_in(&fs::read(path)?));
        }
    }
    Ok(texts)
}
