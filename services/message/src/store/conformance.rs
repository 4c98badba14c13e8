//! The guarantees of [`Store`], as tests that every backend passes. A backend stamps them onto itself by [`stamp!`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::future::{BoxFuture, join, join_all};
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, Entropy as _, RequestId, SystemEntropy, UserId};

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

pub(crate) async fn what_was_appended_is_read_by_every_handle(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    let mut first = log.message("alice", "m1", "one");
    let second = log.record(Kind::MESSAGE, "bob", Some("m1"), "two");
    first.records.push(second);
    let written = first.records.clone();
    store(&one, first).await;

    let slice = two.read_log(id(1), 0, ALL).await.unwrap();
    assert_eq!(slice.records, written);
    assert_eq!(slice.head, written[1].head);
    assert_eq!(two.heads(vec![id(2), id(1)]).await.unwrap(), [Head::default(), log.head]);
    store(&two, log.system("joined")).await;
    assert_eq!(bodies(&one, 1).await, ["one", "two", "joined"]);
}

pub(crate) async fn a_lost_condition_writes_nothing(backend: &dyn Backend) {
    let store_one = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&store_one, log.message("alice", "m1", "one")).await;
    for expected_head in [0, 2, 90] {
        let mut append = Writer { conversation_id: id(1), head: log.head }.message("bob", "m1", "lost");
        append.expected_head = expected_head;
        append.positions = vec![Position::read(user("bob"), 2, 2)];
        append.changes = vec![
            StateChange::Edit { message_seq: 1, edit_seq: 2 },
            StateChange::React { key: key(1, "+1", "bob"), seq: 2 },
            StateChange::Pin { message_seq: 1, seq: 2 },
        ];
        assert_eq!(put(&store_one, append).await, Appended::Conflict { head: 1 });
    }
    assert_eq!(bodies(&store_one, 1).await, ["one"]);
    assert!(store_one.positions(id(1), None, 10).await.unwrap().positions.is_empty());
    let message = at(&store_one, None, 1).await;
    assert_eq!((message.edit, message.pin, message.reactions), (None, None, Vec::new()));
}

pub(crate) async fn writers_with_handles_of_their_own_leave_no_gap(backend: &dyn Backend) {
    const WRITES: usize = 40;
    let handles = join_all((0..3).map(|_| backend.open())).await;
    let writers = handles.iter().enumerate().flat_map(|(h, handle)| [(h, 1, handle), (h, 2, handle)]).map(
        |(writer, conversation, handle)| async move {
            for n in 0..WRITES {
                loop {
                    let head = handle.heads(vec![id(conversation)]).await.unwrap()[0];
                    let mut log = Writer { conversation_id: id(conversation), head };
                    let body = format!("{writer}-{n}");
                    let append = log.message(&format!("user{writer}"), &body, &body);
                    match put(handle, append).await {
                        Appended::Stored => break,
                        Appended::Conflict { head: later } => assert!(later > head.seq),
                        Appended::IdTaken => panic!("no id comes twice"),
                    }
                }
            }
        },
    );
    join_all(writers).await;
    for conversation in [1, 2] {
        let mut all = bodies(&handles[0], conversation).await;
        assert_eq!(all.len(), 3 * WRITES);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3 * WRITES);
    }
}

pub(crate) async fn ids_and_versions_are_found_in_the_whole_log(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    store(&handle, log.system("version 1")).await;
    store(&handle, log.message("bob", "m1", "two")).await;
    store(&handle, log.system("version 2")).await;

    let asked = vec![write_id("bob", "m1"), write_id("bob", "m2"), write_id("alice", "m1")];
    let (head, found) = handle.find_ids(id(1), asked, 0).await.unwrap();
    assert_eq!(head, log.head);
    let at = |seq: u64| Some(Found { seq, fingerprint: [seq as u8; 16] });
    assert_eq!(found, [at(3), None, at(1)]);
    assert_eq!(handle.find_version(id(1), 2).await.unwrap(), Some(4));
    assert_eq!(handle.find_version(id(1), 3).await.unwrap(), None);
    assert_eq!(handle.find_version(id(2), 1).await.unwrap(), None);
}

