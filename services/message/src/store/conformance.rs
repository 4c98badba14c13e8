//! The guarantees of [`Store`], as tests that every backend passes. A backend stamps them onto itself by [`stamp!`].

mod log;
mod messages;
mod positions;

use std::sync::Arc;

use futures::future::BoxFuture;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, Entropy as _, RequestId, SystemEntropy, UserId};

pub(crate) use self::log::*;
pub(crate) use self::messages::*;
pub(crate) use self::positions::*;
use super::*;

tokio::task_local! {
    /// Stands in the ids of one test's conversations: several tests share an engine.
    static SPACE: u64;
}

/// Runs a test with conversations of its own.
pub(crate) async fn in_space<T>(test: impl Future<Output = T>) -> T {
    let mut space = [0; 8];
    SystemEntropy.fill(&mut space);
    SPACE.scope(u64::from_be_bytes(space), test).await
}

/// Makes handles on one store.
pub(crate) trait Backend: Send + Sync {
    /// Another handle on the same store, as another process would have one.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>>;
}

/// Makes a test of each guarantee: `stamp!(backend: <an async expression that gives Some(Backend)>)`; `None`: it is missing
/// here, and that was said.
macro_rules! stamp {
    (backend: $backend:expr) => {
        $crate::store::conformance::stamp! {
            backend: $backend,
            tests: [
                what_was_appended_is_read_by_every_handle,
                a_lost_condition_writes_nothing,
                writers_with_handles_of_their_own_leave_no_gap,
                ids_and_versions_are_found_in_the_whole_log,
                reads_of_the_log_are_bounded,
                messages_show_their_last_edit_and_their_deletion,
                an_erased_text_is_returned_by_no_read,
                pages_of_messages_search_a_bounded_run,
                pages_of_messages_are_bounded_by_what_their_edits_say,
                overviews_join_head_message_and_position,
                positions_keep_their_maximum,
                positions_are_never_past_the_head_that_they_are_read_with,
                positions_are_paged_by_user,
                who_is_gone_has_no_position,
                delivered_positions_keep_their_maximum_and_follow_reading,
                reactions_are_counted_by_kind_and_marked_for_their_viewer,
                reactions_are_found_by_user,
                pins_are_listed_newest_first,
                a_deletion_takes_reactions_and_pins_away,
                overviews_count_from_the_place_that_is_asked_for,
                an_unknown_log_is_empty,
                pages_are_as_of_their_moment_and_of_their_viewer,
                a_write_by_another_handle_is_noticed,
                the_same_append_by_two_handles_is_stored_once,
                the_position_of_a_sender_is_seen_by_others,
                a_store_that_is_closed_takes_no_writes,
            ]
        }
    };
    (backend: $backend:expr, tests: [$($test:ident,)*]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(backend) = $backend.await else { return };
                $crate::store::conformance::in_space($crate::store::conformance::$test(&backend)).await;
            }
        )*
    };
}
pub(crate) use stamp;

pub(crate) const ALL: ReadLimit = ReadLimit { items: 1_000, bytes: usize::MAX };

