use super::super::entry::MemberRole;
use super::super::visibility::{History, View};
use super::*;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn added(name: &str) -> SystemBody {
    SystemBody::MembersAdded(vec![MemberRole { user: user(name), role: Role::Member }])
}

fn removed(name: &str, heir: Option<&str>) -> SystemBody {
    SystemBody::MemberRemoved { user: user(name), left: false, new_owner: heir.map(user) }
}

#[test]
fn the_last_change_after_the_answer_decides() {
    let mut changes = Changes::since(1, 100);
    changes.apply(2, &added("bob"));
    changes.apply(3, &removed("bob", None));
    assert_eq!(changes.role_after(&user("bob"), 1), Some(None));
    assert_eq!(changes.role_after(&user("bob"), 2), Some(None));
    assert_eq!(changes.role_after(&user("bob"), 3), None, "an answer of the same version knows it");
    changes.apply(4, &added("bob"));
    assert_eq!(changes.role_after(&user("bob"), 3), Some(Some(Role::Member)));
    assert_eq!(changes.role_after(&user("carol"), 1), None);
}

#[test]
fn an_heir_becomes_owner() {
    let mut changes = Changes::since(1, 100);
    changes.apply(2, &removed("alice", Some("bob")));
    assert_eq!(changes.role_after(&user("bob"), 1), Some(Some(Role::Owner)));
}

#[test]
fn what_was_forgotten_is_not_covered() {
    let mut changes = Changes::since(1, 2);
    for version in 2..=5 {
        changes.apply(version, &added(&format!("user{version}")));
    }
    assert!(!changes.cover(2), "the change of version 3 is forgotten");
    assert!(changes.cover(3));
    assert_eq!(changes.role_after(&user("user4"), 3), Some(Some(Role::Member)));
    assert_eq!(changes.role_after(&user("user2"), 1), None);
}

#[test]
fn forgetting_an_old_change_keeps_a_users_later_one() {
    let mut changes = Changes::since(0, 2);
    changes.apply(1, &added("bob"));
    changes.apply(2, &removed("bob", None));
    changes.apply(3, &added("carol"));
    assert_eq!(changes.role_after(&user("bob"), 1), Some(None));
}

#[test]
fn a_member_whose_stay_has_not_begun_waits() {
    let standing = Standing {
        version: 3,
        kind: Some(ConversationKind::Group),
        role: Some(Role::Member),
        joined: false,
        was_member: false,
        peer_gone: false,
        joined_seq: 0,
        blocked: false,
        member_count: 2,
        view: View::of(History::Shared, &[], 0),
    };
    assert_eq!(standing.reader(), Err(Refusal::MembershipPending));
    let joined = Standing { joined: true, ..standing.clone() };
    assert_eq!(joined.reader(), Ok(Role::Member));
    let removed = Standing { role: None, joined: true, was_member: true, ..standing };
    assert_eq!(removed.reader(), Err(Refusal::NotMember));
}
