//! The last pages that a reader's thread has read, as they stood at a head of their log.
//!
//! What a page shows changes only with the log: whatever changes a message is an entry, and both become visible at once.
//! So a page holds as long as the head at which it was read is the head, whoever writes; and that is asked of the store
//! for each answer, in the same snapshot. A page that is kept is nobody's own: what is a viewer's is asked for each.

use std::collections::HashMap;

use viberchat_kit::id::{ConversationId, UserId};

use super::readers::Reading;
use super::{log, messages, reaction};
use crate::metrics::StoreMetrics;
use crate::store::{LogSlice, MessageRange, MessageRecord, MessageSlice, ReadLimit, Record};

/// Bytes that one thread keeps.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pages that one thread keeps.
const KEPT_PAGES_MAX: usize = 512;
/// What a record costs besides its body, about.
const RECORD_OVERHEAD_BYTES: usize = 300;

/// Which page.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    conversation_id: ConversationId,
    from: From,
    items: usize,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum From {
    MessagesBefore(u64),
    MessagesAfter(u64),
    LogAfter(u64),
}

enum Kept {
    Messages(MessageSlice),
    Log(LogSlice),
}

struct Page {
    head_seq: u64,
    kept: Kept,
    bytes: usize,
    used: u64,
}

/// See the module.
pub(super) struct Pages {
    pages: HashMap<Key, Page>,
    bytes: usize,
    /// Counts what was asked.
    turn: u64,
    metrics: StoreMetrics,
}

/// A page of messages for a viewer.
pub(super) fn of_messages(
    reading: &mut Reading<'_>,
    conversation_id: ConversationId,
    viewer: &UserId,
    range: MessageRange,
    limit: ReadLimit,
) -> rusqlite::Result<MessageSlice> {
    let (connection, pages) = (reading.connection, &mut *reading.pages);
    let head = log::head(connection, conversation_id)?;
    let from = match range {
        MessageRange::Before(seq) => From::MessagesBefore(seq),
        MessageRange::After(seq) => From::MessagesAfter(seq),
    };
    let key = Key::new(conversation_id, from, limit);
    let mut slice = match pages.known(&key, head.seq) {
        Some(Kept::Messages(slice)) => slice.clone(),
        _ => {
            let slice = messages::page(connection, conversation_id, head, range, limit)?;
            let bytes = slice.messages.iter().map(message_bytes).sum();
            pages.keep(key, head.seq, Kept::Messages(slice.clone()), bytes);
            slice
        }
    };
    reaction::mark(connection, conversation_id, viewer, &mut slice.messages)?;
    Ok(slice)
}

/// Entries after a place.
pub(super) fn of_log(
    reading: &mut Reading<'_>,
    conversation_id: ConversationId,
    after_seq: u64,
    limit: ReadLimit,
) -> rusqlite::Result<LogSlice> {
    let (connection, pages) = (reading.connection, &mut *reading.pages);
    let head = log::head(connection, conversation_id)?;
    let key = Key::new(conversation_id, From::LogAfter(after_seq), limit);
    if let Some(Kept::Log(slice)) = pages.known(&key, head.seq) {
        return Ok(slice.clone());
    }
    let slice = log::after(connection, conversation_id, head, after_seq, limit)?;
    let bytes = slice.records.iter().map(record_bytes).sum();
    pages.keep(key, head.seq, Kept::Log(slice.clone()), bytes);
    Ok(slice)
}

impl Key {
    fn new(conversation_id: ConversationId, from: From, ReadLimit { items, bytes }: ReadLimit) -> Self {
        Self { conversation_id, from, items, bytes }
    }
}

impl Pages {
    pub(super) fn new(metrics: StoreMetrics) -> Self {
        Self { pages: HashMap::new(), bytes: 0, turn: 0, metrics }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        (self.pages, self.bytes) = (HashMap::new(), 0);
    }

    fn known(&mut self, key: &Key, head_seq: u64) -> Option<&Kept> {
        self.turn += 1;
        let turn = self.turn;
        let page = self.pages.get_mut(key).filter(|page| page.head_seq == head_seq)?;
        page.used = turn;
        self.metrics.pages_known.inc();
        Some(&page.kept)
    }

    fn keep(&mut self, key: Key, head_seq: u64, kept: Kept, bytes: usize) {
        self.metrics.pages_read.inc();
        let page = Page { head_seq, kept, bytes, used: self.turn };
        self.bytes += bytes;
        if let Some(old) = self.pages.insert(key, page) {
            self.bytes -= old.bytes;
        }
        while self.bytes > KEPT_BYTES_MAX || self.pages.len() > KEPT_PAGES_MAX {
            let oldest = self.pages.iter().min_by_key(|(_, page)| page.used).map(|(key, _)| *key);
            let Some(page) = oldest.and_then(|oldest| self.pages.remove(&oldest)) else { return };
            self.bytes -= page.bytes;
        }
    }
}

fn record_bytes(record: &Record) -> usize {
    RECORD_OVERHEAD_BYTES + record.body.len()
}

fn message_bytes(message: &MessageRecord) -> usize {
    let reactions: usize = message.reactions.iter().map(|reaction| 64 + reaction.emoji.len()).sum();
    record_bytes(&message.record) + message.edit.as_ref().map_or(0, |(_, body)| body.len()) + reactions
}

#[cfg(test)]
mod tests {
    use viberchat_kit::telemetry::Metrics;

    use super::*;

    fn key(seq: u64) -> Key {
        let limit = ReadLimit { items: 50, bytes: 1_000 };
        Key::new(ConversationId::from_bytes([1; 16]), From::LogAfter(seq), limit)
    }

    fn pages() -> Pages {
        Pages::new(StoreMetrics::new(&Metrics::new()))
    }

    fn slice() -> Kept {
        Kept::Log(LogSlice { head: crate::domain::head::Head::default(), records: Vec::new() })
    }

    #[test]
    fn a_page_is_known_only_at_its_head() {
        let mut pages = pages();
        pages.keep(key(1), 7, slice(), 100);
        assert!(pages.known(&key(1), 7).is_some());
        assert!(pages.known(&key(1), 8).is_none() && pages.known(&key(2), 7).is_none());
        pages.clear();
        assert!(pages.known(&key(1), 7).is_none());
    }

    #[test]
    fn bytes_and_pages_are_bounded_and_what_is_used_stays() {
        let mut pages = pages();
        pages.keep(key(0), 7, slice(), 100);
        for seq in 1..=2 * KEPT_PAGES_MAX as u64 {
            pages.keep(key(seq), 7, slice(), 100);
            assert!(pages.known(&key(0), 7).is_some(), "{seq}");
        }
        assert_eq!(pages.pages.len(), KEPT_PAGES_MAX);
        assert!(pages.known(&key(9_000), 7).is_none());
        pages.keep(key(9_000), 7, slice(), KEPT_BYTES_MAX);
        assert!(pages.bytes <= KEPT_BYTES_MAX && pages.pages.len() == 1, "{} bytes", pages.bytes);
        pages.keep(key(9_000), 8, slice(), 100);
        assert_eq!(pages.bytes, 100);
    }
}