pub(crate) fn id(n: u8) -> ConversationId {
    let mut bytes = [n; 16];
    bytes[..8].copy_from_slice(&SPACE.get().to_be_bytes());
    ConversationId::from_bytes(bytes)
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn write_id(user_name: &str, request: &str) -> WriteId {
    WriteId { user: user(user_name), request_id: RequestId::parse(request).unwrap() }
}

/// A log in the making, as the service would write it.
pub(crate) struct Writer {
    pub(crate) conversation_id: ConversationId,
    pub(crate) head: Head,
}

impl Writer {
    pub(crate) fn new(conversation_id: ConversationId) -> Self {
        Self { conversation_id, head: Head::default() }
    }

    /// An append of no records yet, after the present head.
    pub(crate) fn batch(&self) -> Append {
        Append {
            conversation_id: self.conversation_id,
            expected_head: self.head.seq,
            records: Vec::new(),
            changes: Vec::new(),
            positions: Vec::new(),
            departed: Vec::new(),
        }
    }

    pub(crate) fn record(&mut self, kind: Kind, actor: &str, request: Option<&str>, body: &str) -> Record {
        let create_time = Timestamp::from_millis(1_000 + self.head.seq as i64);
        self.head.seq += 1;
        self.head.time = Some(create_time);
        match kind {
            Kind::MESSAGE => {
                self.head.message_no += 1;
                self.head.last_message_seq = self.head.seq;
            }
            _ if request.is_none() => self.head.conversation_version += 1,
            _ => {}
        }
        Record {
            head: self.head,
            kind,
            target_seq: None,
            actor: user(actor),
            id: request.map(|request| (RequestId::parse(request).unwrap(), [self.head.seq as u8; 16])),
            create_time,
            erased: false,
            body: body.as_bytes().into(),
        }
    }

    pub(crate) fn message(&mut self, actor: &str, request: &str, body: &str) -> Append {
        let mut append = self.batch();
        append.records.push(self.record(Kind::MESSAGE, actor, Some(request), body));
        append
    }

    pub(crate) fn system(&mut self, body: &str) -> Append {
        let mut append = self.batch();
        append.records.push(self.record(Kind(12), "alice", None, body));
        append
    }

    pub(crate) fn edit(&mut self, message_seq: u64, request: &str, body: &str) -> Append {
        let mut append = self.batch();
        let record = self.record(Kind::EDITED, "alice", Some(request), body);
        append.changes.push(StateChange::Edit { message_seq, edit_seq: record.head.seq });
        append.records.push(Record { target_seq: Some(message_seq), ..record });
        append
    }

    /// An entry of `actor` that does nothing but this to a message.
    fn change(&mut self, kind: u32, actor: &str, request: &str, change: impl FnOnce(u64) -> StateChange) -> Append {
        let mut append = self.batch();
        let record = self.record(Kind(kind), actor, Some(request), "change");
        append.changes.push(change(record.head.seq));
        append.records.push(record);
        append
    }

    pub(crate) fn react(&mut self, actor: &str, message_seq: u64, emoji: &str) -> Append {
        let request = format!("r{}", self.head.seq);
        self.change(4, actor, &request, |seq| StateChange::React { key: key(message_seq, emoji, actor), seq })
    }

    fn unreact(&mut self, actor: &str, message_seq: u64, emoji: &str) -> Append {
        let request = format!("r{}", self.head.seq);
        self.change(5, actor, &request, |seq| StateChange::Unreact { key: key(message_seq, emoji, actor), seq })
    }

    pub(crate) fn pin(&mut self, actor: &str, message_seq: u64) -> Append {
        let request = format!("p{}", self.head.seq);
        self.change(6, actor, &request, |seq| StateChange::Pin { message_seq, seq })
    }

    fn unpin(&mut self, actor: &str, message_seq: u64) -> Append {
        let request = format!("p{}", self.head.seq);
        self.change(7, actor, &request, |seq| StateChange::Unpin { message_seq, seq })
    }

    pub(crate) fn delete(&mut self, message_seq: u64, request: &str) -> Append {
        let mut append = self.batch();
        let record = self.record(Kind::DELETED, "alice", Some(request), "deletion");
        append.changes.push(StateChange::Delete {
            message_seq,
            delete_seq: record.head.seq,
            message_body: b"m".to_vec(),
            edit_body: b"e".to_vec(),
        });
        append.records.push(Record { target_seq: Some(message_seq), ..record });
        append
    }
}

fn key(message_seq: u64, emoji: &str, name: &str) -> ReactionKey {
    ReactionKey { message_seq, emoji: emoji.to_owned(), user: user(name) }
}

/// The message at a place, as `viewer` sees it.
async fn at(store: &Arc<dyn Store>, viewer: Option<&str>, seq: u64) -> MessageRecord {
    store.messages_at(id(1), viewer.map(user), vec![seq]).await.unwrap().messages.remove(0)
}

fn counts(message: &MessageRecord) -> Vec<(&str, u32, bool)> {
    message.reactions.iter().map(|given| (given.emoji.as_str(), given.count, given.reacted)).collect()
}

async fn store(store: &Arc<dyn Store>, append: Append) {
    assert_eq!(put(store, append).await, Appended::Stored);
}

/// Appends as the service does: after an unknown outcome the log tells, and what was refused is tried again under the same
/// condition.
pub(crate) async fn put(store: &Arc<dyn Store>, append: Append) -> Appended {
    let mut in_doubt = false;
    for _ in 0..100 {
        match store.append(append.clone()).await {
            Ok(Appended::Conflict { head }) if in_doubt && head > append.expected_head => {}
            Ok(answer) => return answer,
            Err(StoreError::OutcomeUnknown(_)) => in_doubt = true,
            Err(StoreError::Unavailable(_)) => continue,
            Err(error) => panic!("{error}"),
        }
        let limit = ReadLimit { items: append.records.len(), bytes: usize::MAX };
        let slice = store.read_log(append.conversation_id, append.expected_head, limit).await.unwrap();
        let names = |records: &[Record]| records.iter().map(|r| (r.head, r.kind, r.id.clone())).collect::<Vec<_>>();
        if names(&slice.records) == names(&append.records) {
            return Appended::Stored;
        }
        if slice.head.seq > append.expected_head {
            return Appended::Conflict { head: slice.head.seq };
        }
    }
    panic!("the store answers nothing for sure")
}

pub(crate) async fn bodies(store: &Arc<dyn Store>, n: u8) -> Vec<String> {
    let slice = store.read_log(id(n), 0, ALL).await.unwrap();
    assert!(slice.records.iter().zip(1..).all(|(record, seq)| record.head.seq == seq), "no gap");
    assert_eq!(slice.head.seq, slice.records.len() as u64);
    slice.records.into_iter().map(|record| String::from_utf8(record.body.to_vec()).unwrap()).collect()
}