pub(crate) async fn reads_of_the_log_are_bounded(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    for n in 0..10 {
        store(&handle, log.message("alice", &format!("m{n}"), &"x".repeat(100))).await;
    }
    let read = async |after, items, bytes| {
        let slice = handle.read_log(id(1), after, ReadLimit { items, bytes }).await.unwrap();
        assert_eq!(slice.head.seq, 10);
        slice.records.iter().map(|record| record.head.seq).collect::<Vec<_>>()
    };
    assert_eq!(read(3, 2, 1_000).await, [4, 5]);
    assert_eq!(read(3, 9, 250).await, [4, 5]);
    assert_eq!(read(3, 9, 1).await, [4], "one entry comes whatever its size");
    assert_eq!(read(10, 9, 1_000).await, [0; 0]);
    assert_eq!(read(u64::MAX, 9, 1_000).await, [0; 0]);
    let tail = handle.tail(id(1), 3).await.unwrap();
    assert_eq!(tail.records.iter().map(|record| record.head.seq).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!(handle.tail(id(1), 64).await.unwrap().records.len(), 10);
}

pub(crate) async fn messages_show_their_last_edit_and_their_deletion(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    store(&handle, log.message("alice", "m2", "two")).await;
    store(&handle, log.edit(1, "e1", "one, edited")).await;
    store(&handle, log.edit(1, "e2", "one, edited again")).await;
    store(&handle, log.delete(2, "d1")).await;

    let found = handle.messages_at(id(1), None, vec![1, 2, 3, 99]).await.unwrap();
    assert_eq!(found.head, log.head);
    assert_eq!(found.messages.len(), 2, "an edit is no message");
    let edit = (Timestamp::from_millis(1_003), b"one, edited again".as_slice().into());
    assert_eq!((found.messages[0].edit.as_ref(), found.messages[0].delete_time), (Some(&edit), None));
    assert_eq!(found.messages[1].delete_time, Some(Timestamp::from_millis(1_004)));
}

pub(crate) async fn an_erased_text_is_returned_by_no_read(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "secret")).await;
    store(&handle, log.message("alice", "m2", "other")).await;
    store(&handle, log.edit(1, "e1", "secret too")).await;
    store(&handle, log.edit(2, "e2", "other, edited")).await;
    // An edit and the deletion in one append.
    let mut last = log.edit(1, "e3", "secret again");
    let deletion = log.delete(1, "d1");
    last.records.extend(deletion.records);
    last.changes.extend(deletion.changes);
    store(&handle, last).await;

    let slice = handle.read_log(id(1), 0, ALL).await.unwrap();
    let erased: Vec<_> = slice.records.iter().filter(|record| record.erased).collect();
    assert_eq!(erased.iter().map(|record| record.head.seq).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(erased.iter().map(|record| &*record.body).collect::<Vec<_>>(), [b"m", b"e", b"e"]);
    let mut seen = format!("{slice:?}");
    seen += &format!("{:?}", handle.tail(id(1), 9).await.unwrap());
    seen += &format!("{:?}", handle.messages(id(1), user("alice"), MessageRange::After(0), ALL).await.unwrap());
    seen += &format!("{:?}", handle.messages_at(id(1), None, vec![1]).await.unwrap());
    seen += &format!("{:?}", handle.overviews(user("alice"), vec![(id(1), 0)]).await.unwrap());
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    assert!(!seen.contains(&bytes("secret")), "{seen}");
    assert!(seen.contains(&bytes("other, edited")));
}

