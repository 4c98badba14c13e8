use proptest::prelude::*;

use super::*;
use crate::domain::Standing;

const LIMITS: Limits = Limits {
    group_members_max: 8,
    call_members_max: 200,
    user_conversations_max: 10,
    user_blocks_max: 10,
    known_users_only: false,
};
const NOW: Timestamp = Timestamp::from_millis(5);

fn user(number: usize) -> UserId {
    UserId::parse(format!("user-{number}")).unwrap()
}

fn member(number: usize, role: Role, from_version: u64) -> Member {
    Member { user: user(number), role, joined_at: NOW, from_version, from_seq: None }
}

/// A group in memory that does what is decided.
struct Group {
    members: Vec<Member>,
    /// Those who are deactivated.
    gone: BTreeSet<UserId>,
    version: u64,
}

impl Group {
    /// User 0 owns, the others are as given, in the order of joining.
    fn of(roles: &[Role]) -> Self {
        let members = roles.iter().enumerate().map(|(n, role)| member(n, *role, n as u64 + 1)).collect();
        Self { members, gone: BTreeSet::new(), version: roles.len() as u64 }
    }

    fn find(&self, user: &UserId) -> Option<&Member> {
        self.members.iter().find(|member| &member.user == user)
    }

    fn active(&self) -> Vec<Member> {
        self.members.iter().filter(|member| !self.gone.contains(&member.user)).cloned().collect()
    }

    /// The active ones.
    fn owners(&self) -> usize {
        self.active().iter().filter(|member| member.role == Owner).count()
    }

    /// A user is deactivated, or active again if they were.
    fn toggle(&mut self, user: &UserId) {
        if !self.gone.remove(user) {
            self.gone.insert(user.clone());
        }
        if self.owners() == 0
            && let Some(effects) = decide_inheritance(&self.active())
        {
            self.apply(&effects);
        }
    }

    fn state(&self, actor: &Member, change: &GroupChange) -> GroupState {
        let owner_count = u32::try_from(self.owners()).unwrap();
        let must_inherit = matches!(change, GroupChange::Leave) && leaves_ownerless(actor.role, owner_count);
        let subject = |user: &UserId| Subject { member: self.find(user).cloned(), candidate: Candidate::default() };
        GroupState {
            kind: Kind::Group,
            version: self.version,
            updated_at: NOW,
            member_count: u32::try_from(self.members.len()).unwrap(),
            owner_count,
            subjects: change.subjects().into_iter().map(|user| (user.clone(), subject(user))).collect(),
            heirs: if must_inherit {
                self.active().into_iter().filter(|m| m.user != actor.user).collect()
            } else {
                Vec::new()
            },
            actor: actor.clone(),
        }
    }

    fn decide(&self, actor: usize, change: &GroupChange) -> Result<Decision, Refusal> {
        let actor = self.find(&user(actor)).ok_or(Refusal::ConversationNotFound)?;
        decide(change, &self.state(actor, change), &LIMITS)
    }

    fn apply(&mut self, effects: &Effects) {
        self.version += 1;
        match &effects.removed {
            Removal::Nobody => {}
            Removal::One(gone, _) => self.members.retain(|member| &member.user != gone),
            Removal::Everybody => self.members.clear(),
        }
        for (user, role) in &effects.roles {
            self.members.iter_mut().find(|member| &member.user == user).expect("a present member").role = *role;
        }
        for (user, role) in &effects.added {
            let from_version = self.version;
            self.members.push(Member { user: user.clone(), role: *role, joined_at: NOW, from_version, from_seq: None });
        }
    }
}

fn effects(decision: Result<Decision, Refusal>) -> Effects {
    match decision {
        Ok(Decision::Apply(effects)) => *effects,
        other => panic!("{other:?}"),
    }
}

use Role::{Admin, Member as Plain, Owner};

#[test]
fn who_may_do_what() {
    let group = Group::of(&[Owner, Owner, Admin, Admin, Plain, Plain]);
    let rename = || GroupChange::Update {
        update: ConversationUpdate { name: Some("x".into()), ..ConversationUpdate::default() },
        etag: None,
    };
    let add = || GroupChange::AddMembers([user(9)].into());
    let remove = |target| GroupChange::RemoveMember(user(target));
    let promote = |target| GroupChange::SetRole { user: user(target), role: Admin };
    let allowed = |actor: usize, change: &GroupChange| match group.decide(actor, change) {
        Ok(_) => true,
        Err(Refusal::RoleRequired { .. }) => false,
        Err(other) => panic!("{other:?}"),
    };
    for (actor, [renames, adds, removes_member, removes_admin, removes_owner, promotes]) in [
        (0, [true, true, true, true, false, true]),
        (2, [true, true, true, false, false, false]),
        (4, [false, false, false, false, false, false]),
    ] {
        assert_eq!(allowed(actor, &rename()), renames, "{actor} renames");
        assert_eq!(allowed(actor, &add()), adds, "{actor} adds");
        assert_eq!(allowed(actor, &remove(5)), removes_member, "{actor} removes a member");
        assert_eq!(allowed(actor, &remove(3)), removes_admin, "{actor} removes an admin");
        assert_eq!(allowed(actor, &remove(1)), removes_owner, "{actor} removes an owner");
        assert_eq!(allowed(actor, &promote(5)), promotes, "{actor} promotes");
        assert!(allowed(actor, &GroupChange::Leave), "{actor} leaves");
        assert_eq!(allowed(actor, &GroupChange::Delete), actor == 0, "{actor} deletes");
    }
}

