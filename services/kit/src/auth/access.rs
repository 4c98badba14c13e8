use std::collections::HashMap;

use super::caller::{Caller, Scope};
use crate::error::{Error, Reason, Result};

/// Whom a method takes. Everybody else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// End users by token, and services with `act_for_users` that act for one.
    pub users: bool,
    /// Services that act for themselves and have this scope.
    pub service: Option<Scope>,
    /// Anybody.
    pub anonymous: bool,
}

impl Access {
    /// End users, and services that act for one.
    pub const USERS: Self = Self { users: true, service: None, anonymous: false };
    /// Anybody, without a token. For health and reflection only.
    pub const ANONYMOUS: Self = Self { users: true, service: None, anonymous: true };

    /// Services with this scope that act for themselves.
    pub const fn service(scope: Scope) -> Self {
        Self { users: false, service: Some(scope), anonymous: false }
    }

    /// Both: users, and services with this scope that act for themselves.
    pub const fn users_or_service(scope: Scope) -> Self {
        Self { users: true, service: Some(scope), anonymous: false }
    }

    /// Whether the public door carries the method: users may call it, and it is not merely open to everybody.
    pub const fn is_public(&self) -> bool {
        self.users && !self.anonymous
    }

    /// Whether this caller may make this call.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for the anonymous, else `PERMISSION_DENIED`.
    pub fn check(&self, caller: &Caller) -> Result<()> {
        match caller {
            Caller::Anonymous if self.anonymous => Ok(()),
            Caller::Anonymous => Err(Error::new(Reason::Unauthenticated, "the call carries no identity")),
            Caller::User(_) if self.users => Ok(()),
            Caller::User(_) => Err(denied("the method is for services")),
            Caller::Service { identity, on_behalf_of: Some(_) } => {
                if !identity.scopes.contains(Scope::ActForUsers) {
                    Err(needs(Scope::ActForUsers))
                } else if self.users {
                    Ok(())
                } else {
                    Err(denied("the method does not act for users"))
                }
            }
            Caller::Service { identity, on_behalf_of: None } => match self.service {
                _ if self.anonymous => Ok(()),
                Some(scope) if identity.scopes.contains(scope) => Ok(()),
                Some(scope) => Err(needs(scope)),
                None => Err(denied("the method needs a user to act for")),
            },
        }
    }

    /// Whether this caller may open a stream on which each request is checked by itself: a service that may act for
    /// users names them only there.
    ///
    /// # Errors
    /// As [`Access::check`].
    pub fn check_opening(&self, caller: &Caller) -> Result<()> {
        match caller {
            Caller::Service { identity, on_behalf_of: None }
                if self.users && identity.scopes.contains(Scope::ActForUsers) =>
            {
                Ok(())
            }
            _ => self.check(caller),
        }
    }
}

fn denied(message: &str) -> Error {
    Error::new(Reason::PermissionDenied, message)
}

fn needs(scope: Scope) -> Error {
    denied("the service lacks a scope").with_metadata("scope", scope.as_str())
}

/// One method and whom it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodRule {
    /// Its path, like `/viberchat.message.v1.MessageService/SendMessage`.
    pub path: &'static str,
    /// Whom it takes.
    pub access: Access,
    /// Whether its requests come as a stream and are authorized one by one.
    pub streaming: bool,
}

impl MethodRule {
    /// A method with one request.
    pub const fn unary(path: &'static str, access: Access) -> Self {
        Self { path, access, streaming: false }
    }

    /// A method with a stream of requests.
    pub const fn streaming(path: &'static str, access: Access) -> Self {
        Self { path, access, streaming: true }
    }
}

/// Health and reflection, for every internal listener.
pub const OPEN_METHODS: &[MethodRule] = &[
    MethodRule::unary("/grpc.health.v1.Health/Check", Access::ANONYMOUS),
    MethodRule::unary("/grpc.health.v1.Health/List", Access::ANONYMOUS),
    MethodRule::unary("/grpc.health.v1.Health/Watch", Access::ANONYMOUS),
    MethodRule::streaming("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Access::ANONYMOUS),
    MethodRule::streaming("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Access::ANONYMOUS),
];

/// Every method that a listener carries.
#[derive(Clone, Debug, Default)]
pub struct MethodTable(HashMap<&'static str, &'static MethodRule>);

impl MethodTable {
    /// The methods of these services.
    ///
    /// # Panics
    /// When two rules name the same path, which would leave open which one holds.
    pub fn new(services: &[&'static [MethodRule]]) -> Self {
        let mut table = HashMap::new();
        for rule in services.iter().flat_map(|rules| rules.iter()) {
            let earlier = table.insert(rule.path, rule);
            assert!(earlier.is_none(), "two access rules for {}", rule.path);
        }
        Self(table)
    }

    /// The rule of a path. `None`: the call is to be refused.
    pub fn find(&self, path: &str) -> Option<&'static MethodRule> {
        self.0.get(path).copied()
    }

    /// All rules, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &'static MethodRule> {
        self.0.values().copied()
    }
}

#[cfg(test)]
mod tests;