pub(crate) async fn pages_of_messages_search_a_bounded_run(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "first", "first")).await;
    let mut edits = log.batch();
    for n in 0..60 {
        let edit = log.edit(1, &format!("e{n}"), "text");
        edits.records.extend(edit.records);
        edits.changes.extend(edit.changes);
    }
    store(&handle, edits).await;
    store(&handle, log.message("alice", "last", "last")).await;

    for forward in [true, false] {
        let mut range = if forward { MessageRange::After(0) } else { MessageRange::Before(u64::MAX) };
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let two = ReadLimit { items: 2, bytes: usize::MAX };
            let slice = handle.messages(id(1), user("alice"), range, two).await.unwrap();
            seen.extend(slice.messages.iter().map(|message| message.record.head.seq));
            pages += 1;
            let Some(searched_to) = slice.searched_to else { break };
            range = if forward { MessageRange::After(searched_to) } else { MessageRange::Before(searched_to) };
        }
        assert_eq!(seen, if forward { [1, 62] } else { [62, 1] });
        assert!(pages > 2, "one page does not search all of it");
    }
    let by_size = ReadLimit { items: 10, bytes: 1 };
    let newest = handle.messages(id(1), user("alice"), MessageRange::Before(u64::MAX), by_size).await.unwrap();
    assert_eq!(newest.messages.len(), 1);
    assert!(newest.searched_to.is_some());
}

pub(crate) async fn pages_of_messages_are_bounded_by_what_their_edits_say(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    for n in 1..=5 {
        store(&handle, log.message("alice", &format!("m{n}"), "m")).await;
    }
    for seq in 1..=5 {
        store(&handle, log.edit(seq, &format!("e{seq}"), "0123456789")).await;
    }
    for forward in [true, false] {
        let mut range = if forward { MessageRange::After(0) } else { MessageRange::Before(u64::MAX) };
        let mut pages: Vec<Vec<u64>> = Vec::new();
        loop {
            let two = ReadLimit { items: 10, bytes: 2 * 11 };
            let slice = handle.messages(id(1), user("alice"), range, two).await.unwrap();
            assert!(slice.messages.iter().all(|message| message.edit.is_some()));
            pages.push(slice.messages.iter().map(|message| message.record.head.seq).collect());
            let Some(searched_to) = slice.searched_to else { break };
            range = if forward { MessageRange::After(searched_to) } else { MessageRange::Before(searched_to) };
        }
        pages.retain(|page| !page.is_empty());
        let expected = if forward { [vec![1, 2], vec![3, 4], vec![5]] } else { [vec![4, 5], vec![2, 3], vec![1]] };
        assert_eq!(pages, expected);
    }
}

pub(crate) async fn overviews_join_head_message_and_position(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    let mut second = log.message("alice", "m2", "two");
    second.positions = vec![Position::read(user("alice"), 2, 2)];
    store(&handle, second).await;
    store(&handle, log.edit(1, "e1", "one, edited")).await;

    let overviews = handle.overviews(user("alice"), vec![(id(2), 0), (id(1), 0)]).await.unwrap();
    assert_eq!((overviews[0].head, overviews[0].last_message.as_ref()), (Head::default(), None));
    assert_eq!(overviews[1].head, log.head);
    assert_eq!(overviews[1].last_message.as_ref().unwrap().record.head.seq, 2);
    assert_eq!(overviews[1].position.read_seq, 2);
    let of_bob = handle.overviews(user("bob"), vec![(id(1), 0)]).await.unwrap();
    assert_eq!(of_bob[0].position, Position::read(user("bob"), 0, 0));
}

pub(crate) async fn positions_keep_their_maximum(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 0..9 {
        store(&one, log.message("alice", &format!("m{n}"), "text")).await;
    }
    assert_eq!(one.set_position(id(1), user("bob"), Mark::Read(10)).await.unwrap(), PositionSet::PastHead { head: 9 });
    // Both handles at once, in no order.
    let sets = [4, 9, 2, 7, 9, 1].into_iter().enumerate().map(|(n, seq)| {
        let handle = if n % 2 == 0 { &one } else { &two };
        async move { (seq, handle.set_position(id(1), user("bob"), Mark::Read(seq)).await.unwrap()) }
    });
    for (seq, set) in join_all(sets).await {
        let PositionSet::Set { position, head, .. } = set else { panic!("{set:?}") };
        assert!(position.read_seq >= seq && position.read_message_no == position.read_seq);
        assert_eq!(head.seq, 9);
    }
    let settled = two.set_position(id(1), user("bob"), Mark::Read(3)).await.unwrap();
    let position = Position::read(user("bob"), 9, 9);
    assert_eq!(settled, PositionSet::Set { position: position.clone(), moved: false, head: log.head });
    // A batch does not take it back either.
    let mut late = log.message("alice", "late", "text");
    late.positions = vec![Position::read(user("bob"), 5, 5)];
    store(&one, late).await;
    assert_eq!(one.positions(id(1), None, 10).await.unwrap().positions, [position]);
}

