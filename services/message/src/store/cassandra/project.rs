//! Writes what entries do to messages and positions. Every write carries its entry's place as its time, so the latest entry
//! wins in any order, and repeating changes nothing; an erasure carries the time after that of what it overwrites.
//!
//! Whoever shows a head has settled it: all entries up to it are projected, one after the other, by whoever comes first. A
//! crash between an append and its projection so costs the next reader a few writes, and nobody sees half of it.

use std::sync::Arc;

use futures::future::try_join_all;
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;

use super::CassandraStore;
use super::effects::Effects;
use super::head::PAGE;
use super::known::{Due, Known};
use super::row::{EntryRow, signed};
use crate::domain::position::Position;
use crate::store::{Record, Result, StateChange};

/// Bits of a place in a time. What is left is the generation's.
const SEQ_BITS: u32 = 44;

/// What an edit or a pin takes from its entry.
pub(super) struct Origin<'a> {
    create_time_ms: i64,
    actor: &'a str,
    body: &'a [u8],
}

impl<'a> From<&'a Record> for Origin<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { create_time, actor, body, .. } = record;
        Self { create_time_ms: create_time.millis(), actor: actor.as_str(), body }
    }
}

impl<'a> From<&'a EntryRow> for Origin<'a> {
    fn from(row: &'a EntryRow) -> Self {
        Self { create_time_ms: row.create_time_ms(), actor: row.actor(), body: row.body() }
    }
}

impl Known {
    /// The time of what the entry at `seq` does. Never a clock's.
    pub(super) fn time(&self, seq: u64) -> i64 {
        signed(self.generation << SEQ_BITS | seq)
    }
}

impl CassandraStore {
    /// Projects what is not projected yet, up to a verified place.
    pub(super) async fn settle_to(&self, known: &Arc<Known>, seq: u64) -> Result<()> {
        #[cfg(test)]
        if self.dies_before_projecting {
            return Ok(());
        }
        if seq.saturating_sub(known.settled()) > PAGE as u64 {
            // So far behind, most of it was done by others.
            let (_, projected, _) = self.hints(known.conversation_id).await?;
            known.skip_to(projected);
        }
        while known.settled() < seq {
            let from = known.settled() + 1;
            let rows = self.entries(known.conversation_id, from, seq, PAGE).await?;
            for row in &rows {
                let effects = Effects::decode(row.seq(), row.effects.as_deref())?;
                self.project(known, row.seq(), &row.into(), &effects).await?;
            }
            self.note_due(known);
        }
        Ok(())
    }

    /// Writes what one entry does; the senders' positions only later.
    pub(super) async fn project(&self, known: &Known, seq: u64, origin: &Origin<'_>, effects: &Effects) -> Result<()> {
        for change in &effects.changes {
            self.change(known, change, origin).await?;
        }
        for user in &effects.departed {
            let parameters = (known.time(seq), signed(seq), self.key(known.conversation_id), user.as_str());
            self.write(&self.statements.set_departed, parameters).await?;
        }
        try_join_all(effects.joined.iter().map(|position| self.raise(known, position))).await?;
        known.settle(seq, &effects.sent);
        Ok(())
    }

    /// Writes a position. Each number keeps its maximum by its own time, without a read and without a condition.
    pub(super) async fn raise(&self, known: &Known, position: &Position) -> Result<()> {
        let Position { user, read_seq, read_message_no, delivered_seq } = position;
        let conversation = self.key(known.conversation_id);
        let read = (
            self.position_time(known, *read_seq),
            signed(*read_seq),
            signed(*read_message_no),
            conversation,
            user.as_str(),
        );
        self.write(&self.statements.set_read, read).await?;
        // What is read is delivered.
        if delivered_seq > read_seq {
            let time = self.position_time(known, *delivered_seq);
            let delivered = (time, signed(*delivered_seq), conversation, user.as_str());
            self.write(&self.statements.set_delivered, delivered).await?;
        }
        Ok(())
    }

    /// The time of a position. Mutants `position_backwards`, `delivered_backwards`: by the clock, so that the last one wins.
    pub(super) fn position_time(&self, known: &Known, seq: u64) -> i64 {
        if fault::mutant("position_backwards") || fault::mutant("delivered_backwards") {
            return self.clock.now().millis().saturating_mul(1_000);
        }
        known.time(seq)
    }

    /// Writes the positions that wait, and then how far everything is written.
    pub(super) async fn write_due(&self, known: &Known, due: &Due) -> Result<()> {
        try_join_all(due.positions.iter().map(|position| self.raise(known, position))).await?;
        let bucket = self.buckets.of_seq(due.projected);
        let conversation = self.key(known.conversation_id);
        // Entries up to here are verified, so the bucket's first one is.
        let parameters = (known.time(due.projected), signed(bucket), signed(due.projected), conversation);
        self.write(&self.statements.set_tail, parameters).await?;
        known.written(due);
        Ok(())
    }

