//! Appends, reads of the log, and what handles on one store see of each other.

use std::time::Instant;

use futures::future::join_all;

use super::*;

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
        append.positions = vec![(log.head.seq, Position::read(user("bob"), 2, 2))];
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

pub(crate) async fn a_store_that_is_closed_takes_no_writes(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    let mut append = log.message("alice", "m1", "text");
    append.positions = vec![(log.head.seq, Position::read(user("alice"), 1, 1))];
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