#[test]
fn nothing_changes_a_direct() {
    let group = Group::of(&[Owner, Plain]);
    let changes = [
        GroupChange::Leave,
        GroupChange::Delete,
        GroupChange::RemoveMember(user(1)),
        GroupChange::AddMembers([user(2)].into()),
        GroupChange::SetRole { user: user(1), role: Admin },
        GroupChange::Update { update: ConversationUpdate::default(), etag: None },
    ];
    for change in changes {
        let state = GroupState { kind: Kind::Direct, ..group.state(&group.members[0], &change) };
        assert_eq!(decide(&change, &state, &LIMITS), Err(Refusal::DirectIsFixed));
    }
}

#[test]
fn the_oldest_admin_inherits_then_the_oldest_member() {
    let heir_of = |group: &Group| match effects(group.decide(0, &GroupChange::Leave)).entry {
        SystemEntry::MemberRemoved { left: true, new_owner, .. } => new_owner,
        other => panic!("{other:?}"),
    };
    assert_eq!(heir_of(&Group::of(&[Owner, Plain, Admin, Admin])), Some(user(2)));
    assert_eq!(heir_of(&Group::of(&[Owner, Plain, Plain])), Some(user(1)));
    assert_eq!(heir_of(&Group::of(&[Owner, Plain, Owner])), None);
    assert_eq!(heir_of(&Group::of(&[Owner])), None);
    // Joined by the same change: the first by id.
    let mut group = Group::of(&[Owner, Plain, Plain]);
    group.members[1].from_version = 3;
    group.members.swap(1, 2);
    assert_eq!(heir_of(&group), Some(user(1)));
}

#[test]
fn who_is_deactivated_does_not_inherit_and_leaves_the_group_to_somebody_who_is_active() {
    let owners = |group: &Group| -> Vec<_> {
        group.members.iter().filter(|member| member.role == Owner).map(|member| member.user.clone()).collect()
    };
    // The admin is away: the oldest active member it is.
    let mut group = Group::of(&[Owner, Plain, Admin, Plain]);
    group.toggle(&user(2));
    let left = effects(group.decide(0, &GroupChange::Leave));
    assert_eq!(left.roles, [(user(1), Owner)]);
    // Whoever is deactivated keeps the role, and is an owner again when they come back.
    group.toggle(&user(0));
    assert_eq!(owners(&group), [user(0), user(1)]);
    group.toggle(&user(0));
    assert_eq!(owners(&group), [user(0), user(1)]);
    // An owner who is away may be made a member by the only one who is not.
    group.toggle(&user(0));
    effects(group.decide(1, &GroupChange::SetRole { user: user(0), role: Plain }));
    let oneself = group.decide(1, &GroupChange::SetRole { user: user(1), role: Plain });
    assert_eq!(oneself, Err(Refusal::LastOwner));
    // Nobody is left who could inherit: the first to come back does.
    for away in [1, 3] {
        group.toggle(&user(away));
    }
    assert_eq!((group.owners(), group.active().len()), (0, 0));
    group.toggle(&user(2));
    assert_eq!((group.owners(), group.active().len()), (1, 1));
    assert!(owners(&group).contains(&user(2)));
}

#[test]
fn the_last_owner_stays_one() {
    let demote = |target| GroupChange::SetRole { user: user(target), role: Plain };
    assert_eq!(Group::of(&[Owner, Admin]).decide(0, &demote(0)), Err(Refusal::LastOwner));
    effects(Group::of(&[Owner, Owner]).decide(0, &demote(0)));
    effects(Group::of(&[Owner, Owner]).decide(0, &demote(1)));
}

#[test]
fn the_same_role_again_changes_nothing() {
    let again = GroupChange::SetRole { user: user(0), role: Owner };
    assert_eq!(Group::of(&[Owner, Plain]).decide(0, &again), Ok(Decision::Unchanged));
}

#[test]
fn subjects_are_members_or_not_as_the_change_needs_them() {
    let group = Group::of(&[Owner, Plain]);
    let add = |number| GroupChange::AddMembers([user(number)].into());
    assert_eq!(group.decide(0, &add(1)), Err(Refusal::MemberExists { user: user(1) }));
    assert_eq!(group.decide(0, &add(0)), Err(Refusal::MemberExists { user: user(0) }));
    let remove = GroupChange::RemoveMember(user(9));
    assert_eq!(group.decide(0, &remove), Err(Refusal::NotAMember { user: user(9) }));
    assert_eq!(group.decide(0, &GroupChange::RemoveMember(user(0))), Err(Refusal::RemovesOneself));
    let role = GroupChange::SetRole { user: user(9), role: Admin };
    assert_eq!(group.decide(0, &role), Err(Refusal::NotAMember { user: user(9) }));
}

