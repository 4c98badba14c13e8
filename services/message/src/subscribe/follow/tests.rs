use proptest::prelude::*;

use super::*;

#[test]
fn the_next_entry_passes_and_a_gap_is_filled() {
    let mut follow = Follow::new(Viewer::Relay, 1);
    assert_eq!(follow.offer(7), Heard::Nothing, "not started");
    assert_eq!(follow.start(5, 6), Heard::Missing, "6, and the 7 that came meanwhile");
    assert_eq!(follow.offer(6), Heard::Nothing, "it is being filled");
    assert!(follow.fill(6));
    assert!(!follow.fill(6));
    assert!(follow.fill(7));
    assert_eq!(follow.filled(7), Heard::Nothing);
    assert_eq!(follow.offer(8), Heard::Next);
    assert_eq!(follow.offer(8), Heard::Nothing, "hints may repeat");
    assert_eq!(follow.offer(10), Heard::Missing);
}

#[derive(Clone, Debug)]
enum Event {
    /// The log grows, and the bus tells of it or not.
    Append { told: bool },
    /// The bus repeats an old hint.
    Repeat { back: u64 },
    /// An audit tells the head.
    Head,
    /// A fill reads up to so many entries.
    Fill { entries: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(|told| Event::Append { told }),
        1 => (0_u64..6).prop_map(|back| Event::Repeat { back }),
        1 => Just(Event::Head),
        3 => (1_u64..4).prop_map(|entries| Event::Fill { entries }),
    ]
}

proptest! {
    /// Whatever the bus loses and repeats: contiguous, and complete once the last head is known and filled.
    #[test]
    fn what_is_passed_on_has_no_gap(
        begin in 0_u64..5,
        after in 0_u64..5,
        events in prop::collection::vec(event(), 0..80),
    ) {
        let after = after.min(begin);
        let mut head = begin;
        let mut passed = after;
        let mut follow = Follow::new(Viewer::Relay, 1);
        let mut listed = follow.start(after, head) == Heard::Missing;
        for event in events.into_iter().chain([Event::Head]).chain((0..200).map(|_| Event::Fill { entries: 3 })) {
            let heard = match event {
                Event::Append { told } => {
                    head += 1;
                    if told { follow.offer(head) } else { Heard::Nothing }
                }
                Event::Repeat { back } => follow.offer(head.saturating_sub(back)),
                Event::Head => follow.heard_of(head),
                Event::Fill { entries } if listed => {
                    listed = false;
                    for seq in follow.sent() + 1..=head.min(follow.sent() + entries) {
                        prop_assert!(follow.fill(seq));
                        prop_assert_eq!(seq, passed + 1);
                        passed = seq;
                    }
                    follow.filled(head)
                }
                Event::Fill { .. } => Heard::Nothing,
            };
            match heard {
                Heard::Next => {
                    prop_assert_eq!(follow.sent(), passed + 1);
                    passed += 1;
                }
                Heard::Missing => {
                    prop_assert!(!listed, "a conversation is on the list once");
                    listed = true;
                }
                Heard::Nothing => {}
            }
        }
        prop_assert_eq!(passed, head);
    }
}