pub(crate) async fn positions_are_never_past_the_head_that_they_are_read_with(backend: &dyn Backend) {
    let (writing, reading) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    let is_over = AtomicBool::new(false);
    let writes = async {
        for n in 1..=60 {
            store(&writing, log.message("bob", &format!("m{n}"), "m")).await;
            let moved = writing.set_position(id(1), user("alice"), Mark::Read(n)).await.unwrap();
            assert!(matches!(moved, PositionSet::Set { .. }), "{moved:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let reads = async {
        while !is_over.load(Ordering::Relaxed) {
            let slice = reading.positions(id(1), None, 10).await.unwrap();
            let overview = reading.overviews(user("alice"), vec![(id(1), 0)]).await.unwrap().remove(0);
            let standing = slice.positions.iter().map(|position| (position, slice.head));
            for (position, head) in standing.chain([(&overview.position, overview.head)]) {
                assert!(position.read_seq <= head.seq && position.delivered_seq <= head.seq, "{position:?} {head:?}");
                assert!(position.read_message_no <= head.message_no, "{position:?} {head:?}");
            }
        }
    };
    join(writes, reads).await;
}

pub(crate) async fn positions_are_paged_by_user(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "text")).await;
    for name in ["dora", "bob", "carol"] {
        handle.set_position(id(1), user(name), Mark::Read(1)).await.unwrap();
    }
    let first = handle.positions(id(1), None, 2).await.unwrap();
    assert_eq!(first.positions.iter().map(|p| p.user.as_str()).collect::<Vec<_>>(), ["bob", "carol"]);
    assert!(first.more);
    let second = handle.positions(id(1), Some(user("carol")), 2).await.unwrap();
    assert_eq!(second.positions.iter().map(|p| p.user.as_str()).collect::<Vec<_>>(), ["dora"]);
    assert!(!second.more);
}

pub(crate) async fn who_is_gone_has_no_position(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "text")).await;
    handle.set_position(id(1), user("bob"), Mark::Read(1)).await.unwrap();
    handle.set_position(id(1), user("carol"), Mark::Read(1)).await.unwrap();
    let mut removal = log.system("bob is gone");
    removal.departed = vec![user("bob")];
    store(&handle, removal).await;
    let left = handle.positions(id(1), None, 9).await.unwrap().positions;
    assert_eq!(left.iter().map(|p| p.user.as_str()).collect::<Vec<_>>(), ["carol"]);
    // A call that was let in before the removal comes too late.
    for mark in [Mark::Read(1), Mark::Delivered(1)] {
        assert_eq!(handle.set_position(id(1), user("bob"), mark).await.unwrap(), PositionSet::NoMember);
    }
    assert_eq!(handle.positions(id(1), None, 9).await.unwrap().positions.len(), 1);
    // Who comes back starts anew.
    let mut joining = log.system("bob is back");
    joining.positions = vec![Position::read(user("bob"), 3, 1)];
    store(&handle, joining).await;
    assert!(matches!(
        handle.set_position(id(1), user("bob"), Mark::Read(2)).await.unwrap(),
        PositionSet::Set { moved: false, position: Position { read_seq: 3, .. }, .. }
    ));
}

