use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::UserId;

/// What a service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Call in the name of users.
    ActForUsers = 1,
    /// Ask who may do what.
    Authorize = 1 << 1,
    /// Carry entries and changes between services.
    Relay = 1 << 2,
    /// Maintain the user directory.
    Directory = 1 << 3,
    /// Operate the installation.
    Admin = 1 << 4,
}

impl Scope {
    /// All of them.
    pub const ALL: &[Self] = &[Self::ActForUsers, Self::Authorize, Self::Relay, Self::Directory, Self::Admin];

    /// What it allows, for the documentation. [`super::MethodRule`] says the methods.
    pub const fn description(self) -> &'static str {
        match self {
            Self::ActForUsers => {
                "Call every method for users in the name of any user, named by the metadata `viberchat-on-behalf-of`. \
                 What the user may not do, the service may not do for them."
            }
            Self::Authorize => {
                "Ask who is a member of what and who shares a conversation with whom; follow its changes."
            }
            Self::Relay => {
                "Carry entries, changes and positions between the services of a deployment. Not for backends."
            }
            Self::Directory => "Push users into the directory, and deactivate them.",
            Self::Admin => "Operate the installation: look at sessions, disconnect users, drain a gateway.",
        }
    }

    /// As it stands in tokens and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActForUsers => "act_for_users",
            Self::Authorize => "authorize",
            Self::Relay => "relay",
            Self::Directory => "directory",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope; there are act_for_users, authorize, relay, directory and admin")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == name).ok_or(UnknownScope)
    }
}

/// Any number of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

impl ScopeSet {
    /// None at all.
    pub const EMPTY: Self = Self(0);

    /// These.
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut set = Self::EMPTY;
        let mut index = 0;
        while index < scopes.len() {
            set = set.with(scopes[index]);
            index += 1;
        }
        set
    }

    /// One more.
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope as u8)
    }

    /// Whether `scope` is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A service or backend, as its token, its certificate or the process it runs in says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// Its name, stored with what it writes.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: ScopeSet,
}

impl ServiceIdentity {
    /// For a service of this process.
    pub fn new(name: impl Into<Arc<str>>, scopes: &[Scope]) -> Self {
        Self { name: name.into(), scopes: ScopeSet::of(scopes) }
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody known.
    Anonymous,
    /// An end user by a token.
    User(UserId),
    /// A service, for itself or for a user.
    Service {
        /// Which one.
        identity: ServiceIdentity,
        /// The user that it acts for.
        on_behalf_of: Option<UserId>,
    },
}

impl Caller {
    /// The user who acts, or who is acted for.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
            Self::Service { on_behalf_of, .. } => on_behalf_of.as_ref(),
        }
    }

    /// The service that acts, for itself or for a user.
    pub fn service_name(&self) -> Option<&str> {
        match self {
            Self::Anonymous | Self::User(_) => None,
            Self::Service { identity, .. } => Some(&identity.name),
        }
    }

    /// Whether a service calls that has this scope.
    pub fn has_scope(&self, scope: Scope) -> bool {
        matches!(self, Self::Service { identity, .. } if identity.scopes.contains(scope))
    }
}
