use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use futures::future::try_join_all;
use viberchat_kit::id::{ConversationId, UserId};

use super::CassandraStore;
use super::error::unavailable;
use super::row::{EntryRow, signed, unsigned};
use crate::domain::entry::Kind;
use crate::domain::head::Head;
use crate::domain::message::ReactionCount;
use crate::store::{MessageRange, MessageRecord, MessageSlice, ReactionKey, ReadLimit, Result, StoreError};

/// Entries that one page looks at, for each message that it may return: a long run of edits must not cost without bound.
const SEARCHED_PER_ITEM: usize = 8;
/// Buckets that one page reads.
const BUCKETS_MAX: usize = 2;

/// What a kept record costs besides its bodies, about.
const RECORD_OVERHEAD_BYTES: usize = 300;

/// Which page, at which head. What a page shows changes only with the log: whatever changes a message is an entry, and is
/// settled before its head is shown. So a page holds as long as its head is the head, whoever writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    conversation_id: ConversationId,
    head_seq: u64,
    range: MessageRange,
    limit: ReadLimit,
}

/// A page that is nobody's own: reactions, of which some are the viewer's, are asked for each.
#[derive(Debug)]
pub(super) struct KeptPage {
    slice: MessageSlice,
    has_reactions: bool,
}

impl KeptPage {
    /// Bytes that keeping it costs, about.
    pub(super) fn cost(&self) -> u32 {
        let of = |message: &MessageRecord| {
            let edit = message.edit.as_ref().map_or(0, |(_, body)| body.len());
            RECORD_OVERHEAD_BYTES + message.record.body.len() + edit
        };
        let bytes = RECORD_OVERHEAD_BYTES + self.slice.messages.iter().map(of).sum::<usize>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// A page in the making.
struct Page {
    limit: ReadLimit,
    messages: Vec<MessageRecord>,
    bytes: usize,
    searched: usize,
    /// The last place that was looked at.
    last: u64,
    is_full: bool,
    has_reactions: bool,
}

impl Page {
    fn take(&mut self, row: EntryRow) -> Result<()> {
        let searched_max = self.limit.items.saturating_mul(SEARCHED_PER_ITEM);
        if self.is_full || self.searched == searched_max || self.messages.len() == self.limit.items {
            self.is_full = true;
            return Ok(());
        }
        let seq = row.seq();
        if row.kind()? == Kind::MESSAGE {
            self.bytes += row.size();
            if self.bytes > self.limit.bytes && !self.messages.is_empty() {
                self.is_full = true;
                return Ok(());
            }
            self.has_reactions |= row.reacted.is_some();
            self.messages.push(row.into_message()?);
        }
        self.last = seq;
        self.searched += 1;
        Ok(())
    }
}

impl CassandraStore {
    /// A page of messages.
    pub(super) async fn message_page(
        &self,
        conversation_id: ConversationId,
        viewer: &UserId,
        range: MessageRange,
        limit: ReadLimit,
    ) -> Result<MessageSlice> {
        let (_, head) = self.settled(conversation_id).await?;
        let key = PageKey { conversation_id, head_seq: head.seq, range, limit };
        let entry = self.pages.entry(key).or_try_insert_with(self.read_page(key, head)).await;
        let entry = entry.map_err(|error: Arc<StoreError>| (*error).clone())?;
        let counted = if entry.is_fresh() { &self.metrics.pages_read } else { &self.metrics.pages_known };
        counted.inc();
        let page = entry.into_value();
        let mut slice = page.slice.clone();
        if page.has_reactions {
            self.attach_reactions(conversation_id, Some(viewer), &mut slice.messages).await?;
        }
        Ok(slice)
    }

    async fn read_page(&self, key: PageKey, head: Head) -> Result<Arc<KeptPage>> {
        let PageKey { conversation_id, range, limit, .. } = key;
        let from = match range {
            MessageRange::Before(seq) => seq.min(head.seq + 1),
            MessageRange::After(seq) => seq,
        };
        let mut page = Page {
            limit,
            messages: Vec::new(),
            bytes: 0,
            searched: 0,
            last: from,
            is_full: false,
            has_reactions: false,
        };
        let is_over = |last: u64| match range {
            MessageRange::Before(_) => last <= 1,
            MessageRange::After(_) => last >= head.seq,
        };
        let mut buckets = Vec::new();
        while !page.is_full && !is_over(page.last) {
            let next = if matches!(range, MessageRange::Before(_)) { page.last - 1 } else { page.last + 1 };
            let bucket = self.buckets.of_seq(next);
            if !buckets.contains(&bucket) {
                if buckets.len() == BUCKETS_MAX {
                    break;
                }
                buckets.push(bucket);
            }
            // One more than wanted, to see whether there is more.
            let wanted = (limit.items - page.messages.len()).saturating_add(1);
            let rows = match range {
                MessageRange::Before(_) => self.entries_down(conversation_id, next, wanted).await?,
                MessageRange::After(_) => self.entries(conversation_id, next, head.seq, wanted).await?,
            };
            for row in rows {
                page.take(row)?;
            }
        }
        let searched_to = (!is_over(page.last)).then_some(page.last);
        let mut messages = page.messages;
        if matches!(range, MessageRange::Before(_)) {
            messages.reverse();
        }
        let has_reactions = page.has_reactions;
        Ok(Arc::new(KeptPage { slice: MessageSlice { head, messages, searched_to }, has_reactions }))
    }

    /// The messages at these places.
    pub(super) async fn messages_of(
        &self,
        conversation_id: ConversationId,
        viewer: Option<&UserId>,
        seqs: &[u64],
    ) -> Result<MessageSlice> {
        let (_, head) = self.settled(conversation_id).await?;
        let messages = self.messages_below(conversation_id, viewer, head, seqs).await?;
        Ok(MessageSlice { head, messages, searched_to: None })
    }

    /// The same below a head that is settled.
    pub(super) async fn messages_below(
        &self,
        conversation_id: ConversationId,
        viewer: Option<&UserId>,
        head: Head,
        seqs: &[u64],
    ) -> Result<Vec<MessageRecord>> {
        let there = seqs.iter().filter(|seq| (1..=head.seq).contains(*seq));
        let rows = try_join_all(there.map(|seq| self.entry(conversation_id, *seq))).await?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows.into_iter().flatten() {
            if row.kind()? == Kind::MESSAGE {
                let has_reactions = row.reacted.is_some();
                let mut message = [row.into_message()?];
                if has_reactions {
                    self.attach_reactions(conversation_id, viewer, &mut message).await?;
                }
                messages.extend(message);
            }
        }
        Ok(messages)
    }

    /// Puts the reactions to these messages beside them, by one question a bucket. Without a viewer none is marked as theirs.
    async fn attach_reactions(
        &self,
        conversation_id: ConversationId,
        viewer: Option<&UserId>,
        messages: &mut [MessageRecord],
    ) -> Result<()> {
        let mut stretches: HashMap<u64, (u64, u64)> = HashMap::new();
        for seq in messages.iter().map(|message| message.record.head.seq) {
            let stretch = stretches.entry(self.buckets.of_seq(seq)).or_insert((seq, seq));
            *stretch = (stretch.0.min(seq), stretch.1.max(seq));
        }
        let mut given: HashMap<u64, Vec<Given>> = HashMap::new();
        for (bucket, (first, last)) in stretches {
            let parameters = (self.key(conversation_id), signed(bucket), signed(first), signed(last));
            let rows = self.session.execute_iter(self.statements.reactions.clone(), parameters).await;
            let rows = rows.map_err(unavailable)?.rows_stream::<(i64, String, String, bool, i64)>();
            let mut rows = rows.map_err(unavailable)?;
            while let Some((message, emoji, user, is_given, seq)) = rows.try_next().await.map_err(unavailable)? {
                if is_given {
                    given.entry(unsigned(message)).or_default().push(Given { emoji, user, seq: unsigned(seq) });
                }
            }
        }
        for message in messages {
            // A deletion takes them away, and nothing brings them back.
            if message.delete_time.is_none()
                && let Some(given) = given.remove(&message.record.head.seq)
            {
                message.reactions = counted(given, viewer);
            }
        }
        Ok(())
    }

    /// Whether these reactions are given.
    pub(super) async fn reactions_given(
        &self,
        conversation_id: ConversationId,
        keys: &[ReactionKey],
    ) -> Result<(Head, Vec<bool>)> {
        let (_, head) = self.settled(conversation_id).await?;
        let given = try_join_all(keys.iter().map(|key| self.is_given(conversation_id, head, key))).await?;
        Ok((head, given))
    }

    async fn is_given(&self, conversation_id: ConversationId, head: Head, key: &ReactionKey) -> Result<bool> {
        let ReactionKey { message_seq, emoji, user } = key;
        if *message_seq > head.seq {
            return Ok(false);
        }
        let bucket = signed(self.buckets.of_seq(*message_seq));
        let parameters = (self.key(conversation_id), bucket, signed(*message_seq), emoji.as_str(), user.as_str());
        let rows: Vec<(bool,)> = self.rows(&self.statements.reaction, parameters).await?;
        if rows.first() != Some(&(true,)) {
            return Ok(false);
        }
        Ok(self.entry(conversation_id, *message_seq).await?.is_some_and(|message| !message.is_deleted()))
    }

    /// A page of pinned messages, the newest pin first.
    pub(super) async fn pinned_page(
        &self,
        conversation_id: ConversationId,
        viewer: &UserId,
        before_seq: u64,
        limit: ReadLimit,
    ) -> Result<MessageSlice> {
        let (_, head) = self.settled(conversation_id).await?;
        let mut pins = self.pinned(conversation_id).await?;
        pins.retain(|(pin, _)| *pin < before_seq);
        pins.sort_unstable_by(|a, b| b.cmp(a));
        let mut messages: Vec<MessageRecord> = Vec::new();
        let (mut bytes, mut last) = (0, before_seq);
        for (pin, seq) in pins {
            if messages.len() == limit.items {
                return Ok(MessageSlice { head, messages, searched_to: Some(last) });
            }
            let found = self.messages_below(conversation_id, Some(viewer), head, &[seq]).await?;
            for message in found {
                bytes += message.record.body.len() + message.edit.as_ref().map_or(0, |(_, body)| body.len());
                if bytes > limit.bytes && !messages.is_empty() {
                    return Ok(MessageSlice { head, messages, searched_to: Some(last) });
                }
                messages.push(message);
                last = pin;
            }
        }
        Ok(MessageSlice { head, messages, searched_to: None })
    }

    /// How many messages are pinned.
    pub(super) async fn pins_counted(&self, conversation_id: ConversationId) -> Result<(Head, u64)> {
        let (_, head) = self.settled(conversation_id).await?;
        Ok((head, self.pinned(conversation_id).await?.len() as u64))
    }

    /// Entries that pinned, with their messages. Rows of ended pins stay, and are read over.
    async fn pinned(&self, conversation_id: ConversationId) -> Result<Vec<(u64, u64)>> {
        let rows = self.session.execute_iter(self.statements.pins.clone(), (self.key(conversation_id),)).await;
        let rows = rows.map_err(unavailable)?.rows_stream::<(i64, i64)>().map_err(unavailable)?;
        let rows: Vec<(i64, i64)> = rows.try_collect().await.map_err(unavailable)?;
        Ok(rows
            .into_iter()
            .filter(|(_, pin)| *pin > 0)
            .map(|(message, pin)| (unsigned(pin), unsigned(message)))
            .collect())
    }
}

/// One reaction of one user.
struct Given {
    emoji: String,
    user: String,
    seq: u64,
}

/// By kind, the one whose oldest reaction is the oldest first.
fn counted(mut given: Vec<Given>, viewer: Option<&UserId>) -> Vec<ReactionCount> {
    given.sort_unstable_by_key(|given| given.seq);
    let mut counts: Vec<ReactionCount> = Vec::new();
    for Given { emoji, user, .. } in given {
        let reacted = viewer.is_some_and(|viewer| viewer.as_str() == user);
        match counts.iter_mut().find(|count| count.emoji == emoji) {
            Some(count) => {
                count.count += 1;
                count.reacted |= reacted;
            }
            None => counts.push(ReactionCount { emoji, count: 1, reacted }),
        }
    }
    counts
}
