//! What callers ask of a group, and what the rules make of it.
//!
//! The store loads a [`GroupState`] inside its transaction, [`decide`] says what to do, the store does it. So every
//! engine follows the same rules, on a state that nobody else can change meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, UserId};

use super::{Candidate, History, Kind, LimitKind, Limits, Member, Metadata, Refusal, Role, check_candidate, etag};

/// New values of a group; absent ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConversationUpdate {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) avatar_url: Option<String>,
    pub(crate) history: Option<History>,
    /// Whole.
    pub(crate) metadata: Option<Metadata>,
}

/// What a member asks of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupChange {
    /// `etag`: only if the group still has it.
    Update {
        update: ConversationUpdate,
        etag: Option<String>,
    },
    /// Each user once.
    AddMembers(BTreeSet<UserId>),
    RemoveMember(UserId),
    Leave,
    SetRole {
        user: UserId,
        role: Role,
    },
    /// For everybody, for ever.
    Delete,
}

impl GroupChange {
    /// The users that it is about, besides the one who asks.
    pub(crate) fn subjects(&self) -> Vec<&UserId> {
        match self {
            Self::AddMembers(users) => users.iter().collect(),
            Self::RemoveMember(user) | Self::SetRole { user, .. } => vec![user],
            Self::Update { .. } | Self::Leave | Self::Delete => Vec::new(),
        }
    }
}

/// A group to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewGroup {
    pub(crate) id: ConversationId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) avatar_url: String,
    pub(crate) history: History,
    pub(crate) metadata: Metadata,
    /// Becomes the owner.
    pub(crate) creator: UserId,
    /// Without the creator.
    pub(crate) members: BTreeSet<UserId>,
}

/// What the rules have to know of a user whom a change is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) member: Option<Member>,
    /// Only known for those who may be added.
    pub(crate) candidate: Candidate,
}

/// What the rules have to know of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupState {
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    pub(crate) updated_at: Timestamp,
    pub(crate) member_count: u32,
    /// Owners who are not deactivated: one who is cannot look after the group.
    pub(crate) owner_count: u32,
    /// The one who asks; never deactivated.
    pub(crate) actor: Member,
    /// One for each of [`GroupChange::subjects`].
    pub(crate) subjects: BTreeMap<UserId, Subject>,
    /// All members but the actor and those who are deactivated, if [`leaves_ownerless`]; else nobody.
    pub(crate) heirs: Vec<Member>,
}

/// What the log says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SystemEntry {
    Created {
        name: String,
        members: Vec<(UserId, Role)>,
        history: History,
    },
    Updated(ConversationUpdate),
    MembersAdded(Vec<(UserId, Role)>),
    MemberRemoved {
        user: UserId,
        left: bool,
        new_owner: Option<UserId>,
    },
    RoleChanged {
        user: UserId,
        role: Role,
    },
    /// The last one.
    Closed,
}

/// Who is a member no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Nobody,
    /// With the role that the user had.
    One(UserId, Role),
    /// The group is deleted.
    Everybody,
}

/// What to do. Whoever is added is added with the role; `roles` are of present members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) update: Option<ConversationUpdate>,
    pub(crate) added: Vec<(UserId, Role)>,
    pub(crate) removed: Removal,
    pub(crate) roles: Vec<(UserId, Role)>,
    pub(crate) entry: SystemEntry,
}

impl Effects {
    fn of(entry: SystemEntry) -> Self {
        Self { update: None, added: Vec::new(), removed: Removal::Nobody, roles: Vec::new(), entry }
    }
}

/// What a change comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// All is as asked already: no version, no entry.
    Unchanged,
    Apply(Box<Effects>),
}

/// Whether nobody would look after the group if this member left.
pub(crate) fn leaves_ownerless(role: Role, owner_count: u32) -> bool {
    role == Role::Owner && owner_count <= 1
}

/// The members of a new group, with their roles, by user id. `candidates` has everybody in it.
///
/// # Errors
/// [`Refusal::UserNotFound`], [`Refusal::LimitExceeded`].
pub(crate) fn decide_creation(
    group: &NewGroup,
    candidates: &BTreeMap<UserId, Candidate>,
    limits: &Limits,
) -> Result<Vec<(UserId, Role)>, Refusal> {
    let mut members: Vec<_> = group.members.iter().map(|user| (user.clone(), Role::Member)).collect();
    members.push((group.creator.clone(), Role::Owner));
    members.sort();
    check_group_size(0, members.len(), limits)?;
    for (user, _) in &members {
        check_candidate(user, candidates.get(user).copied().unwrap_or_default(), limits)?;
    }
    Ok(members)
}

/// What a change comes to in this state.
///
/// # Errors
/// Why it is refused.
pub(crate) fn decide(change: &GroupChange, state: &GroupState, limits: &Limits) -> Result<Decision, Refusal> {
    if state.kind == Kind::Direct {
        return Err(Refusal::DirectIsFixed);
    }
    match change {
        GroupChange::Update { update, etag } => decide_update(update, etag.as_deref(), state),
        GroupChange::AddMembers(users) => decide_addition(users, state, limits),
        GroupChange::RemoveMember(user) => decide_removal(user, state),
        GroupChange::Leave => Ok(decide_leaving(state)),
        GroupChange::SetRole { user, role } => decide_role(user, *role, state),
        GroupChange::Delete => decide_deletion(state),
    }
}

