//! Messages as their readers see them: edits, deletions, reactions and pins.

use super::*;

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
