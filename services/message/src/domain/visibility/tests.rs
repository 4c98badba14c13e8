use proptest::prelude::*;

use super::*;

const HEAD: u64 = 40;

fn span(from_seq: u64, to_seq: u64) -> Span {
    Span { from_seq, to_seq }
}

#[test]
fn both_ends_of_a_stay_are_seen() {
    let view = View::of(History::SinceJoining, &[span(3, 5), span(9, 0)], 0);
    let seen: Vec<u64> = (1..=HEAD).filter(|seq| view.shows(*seq)).collect();
    assert_eq!(seen, [3, 4, 5].into_iter().chain(9..=HEAD).collect::<Vec<_>>());
}

#[test]
fn an_entry_about_a_hidden_message_is_hidden() {
    let view = View::of(History::SinceJoining, &[span(5, 0)], 0);
    assert!(view.shows_entry(7, None) && view.shows_entry(7, Some(5)));
    assert!(!view.shows_entry(7, Some(4)));
    let cleared = View::of(History::Shared, &[], 4);
    assert!(!cleared.shows_entry(7, Some(4)) && cleared.shows_entry(7, Some(5)));
}

#[test]
fn who_has_cleared_everything_there_can_be_sees_nothing() {
    let view = View::of(History::Shared, &[], u64::MAX);
    assert!(!view.shows(u64::MAX));
    assert_eq!((view.hidden_through(3), view.hidden_from(3)), (u64::MAX, None));
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    // Stays in order, the last one open or not; touching and overlapping ones too.
    prop::collection::vec((0..HEAD, 0..12_u64), 0..5).prop_map(|stays| {
        stays.into_iter().map(|(from, long)| span(from, if long == 11 { 0 } else { from.max(1) + long })).collect()
    })
}

/// What the contract says, word by word.
fn naive(history: History, spans: &[Span], cleared: u64, seq: u64) -> bool {
    let in_a_stay = spans.iter().any(|span| seq >= span.from_seq && (span.to_seq == 0 || seq <= span.to_seq));
    seq > cleared && (history == History::Shared || in_a_stay)
}

proptest! {
    #[test]
    fn a_view_is_the_union_of_the_stays_without_what_was_cleared(
        spans in spans(),
        cleared in 0..HEAD,
        shared in any::<bool>(),
    ) {
        let history = if shared { History::Shared } else { History::SinceJoining };
        let view = View::of(history, &spans, cleared);
        let shown = |seq| naive(history, &spans, cleared, seq);
        for seq in 1..=2 * HEAD {
            prop_assert_eq!(view.shows(seq), shown(seq), "{}", seq);
        }
        for place in 0..HEAD {
            // The run of hidden places after it, and before it.
            let through = (place + 1..=4 * HEAD).take_while(|seq| !shown(*seq)).last().unwrap_or(place);
            let through = if through == 4 * HEAD { u64::MAX } else { through };
            prop_assert_eq!(view.hidden_through(place), through, "after {}", place);
            let last_shown = (1..place).rev().find(|seq| shown(*seq));
            prop_assert_eq!(view.hidden_from(place), last_shown.map(|seq| seq + 1), "before {}", place);
        }
    }
}
