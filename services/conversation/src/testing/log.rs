use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message as _;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::EntryBody;
use viberchat_proto::message::v1::entry_body::Body;

use crate::log::EntryLog;
use crate::store::OutboxEntry;

/// Between two system entries there are messages: a seq is not a version.
const STRIDE: u64 = 3;

/// A log in memory that takes each version once, in order, like the real one.
#[derive(Default)]
pub(crate) struct FakeLog {
    conversations: Mutex<HashMap<ConversationId, Vec<OutboxEntry>>>,
    down: AtomicBool,
    stuck: AtomicBool,
    calls: AtomicU64,
}

impl FakeLog {
    /// While it is down it takes nothing.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// While it is stuck it does not answer.
    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::SeqCst);
    }

    /// Appends that were asked for, refused ones too.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// What a conversation has, in order.
    pub(crate) fn entries(&self, conversation: ConversationId) -> Vec<(u64, String, Body)> {
        let conversations = self.conversations.lock();
        let entries = conversations.get(&conversation).into_iter().flatten();
        entries
            .map(|entry| {
                let body = EntryBody::decode(entry.entry.as_slice()).expect("an entry").body.expect("a body");
                (entry.version, entry.actor.to_string(), body)
            })
            .collect()
    }

    /// Loses a conversation, as a log does that was restored from an old backup.
    pub(crate) fn forget(&self, conversation: ConversationId) {
        self.conversations.lock().remove(&conversation);
    }

    /// The seq of the entry with this version.
    pub(crate) fn seq_of(version: u64) -> u64 {
        1 + (version - 1) * STRIDE
    }
}

impl EntryLog for FakeLog {
    fn append<'a>(&'a self, conversation: ConversationId, entry: &'a OutboxEntry) -> BoxFuture<'a, Result<u64, Error>> {
        async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.down.load(Ordering::SeqCst) {
                return Err(Error::new(Reason::StoreUnavailable, "down"));
            }
            let mut conversations = self.conversations.lock();
            let entries = conversations.entry(conversation).or_default();
            let current = entries.len() as u64;
            if entry.version > current + 1 {
                return Err(Error::new(Reason::VersionGap, "a version is missing"));
            }
            if entry.version == current + 1 {
                entries.push(entry.clone());
            }
            Ok(Self::seq_of(entry.version))
        }
        .boxed()
    }
}
