use viberchat_proto::message::v1::{ConversationUpdated, EntryBody, MessageEdited, MessageSent, ReactionAdded};

use super::*;

fn entry(seq: u64, version: u64, body: Body) -> Visibility {
    let body = Some(EntryBody { body: Some(body) });
    Visibility::of(&LogEntry { seq, conversation_version: version, body, ..LogEntry::default() })
}

fn message(seq: u64, version: u64) -> Visibility {
    entry(seq, version, Body::Message(MessageSent::default()))
}

fn reaction(seq: u64, message_seq: u64) -> Visibility {
    entry(seq, 9, Body::ReactionAdded(ReactionAdded { message_seq, ..ReactionAdded::default() }))
}

fn answer(history: HistoryVisibility, spans: &[(u64, u64)], cleared_seq: u64) -> AuthorizeMemberResponse {
    let spans = spans.iter().map(|(from_seq, to_seq)| Span { from_seq: *from_seq, to_seq: *to_seq }).collect();
    AuthorizeMemberResponse { history: history.into(), spans, cleared_seq, ..AuthorizeMemberResponse::default() }
}

/// A view whose first entry was 10, asked about 3, with this answer.
fn asked(answer: &AuthorizeMemberResponse) -> View {
    let mut view = View::of_follower(false, 0);
    assert_eq!(view.way(&message(10, 1)), Way::Push);
    assert_eq!(view.way(&reaction(11, 3)), Way::ReadAndAsk);
    view.begin_asking(7);
    assert_eq!(view.way(&reaction(12, 3)), Way::Read, "asked once");
    view.answer(7, Some(answer));
    view
}

#[test]
fn entries_from_before_the_joining_are_read() {
    let mut view = View::of_follower(false, 5);
    assert_eq!(view.way(&message(8, 4)), Way::Read);
    assert_eq!(view.way(&message(9, 5)), Way::Push, "the joining itself, or later");
    assert_eq!(view.way(&reaction(10, 9)), Way::Push);
    assert_eq!(view.way(&reaction(11, 8)), Way::ReadAndAsk);
    let mut direct = View::of_follower(true, 5);
    assert_eq!(direct.way(&message(1, 0)), Way::Push);
}

#[test]
fn what_touches_a_message_from_before_the_stay_is_read() {
    let mut view = asked(&answer(HistoryVisibility::SinceJoining, &[(2, 4), (8, 0)], 2));
    for (target, way) in [(1, Way::Read), (2, Way::Read), (3, Way::Push), (5, Way::Read), (8, Way::Push)] {
        assert_eq!(view.way(&reaction(20, target)), way, "message {target}");
    }
    let edit = entry(21, 9, Body::Edited(MessageEdited { message_seq: 5, ..MessageEdited::default() }));
    assert_eq!(view.way(&edit), Way::Read);
    assert_eq!(view.way(&message(22, 9)), Way::Push);
}

#[test]
fn shared_history_is_visible_up_to_what_was_cleared() {
    let mut view = asked(&answer(HistoryVisibility::Shared, &[(8, 0)], 0));
    assert_eq!(view.way(&reaction(20, 1)), Way::Push);
    let mut view = asked(&answer(HistoryVisibility::Shared, &[(8, 0)], 4));
    assert_eq!((view.way(&reaction(20, 4)), view.way(&reaction(21, 5))), (Way::Read, Way::Push));
}

#[test]
fn without_a_stay_nothing_old_is_visible() {
    let mut view = asked(&answer(HistoryVisibility::Shared, &[], 0));
    assert_eq!(view.way(&reaction(20, 3)), Way::Read);
}

#[test]
fn a_change_makes_the_view_unknown_and_an_older_answer_void() {
    let mut view = asked(&answer(HistoryVisibility::Shared, &[(1, 0)], 0));
    view.reset(30);
    assert_eq!(view.way(&reaction(31, 30)), Way::ReadAndAsk);
    view.begin_asking(8);
    view.answer(7, Some(&answer(HistoryVisibility::Shared, &[(1, 0)], 0)));
    assert_eq!(view.way(&reaction(32, 30)), Way::Read, "that was the answer to an older question");
    view.answer(8, None);
    assert_eq!(view.way(&reaction(33, 30)), Way::ReadAndAsk, "without an answer it is asked again");
}

#[test]
fn only_a_change_of_the_history_changes_views() {
    let update = |history: HistoryVisibility| {
        entry(5, 5, Body::ConversationUpdated(ConversationUpdated { history: history.into(), ..<_>::default() }))
    };
    assert!(update(HistoryVisibility::SinceJoining).changes_views);
    assert!(!update(HistoryVisibility::Unspecified).changes_views);
    assert!(!message(5, 5).changes_views);
}