#[test]
fn limits_hold_at_their_edge() {
    let group = Group::of(&[Owner, Plain, Plain, Plain]);
    let add = |count: usize| GroupChange::AddMembers((10..10 + count).map(user).collect());
    effects(group.decide(0, &add(4)));
    let refused = group.decide(0, &add(5));
    assert_eq!(refused, Err(Refusal::LimitExceeded { limit: LimitKind::GroupMembers, max: 8, user: None }));

    let change = add(1);
    let mut state = group.state(&group.members[0], &change);
    state.subjects.get_mut(&user(10)).unwrap().candidate.conversation_count = 9;
    decide(&change, &state, &LIMITS).unwrap();
    state.subjects.get_mut(&user(10)).unwrap().candidate.conversation_count = 10;
    let full = Refusal::LimitExceeded { limit: LimitKind::UserConversations, max: 10, user: Some(user(10)) };
    assert_eq!(decide(&change, &state, &LIMITS), Err(full));
}

#[test]
fn only_who_takes_part_is_added() {
    let group = Group::of(&[Owner]);
    let change = GroupChange::AddMembers([user(10)].into());
    let mut state = group.state(&group.members[0], &change);
    let nobody = Err(Refusal::UserNotFound { user: user(10) });
    let strict = Limits { known_users_only: true, ..LIMITS };
    assert_eq!(decide(&change, &state, &strict), nobody);
    decide(&change, &state, &LIMITS).unwrap();
    state.subjects.get_mut(&user(10)).unwrap().candidate.standing = Standing::Active;
    decide(&change, &state, &strict).unwrap();
    state.subjects.get_mut(&user(10)).unwrap().candidate.standing = Standing::Deactivated;
    assert_eq!(decide(&change, &state, &LIMITS), nobody);
}

#[test]
fn an_update_asks_for_the_present_etag() {
    let group = Group::of(&[Owner]);
    let rename = |etag: &str| GroupChange::Update {
        update: ConversationUpdate { name: Some("x".into()), ..ConversationUpdate::default() },
        etag: Some(etag.to_owned()),
    };
    let current = etag(1, NOW);
    effects(group.decide(0, &rename(&current)));
    assert_eq!(group.decide(0, &rename("0-0")), Err(Refusal::EtagMismatch { current }));
}

fn any_change() -> impl Strategy<Value = GroupChange> {
    let users = 0..6_usize;
    prop_oneof![
        prop::collection::btree_set(users.clone().prop_map(user), 1..3).prop_map(GroupChange::AddMembers),
        users.clone().prop_map(|number| GroupChange::RemoveMember(user(number))),
        Just(GroupChange::Leave),
        (users, prop_oneof![Just(Plain), Just(Admin), Just(Owner)])
            .prop_map(|(number, role)| GroupChange::SetRole { user: user(number), role }),
        Just(GroupChange::Update { update: ConversationUpdate::default(), etag: None }),
        Just(GroupChange::Delete),
    ]
}

proptest! {
    /// Whatever members do, in whatever order.
    #[test]
    fn a_group_with_active_members_has_an_active_owner_and_nobody_acts_above_their_role(
        changes in prop::collection::vec((0..6_usize, prop::option::weighted(0.8, any_change())), 1..60)
    ) {
        let mut group = Group::of(&[Owner, Plain, Admin]);
        for (actor, change) in changes {
            let Some(change) = change else {
                group.toggle(&user(actor));
                prop_assert!(group.active().is_empty() || group.owners() >= 1, "no owner after {:?}", group.gone);
                continue;
            };
            if group.gone.contains(&user(actor)) {
                continue;
            }
            let before: BTreeMap<_, _> = group.members.iter().map(|m| (m.user.clone(), m.role)).collect();
            let Ok(Decision::Apply(effects)) = group.decide(actor, &change) else { continue };
            let actor_role = before[&user(actor)];
            if effects.removed == Removal::Everybody {
                prop_assert_eq!((actor_role, &effects.entry), (Owner, &SystemEntry::Closed));
            }
            if let Removal::One(gone, role) = &effects.removed {
                prop_assert_eq!(before.get(gone), Some(role));
                prop_assert!(gone == &user(actor) || actor_role > *role, "{:?} removed {:?}", actor_role, role);
            }
            for (added, role) in &effects.added {
                prop_assert!(actor_role >= Admin && *role == Plain && !before.contains_key(added));
            }
            if matches!(change, GroupChange::SetRole { .. }) {
                prop_assert_eq!(actor_role, Owner);
            }
            group.apply(&effects);
            prop_assert!(group.active().is_empty() || group.owners() >= 1, "no owner after {:?}", change);
            prop_assert!(group.members.len() <= LIMITS.group_members_max as usize);
        }
    }
}