fn decide_update(update: &ConversationUpdate, wanted: Option<&str>, state: &GroupState) -> Result<Decision, Refusal> {
    require(state, Role::Admin)?;
    let current = etag(state.version, state.updated_at);
    if wanted.is_some_and(|wanted| wanted != current) {
        return Err(Refusal::EtagMismatch { current });
    }
    let effects = Effects { update: Some(update.clone()), ..Effects::of(SystemEntry::Updated(update.clone())) };
    Ok(apply(effects))
}

fn decide_addition(users: &BTreeSet<UserId>, state: &GroupState, limits: &Limits) -> Result<Decision, Refusal> {
    require(state, Role::Admin)?;
    for user in users {
        let subject = state.subjects.get(user);
        if user == &state.actor.user || subject.is_some_and(|subject| subject.member.is_some()) {
            return Err(Refusal::MemberExists { user: user.clone() });
        }
        check_candidate(user, subject.map_or_else(Candidate::default, |subject| subject.candidate), limits)?;
    }
    check_group_size(state.member_count, users.len(), limits)?;
    let added: Vec<_> = users.iter().map(|user| (user.clone(), Role::Member)).collect();
    Ok(apply(Effects { added: added.clone(), ..Effects::of(SystemEntry::MembersAdded(added)) }))
}

fn decide_removal(user: &UserId, state: &GroupState) -> Result<Decision, Refusal> {
    require(state, Role::Admin)?;
    if user == &state.actor.user {
        return Err(Refusal::RemovesOneself);
    }
    let target = subject_member(user, state)?;
    match target.role {
        Role::Member => {}
        Role::Admin => require(state, Role::Owner)?,
        // An owner is made a member first; so that a group is never without one, and nobody by accident.
        Role::Owner => return Err(Refusal::RoleRequired { needed: Role::Owner }),
    }
    let entry = SystemEntry::MemberRemoved { user: user.clone(), left: false, new_owner: None };
    Ok(apply(Effects { removed: Removal::One(user.clone(), target.role), ..Effects::of(entry) }))
}

fn decide_leaving(state: &GroupState) -> Decision {
    let actor = &state.actor;
    let ownerless = leaves_ownerless(actor.role, state.owner_count);
    let heir = if ownerless { heir(&state.heirs) } else { None };
    let new_owner = heir.map(|heir| heir.user.clone());
    let roles = new_owner.iter().map(|user| (user.clone(), Role::Owner)).collect();
    let entry = SystemEntry::MemberRemoved { user: actor.user.clone(), left: true, new_owner };
    apply(Effects { removed: Removal::One(actor.user.clone(), actor.role), roles, ..Effects::of(entry) })
}

/// What becomes of a group whose owners are all deactivated, or that has none: the oldest admin among the active
/// members, then the oldest member, becomes an owner, too. `None`: nobody is active. Then the group waits, and whoever is
/// active again first inherits it.
pub(crate) fn decide_inheritance(active: &[Member]) -> Option<Effects> {
    let heir = heir(active)?.user.clone();
    let entry = SystemEntry::RoleChanged { user: heir.clone(), role: Role::Owner };
    Some(Effects { roles: vec![(heir, Role::Owner)], ..Effects::of(entry) })
}

/// The oldest admin, else the oldest member. Those who joined by the same change are as old: then the first by id.
fn heir(members: &[Member]) -> Option<&Member> {
    members.iter().min_by_key(|member| (std::cmp::Reverse(member.role), member.from_version, &member.user))
}

fn decide_role(user: &UserId, role: Role, state: &GroupState) -> Result<Decision, Refusal> {
    require(state, Role::Owner)?;
    let present = if user == &state.actor.user { &state.actor } else { subject_member(user, state)? };
    if present.role == role {
        return Ok(Decision::Unchanged);
    }
    // Whoever changes the role of another stays an owner.
    if user == &state.actor.user && leaves_ownerless(present.role, state.owner_count) {
        return Err(Refusal::LastOwner);
    }
    let entry = SystemEntry::RoleChanged { user: user.clone(), role };
    Ok(apply(Effects { roles: vec![(user.clone(), role)], ..Effects::of(entry) }))
}

fn decide_deletion(state: &GroupState) -> Result<Decision, Refusal> {
    require(state, Role::Owner)?;
    Ok(apply(Effects { removed: Removal::Everybody, ..Effects::of(SystemEntry::Closed) }))
}

fn require(state: &GroupState, needed: Role) -> Result<(), Refusal> {
    if state.actor.role >= needed { Ok(()) } else { Err(Refusal::RoleRequired { needed }) }
}

fn subject_member<'a>(user: &UserId, state: &'a GroupState) -> Result<&'a Member, Refusal> {
    let member = state.subjects.get(user).and_then(|subject| subject.member.as_ref());
    member.ok_or_else(|| Refusal::NotAMember { user: user.clone() })
}

fn check_group_size(present: u32, added: usize, limits: &Limits) -> Result<(), Refusal> {
    let max = limits.group_members_max;
    let size = usize::try_from(present).unwrap_or(usize::MAX).saturating_add(added);
    let within = u32::try_from(size).is_ok_and(|size| size <= max);
    if within { Ok(()) } else { Err(Refusal::LimitExceeded { limit: LimitKind::GroupMembers, max, user: None }) }
}

fn apply(effects: Effects) -> Decision {
    Decision::Apply(Box::new(effects))
}

#[cfg(test)]
mod tests;
