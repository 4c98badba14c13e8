//! Who may write at the head of a log.
//!
//! The conversation service says what a user may do at one version of the conversation. The log carries every change of
//! members as an entry with its version. At the head both are joined: a change with a greater version than the answer's
//! decides, else the answer does.

use std::collections::{HashMap, VecDeque};

use viberchat_kit::id::UserId;

use super::entry::SystemBody;
use super::rules::Refusal;
use super::visibility::View;

/// What a member of a group may do. In a direct both are members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Reads, sends, edits and deletes own messages.
    Member,
    /// Also pins, and deletes others' messages.
    Admin,
    /// Also changes roles.
    Owner,
}

/// What kind of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversationKind {
    /// Two users.
    Direct,
    /// Any number.
    Group,
}

/// What the conversation service says about a user at one version of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The version. Everything up to it is in this answer.
    pub(crate) version: u64,
    /// `None`: there is no such conversation.
    pub(crate) kind: Option<ConversationKind>,
    /// `None`: no member.
    pub(crate) role: Option<Role>,
    /// The present stay has begun in the log.
    pub(crate) joined: bool,
    /// The entry with which it began; 0 in a direct.
    pub(crate) joined_seq: u64,
    /// Has been a member before.
    pub(crate) was_member: bool,
    /// A direct without its other user.
    pub(crate) peer_gone: bool,
    /// A direct in which one has blocked the other.
    pub(crate) blocked: bool,
    /// How many members there are.
    pub(crate) member_count: u32,
    /// What of the log the user sees.
    pub(crate) view: View,
}

impl Standing {
    /// Whether a log that ends at `head_seq` has the begin of the present stay.
    pub(crate) fn has_joined_by(&self, head_seq: u64) -> bool {
        self.joined_seq <= head_seq
    }

    /// The role of one who may read now.
    pub(crate) fn reader(&self) -> Result<Role, Refusal> {
        match self.role {
            Some(role) if self.joined => Ok(role),
            Some(_) => Err(Refusal::MembershipPending),
            None => Err(Refusal::NotMember),
        }
    }
}

/// Changes of members that came with entries of the log.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    /// The last change of each user: its version, and the role after it (`None`: gone).
    latest: HashMap<UserId, (u64, Option<Role>)>,
    order: VecDeque<(u64, UserId)>,
    since: u64,
    users_max: usize,
}

impl Changes {
    /// Will know all changes with a greater version than `since`.
    pub(crate) fn since(since: u64, users_max: usize) -> Self {
        Self { latest: HashMap::new(), order: VecDeque::new(), since, users_max }
    }

    /// All changes with a greater version are known here.
    pub(crate) fn lower(&self) -> u64 {
        self.since
    }

    /// Whether all changes after an answer of this version are known here. If not, ask again.
    pub(crate) fn cover(&self, version: u64) -> bool {
        version >= self.since
    }

    /// Learns the entry with this version.
    pub(crate) fn apply(&mut self, version: u64, body: &SystemBody) {
        for (user, role) in roles_after(body) {
            self.latest.insert(user.clone(), (version, role));
            self.order.push_back((version, user));
        }
        while self.order.len() > self.users_max {
            let Some((forgotten, user)) = self.order.pop_front() else { break };
            self.since = self.since.max(forgotten);
            if self.latest.get(&user).is_some_and(|(version, _)| *version == forgotten) {
                self.latest.remove(&user);
            }
        }
    }

    /// The role after the last change of `user`, if that came after `version`. The inner `None`: gone.
    pub(crate) fn role_after(&self, user: &UserId, version: u64) -> Option<Option<Role>> {
        self.latest.get(user).filter(|(changed, _)| *changed > version).map(|(_, role)| *role)
    }
}

/// The roles that an entry gives and takes.
pub(crate) fn roles_after(body: &SystemBody) -> Vec<(UserId, Option<Role>)> {
    match body {
        SystemBody::Created { members, .. } | SystemBody::MembersAdded(members) => {
            members.iter().map(|member| (member.user.clone(), Some(member.role))).collect()
        }
        SystemBody::MemberRemoved { user, new_owner, .. } => {
            let heir = new_owner.iter().map(|heir| (heir.clone(), Some(Role::Owner)));
            std::iter::once((user.clone(), None)).chain(heir).collect()
        }
        SystemBody::RoleChanged(member) => vec![(member.user.clone(), Some(member.role))],
        // Whoever asks after the members of a closed log has asked whether it is closed.
        SystemBody::Updated { .. } | SystemBody::Closed => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