pub(crate) async fn delivered_positions_keep_their_maximum_and_follow_reading(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 0..9 {
        store(&one, log.message("alice", &format!("m{n}"), "text")).await;
    }
    let of_bob = async |handle: &Arc<dyn Store>| {
        let listed = handle.positions(id(1), None, 10).await.unwrap().positions;
        listed.into_iter().find(|position| position.user == user("bob")).unwrap()
    };
    let set = async |handle: &Arc<dyn Store>, mark| handle.set_position(id(1), user("bob"), mark).await.unwrap();
    assert_eq!(set(&one, Mark::Delivered(10)).await, PositionSet::PastHead { head: 9 });
    for (seq, mark) in [(5, Mark::Delivered(5)), (5, Mark::Delivered(3)), (5, Mark::Read(2)), (7, Mark::Read(7))] {
        let PositionSet::Set { position, moved, .. } = set(&one, mark).await else { panic!("{mark:?}") };
        assert_eq!((position.delivered_seq, moved), (seq, mark != Mark::Delivered(3)), "{mark:?}");
    }
    assert_eq!(of_bob(&two).await, Position { delivered_seq: 7, ..Position::read(user("bob"), 7, 7) });
    set(&two, Mark::Delivered(8)).await;
    let mut late = log.message("alice", "late", "text");
    late.positions = vec![Position::read(user("bob"), 6, 6)];
    store(&one, late).await;
    assert_eq!(of_bob(&one).await, Position { delivered_seq: 8, ..Position::read(user("bob"), 7, 7) });
    // Who has read nothing may have been reached.
    one.set_position(id(1), user("carol"), Mark::Delivered(4)).await.unwrap();
    let overview = two.overviews(user("carol"), vec![(id(1), 0)]).await.unwrap().remove(0);
    assert_eq!(overview.position, Position { delivered_seq: 4, ..Position::read(user("carol"), 0, 0) });
}

pub(crate) async fn reactions_are_counted_by_kind_and_marked_for_their_viewer(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    store(&handle, log.message("alice", "m2", "two")).await;
    for append in [
        log.react("alice", 1, "late in the alphabet"),
        log.react("bob", 1, "+1"),
        log.react("alice", 1, "+1"),
        log.react("carol", 1, "gone"),
        log.unreact("carol", 1, "gone"),
    ] {
        store(&handle, append).await;
    }
    let of_bob = [("late in the alphabet", 1, false), ("+1", 2, true)];
    assert_eq!(counts(&at(&handle, Some("bob"), 1).await), of_bob);
    assert_eq!(counts(&at(&handle, None, 1).await), [("late in the alphabet", 1, false), ("+1", 2, false)]);
    assert!(at(&handle, Some("bob"), 2).await.reactions.is_empty());
    let page = handle.messages(id(1), user("bob"), MessageRange::After(0), ALL).await.unwrap();
    assert_eq!(counts(&page.messages[0]), of_bob);
    store(&handle, log.react("bob", 2, "last")).await;
    let overview = handle.overviews(user("bob"), vec![(id(1), 0)]).await.unwrap().remove(0);
    assert_eq!(counts(&overview.last_message.unwrap()), [("last", 1, true)]);
}

pub(crate) async fn reactions_are_found_by_user(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    store(&handle, log.react("bob", 1, "+1")).await;
    let asked = vec![key(1, "+1", "alice"), key(1, "+1", "bob"), key(1, "-1", "bob"), key(9, "+1", "bob")];
    let (head, found) = handle.find_reactions(id(1), asked).await.unwrap();
    assert_eq!((head, found), (log.head, vec![false, true, false, false]));
}

pub(crate) async fn pins_are_listed_newest_first(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    for n in 0..4 {
        store(&handle, log.message("alice", &format!("m{n}"), "text")).await;
    }
    for append in [log.pin("bob", 3), log.pin("alice", 1), log.pin("alice", 4), log.unpin("bob", 1)] {
        store(&handle, append).await;
    }
    let page = async |before, items| {
        let limit = ReadLimit { items, bytes: usize::MAX };
        let slice = handle.pins(id(1), user("alice"), before, limit).await.unwrap();
        assert_eq!(slice.head, log.head);
        let places: Vec<u64> = slice.messages.iter().map(|message| message.record.head.seq).collect();
        (places, slice.searched_to)
    };
    assert_eq!(page(u64::MAX, 9).await, (vec![4, 3], None));
    assert_eq!(page(u64::MAX, 1).await, (vec![4], Some(7)));
    assert_eq!(page(7, 1).await, (vec![3], None));
    assert_eq!(handle.pin_count(id(1)).await.unwrap(), (log.head, 2));
    let pin = Pin { seq: 5, time: Timestamp::from_millis(1_004), user: user("bob") };
    assert_eq!(at(&handle, None, 3).await.pin, Some(pin));
    assert_eq!(at(&handle, None, 1).await.pin, None);
}