    async fn change(&self, known: &Known, change: &StateChange, origin: &Origin<'_>) -> Result<()> {
        let conversation_id = known.conversation_id;
        let conversation = self.key(conversation_id);
        let place = |seq: u64| (signed(self.buckets.of_seq(seq)), signed(seq));
        match change {
            StateChange::Edit { message_seq, edit_seq } => {
                let ((bucket, message), time) = (place(*message_seq), known.time(*edit_seq));
                let edits = vec![signed(*edit_seq)];
                let state = (time, signed(*edit_seq), origin.create_time_ms, origin.body, edits);
                let (time, edit_seq, edit_time, body, edits) = state;
                let parameters = (time, edit_seq, edit_time, body, edits, conversation, bucket, message);
                self.write(&self.statements.edit, parameters).await
            }
            StateChange::Delete { message_seq, delete_seq, message_body, edit_body } => {
                let ((bucket, message), time) = (place(*message_seq), known.time(*delete_seq));
                let parameters =
                    (time, signed(*delete_seq), origin.create_time_ms, edit_body, conversation, bucket, message);
                self.write(&self.statements.delete, parameters).await?;
                let was_pinned = self.entry(conversation_id, *message_seq).await?.is_some_and(|row| row.was_pinned());
                if was_pinned {
                    self.write(&self.statements.set_pin, (time, 0_i64, conversation, message)).await?;
                }
                // Mutant `deletion_leaves_text`: the message is marked as deleted, and the log still tells what it said.
                if fault::mutant("deletion_leaves_text") {
                    return Ok(());
                }
                self.erase(known, *message_seq, message_body, edit_body).await
            }
            StateChange::React { key, seq } | StateChange::Unreact { key, seq } => {
                let given = matches!(change, StateChange::React { .. });
                let (bucket, message) = place(key.message_seq);
                let (emoji, user) = (key.emoji.as_str(), key.user.as_str());
                let time = known.time(*seq);
                if given {
                    self.write(&self.statements.set_reacted, (time, conversation, bucket, message)).await?;
                }
                let parameters = (time, given, signed(*seq), conversation, bucket, message, emoji, user);
                self.write(&self.statements.react, parameters).await
            }
            StateChange::Pin { message_seq, seq } => {
                let ((bucket, message), time) = (place(*message_seq), known.time(*seq));
                let pin = signed(*seq);
                // What was deleted stays deleted, also among the pins.
                if self.entry(conversation_id, *message_seq).await?.is_none_or(|row| row.is_deleted()) {
                    return Ok(());
                }
                let parameters = (time, pin, origin.create_time_ms, origin.actor, conversation, bucket, message);
                self.write(&self.statements.pin, parameters).await?;
                self.write(&self.statements.set_pin, (time, pin, conversation, message)).await
            }
            StateChange::Unpin { message_seq, seq } => {
                let ((bucket, message), time) = (place(*message_seq), known.time(*seq));
                self.write(&self.statements.unpin, (time, conversation, bucket, message)).await?;
                self.write(&self.statements.set_pin, (time, 0_i64, conversation, message)).await
            }
        }
    }

    /// Overwrites the bodies of a message and of its edits. All edits stand in the message's state by now: entries are
    /// projected in their order, and none follows a deletion.
    async fn erase(&self, known: &Known, message_seq: u64, message_body: &[u8], edit_body: &[u8]) -> Result<()> {
        let conversation_id = known.conversation_id;
        let Some(message) = self.entry(conversation_id, message_seq).await? else { return Ok(()) };
        let edits = message.edits.unwrap_or_default();
        let bodies = edits.iter().map(|seq| (super::row::unsigned(*seq), edit_body));
        let bodies = bodies.chain([(message_seq, message_body)]);
        try_join_all(bodies.map(|(seq, body)| self.overwrite(conversation_id, seq, body))).await?;
        Ok(())
    }

    /// A body was written at a clock's time by a conditional batch, so it is overwritten just after that. Its time is read
    /// SERIAL: a column belongs to conditional or to plain writes, and this is the one exception.
    async fn overwrite(&self, conversation_id: ConversationId, seq: u64, body: &[u8]) -> Result<()> {
        let row = self.entry(conversation_id, seq).await?;
        if row.is_none_or(|row| row.erased == Some(true)) {
            return Ok(());
        }
        let conversation = self.key(conversation_id);
        let (bucket, place) = (signed(self.buckets.of_seq(seq)), signed(seq));
        let times: Vec<(i64,)> = self.rows(&self.statements.body_time, (conversation, bucket, place)).await?;
        for (written,) in times {
            let parameters = (written + 1, body, conversation, bucket, place);
            self.write(&self.statements.erase, parameters).await?;
        }
        Ok(())
    }
}
