use proptest::prelude::*;

use super::*;

fn id(user: u8, request: u16) -> WriteId {
    WriteId {
        user: UserId::parse(format!("user{user}")).unwrap(),
        request_id: RequestId::parse(format!("m{request}")).unwrap(),
    }
}

#[test]
fn an_empty_window_is_exact_only_above_its_begin() {
    let window = Window::new(10, 64);
    assert!(!window.is_exact_for(9));
    assert!(window.is_exact_for(10));
    assert_eq!(window.find(&id(0, 0)), None);
}

proptest! {
    /// Against the whole log: whenever the window calls itself exact for a write, it finds what the log has.
    #[test]
    fn an_exact_answer_is_the_logs_answer(
        begin in 0_u64..20,
        entries_max in 1_usize..10,
        // `None`: a system entry, which has no id.
        log in prop::collection::vec(prop::option::weighted(0.8, (0_u8..3, 0_u16..200)), 0..60),
        asked in (0_u8..3, 0_u16..200),
        clear_to in 0_u64..90,
        wanted_after in prop::option::of(0_u64..90),
    ) {
        let mut window = Window::new(begin, entries_max);
        let mut stored: Vec<(WriteId, Found)> = Vec::new();
        for (index, entry) in log.into_iter().enumerate() {
            let found = Found { seq: begin + 1 + index as u64, fingerprint: [index as u8; 16] };
            if let Some((user, request)) = entry
                && !stored.iter().any(|(known, _)| *known == id(user, request))
            {
                stored.push((id(user, request), found));
                window.push(id(user, request), found);
                window.keep_after(wanted_after);
            }
        }
        let asked = id(asked.0, asked.1);
        let truth = stored.iter().find(|(known, _)| *known == asked).map(|(_, found)| *found);
        // What `clear_to` promises.
        let promised = truth.is_none_or(|found| found.seq > clear_to);
        if promised && window.is_exact_for(clear_to) {
            prop_assert_eq!(window.find(&asked), truth);
        }
        // What waits finds everything, up to a limit, and costs nothing once it has gone.
        let wanted = stored.iter().filter(|(_, found)| wanted_after.is_some_and(|after| found.seq > after)).count();
        if let Some(after) = wanted_after
            && wanted < entries_max * BUSY_TIMES
        {
            prop_assert!(window.is_exact_for(after.max(begin)));
        }
        prop_assert!(window.order.len() <= entries_max * BUSY_TIMES);
        window.keep_after(None);
        prop_assert!(window.order.len() <= entries_max);
        // The newest ids are never forgotten.
        for (kept, found) in stored.iter().rev().take(entries_max) {
            prop_assert_eq!(window.find(kept), Some(*found));
        }
    }
}
