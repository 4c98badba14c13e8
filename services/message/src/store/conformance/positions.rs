//! How far users have read, and what their lists of conversations show.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{join, join_all};

use super::*;

pub(crate) async fn overviews_join_head_message_and_position(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    store(&handle, log.message("alice", "m1", "one")).await;
    let mut second = log.message("alice", "m2", "two");
    second.positions = vec![(log.head.seq, Position::read(user("alice"), 2, 2))];
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
    late.positions = vec![(log.head.seq, Position::read(user("bob"), 5, 5))];
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
    removal.departed = vec![(log.head.seq, user("bob"))];
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
    joining.positions = vec![(log.head.seq, Position::read(user("bob"), 3, 1))];
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
    late.positions = vec![(log.head.seq, Position::read(user("bob"), 6, 6))];
    store(&one, late).await;
    assert_eq!(of_bob(&one).await, Position { delivered_seq: 8, ..Position::read(user("bob"), 7, 7) });
    // Who has read nothing may have been reached.
    one.set_position(id(1), user("carol"), Mark::Delivered(4)).await.unwrap();
    let overview = two.overviews(user("carol"), vec![(id(1), 0)]).await.unwrap().remove(0);
    assert_eq!(overview.position, Position { delivered_seq: 4, ..Position::read(user("carol"), 0, 0) });
}

pub(crate) async fn overviews_count_from_the_place_that_is_asked_for(backend: &dyn Backend) {
    let handle = backend.open().await;
    let mut log = Writer::new(id(1));
    for n in 0..4 {
        store(&handle, log.message("alice", &format!("m{n}"), "text")).await;
        let mut change = log.system("change");
        change.positions = vec![(log.head.seq, Position::read(user("bob"), 0, 0))];
        store(&handle, change).await;
    }
    handle.set_position(id(1), user("bob"), Mark::Read(3)).await.unwrap();
    for (asked, passed) in [(0, 2), (2, 2), (3, 2), (4, 2), (5, 3), (8, 4), (900, 4)] {
        let overview = handle.overviews(user("bob"), vec![(id(1), asked)]).await.unwrap().remove(0);
        assert_eq!((overview.position.read_seq, overview.passed_message_no), (3, passed), "{asked}");
    }
}

pub(crate) async fn the_position_of_a_sender_is_seen_by_others(backend: &dyn Backend) {
    let (one, two) = (backend.open().await, backend.open().await);
    let mut log = Writer::new(id(1));
    for n in 1..4 {
        let mut append = log.message("alice", &format!("m{n}"), "text");
        append.positions = vec![(log.head.seq, Position::read(user("alice"), n, n))];
        store(&one, append).await;
        let position = [Position::read(user("alice"), n, n)];
        for handle in [&one, &two] {
            assert_eq!(handle.positions(id(1), None, 9).await.unwrap().positions, position);
            assert_eq!(handle.overviews(user("alice"), vec![(id(1), 0)]).await.unwrap()[0].position, position[0]);
        }
    }
}