pub(crate) async fn a_deletion_takes_reactions_and_pins_away(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    store(&handle, log.react("bob", 1, "+1")).await;
    store(&handle, log.pin("bob", 1)).await;
    store(&handle, log.delete(1, "d1")).await;
    // What comes late does not bring them back.
    store(&handle, log.react("bob", 1, "-1")).await;
    store(&handle, log.pin("bob", 1)).await;
    let message = at(&handle, Some("bob"), 1).await;
    assert_eq!((message.pin, message.reactions), (None, Vec::new()));
    assert!(message.delete_time.is_some());
    assert_eq!(handle.pin_count(id(1)).await.unwrap().1, 0);
    assert_eq!(handle.find_reactions(id(1), vec![key(1, "+1", "bob")]).await.unwrap().1, [false]);
    assert!(handle.pins(id(1), user("bob"), u64::MAX, ALL).await.unwrap().messages.is_empty());
}

pub(crate) async fn overviews_count_from_the_place_that_is_asked_for(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    for n in 0..4 {
        store(&handle, log.message("alice", &format!("m{n}"), "text")).await;
        let mut change = log.system("change");
        change.positions = vec![Position::read(user("bob"), 0, 0)];
        store(&handle, change).await;
    }
    handle.set_position(id(1), user("bob"), Mark::Read(3)).await.unwrap();
    for (asked, passed) in [(0, 2), (2, 2), (3, 2), (4, 2), (5, 3), (8, 4), (900, 4)] {
        let overview = handle.overviews(user("bob"), vec![(id(1), asked)]).await.unwrap().remove(0);
        assert_eq!((overview.position.read_seq, overview.passed_message_no), (3, passed), "{asked}");
    }
}

pub(crate) async fn an_unknown_log_is_empty(backend: &dyn Backend) {
    let handle = backend.open().await;
    assert!(handle.read_log(id(1), 0, ALL).await.unwrap().records.is_empty());
    assert!(handle.tail(id(1), 64).await.unwrap().records.is_empty());
    assert_eq!(handle.heads(vec![id(1)]).await.unwrap(), [Head::default()]);
    assert!(
        handle.messages(id(1), user("bob"), MessageRange::Before(u64::MAX), ALL).await.unwrap().messages.is_empty()
    );
    let set = handle.set_position(id(1), user("bob"), Mark::Read(1)).await.unwrap();
    assert_eq!(set, PositionSet::PastHead { head: 0 });
}

pub(crate) async fn a_write_by_another_handle_is_noticed(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    store(&one, log.message("alice", "m1", "text")).await;
    two.written_elsewhere().await.unwrap();
    store(&one, log.message("alice", "m2", "text")).await;
    let begun = Instant::now();
    while !two.written_elsewhere().await.unwrap() {
        assert!(begun.elapsed() < 2 * WRITES_NOTICED_WITHIN);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!two.written_elsewhere().await.unwrap(), "it is said once");
}

pub(crate) async fn the_same_append_by_two_handles_is_stored_once(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 0..20 {
        let append = log.message("alice", &format!("m{n}"), &n.to_string());
        let mut other = append.clone();
        other.records[0].actor = user("bob");
        let (mine, theirs) = futures::join!(put(&one, append), put(&two, other));
        let stored = [mine, theirs].into_iter().filter(|answer| *answer == Appended::Stored).count();
        // Told apart by who reads first: of two equal records each may be taken for one's own.
        assert!(stored >= 1, "{mine:?} {theirs:?}");
    }
    assert_eq!(bodies(&one, 1).await, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

pub(crate) async fn the_position_of_a_sender_is_seen_by_others(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 1..4 {
        let mut append = log.message("alice", &format!("m{n}"), "text");
        append.positions = vec![Position::read(user("alice"), n, n)];
        store(&one, append).await;
        let position = [Position::read(user("alice"), n, n)];
        for handle in [&one, &two] {
            assert_eq!(handle.positions(id(1), None, 9).await.unwrap().positions, position);
            assert_eq!(handle.overviews(user("alice"), vec![(id(1), 0)]).await.unwrap()[0].position, position[0]);
        }
    }
}

pub(crate) async fn a_store_that_is_closed_takes_no_writes(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    let mut append = log.message("alice", "m1", "text");
    append.positions = vec![Position::read(user("alice"), 1, 1)];
    store(&one, append).await;
    one.close().await.unwrap();
    assert!(matches!(one.append(log.message("alice", "m2", "text")).await, Err(StoreError::Unavailable(_))));
    let set = one.set_position(id(1), user("bob"), Mark::Read(1)).await;
    assert!(matches!(set, Err(StoreError::Unavailable(_))), "{set:?}");
    two.ping().await.unwrap();
    assert_eq!(bodies(&two, 1).await, ["text"]);
    let positions = two.positions(id(1), None, 9).await.unwrap().positions;
    assert_eq!(positions, [Position::read(user("alice"), 1, 1)], "what waited is written");
}

/// Whatever a handle keeps of what it has read: after each change, by whichever handle, it shows what is, to each their own.
pub(crate) async fn pages_are_as_of_their_moment_and_of_their_viewer(backend: &dyn Backend) {
    let (one, other) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 1..=3 {
        store(&one, log.message("alice", &format!("m{n}"), "text")).await;
    }
    let page = async |handle: &Arc<dyn Store>, viewer: &str| {
        let slice = handle.messages(id(1), user(viewer), MessageRange::Before(u64::MAX), ALL).await.unwrap();
        let log = handle.read_log(id(1), 0, ALL).await.unwrap();
        assert_eq!((slice.head, log.head), (log.records.last().unwrap().head, slice.head));
        slice.messages
    };
    let changes = [
        log.react("bob", 1, "+1"),
        log.edit(2, "e1", "edited"),
        log.react("alice", 1, "+1"),
        log.pin("alice", 3),
        log.delete(2, "d1"),
        log.unreact("bob", 1, "+1"),
        log.unpin("bob", 3),
        log.message("bob", "m4", "more"),
    ];
    let mut seen = Vec::new();
    for (turn, change) in changes.into_iter().enumerate() {
        // Both have read what is about to change.
        for handle in [&one, &other] {
            page(handle, "alice").await;
        }
        store(if turn % 2 == 0 { &one } else { &other }, change).await;
        let mut shown = Vec::new();
        for handle in [&other, &one, &other] {
            shown.push((page(handle, "alice").await, page(handle, "bob").await));
        }
        assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "turn {turn}: {shown:?}");
        let (of_alice, of_bob) = shown.remove(0);
        let own = |of: &[MessageRecord]| counts(&of[0]).first().map(|(_, count, reacted)| (*count, *reacted));
        let second = of_alice[1].edit.is_some() as u8 + 2 * of_alice[1].delete_time.is_some() as u8;
        seen.push((own(&of_alice), own(&of_bob), second, of_alice[2].pin.is_some(), of_alice.len()));
    }
    let (theirs, ours) = (Some((1, false)), Some((1, true)));
    let both = Some((2, true));
    let deleted = seen[4].2;
    assert!(deleted >= 2);
    let expected = [
        (theirs, ours, 0, false, 3),
        (theirs, ours, 1, false, 3),
        (both, both, 1, false, 3),
        (both, both, 1, true, 3),
        (both, both, deleted, true, 3),
        (ours, theirs, deleted, true, 3),
        (ours, theirs, deleted, false, 3),
        (ours, theirs, deleted, false, 4),
    ];
    assert_eq!(seen, expected);
}
