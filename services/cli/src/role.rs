//! What a process runs, and what each service is to the others.

use viberchat_kit::auth::{MethodRule, Scope};

/// What `viberchat serve` runs in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// All services in one process
    All,
    /// Conversations, members, users
    Conversation,
    /// The log of each conversation
    Message,
    /// Who is there and who types
    Presence,
    /// Sockets, and the web client
    Gateway,
}

/// A service. In one process or in several, it is the same to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Conversation,
    Message,
    Presence,
    Gateway,
}

impl Role {
    /// Whether the service runs in this process.
    pub(crate) fn runs(self, service: Service) -> bool {
        match self {
            Self::All => true,
            Self::Conversation => service == Service::Conversation,
            Self::Message => service == Service::Message,
            Self::Presence => service == Service::Presence,
            Self::Gateway => service == Service::Gateway,
        }
    }

    /// The services of this process.
    pub(crate) fn services(self) -> impl Iterator<Item = Service> {
        Service::ALL.into_iter().filter(move |service| self.runs(*service))
    }

    /// The services that are called and run elsewhere.
    pub(crate) fn needs(self) -> impl Iterator<Item = Service> {
        let is_called = move |callee: &Service| self.services().any(|service| service.calls().contains(callee));
        Service::ALL.into_iter().filter(move |service| !self.runs(*service)).filter(is_called)
    }
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Conversation, Self::Message, Self::Presence, Self::Gateway];

    /// As it is called on the command line, in the configuration, and in its token.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Gateway => "gateway",
        }
    }

    /// Whom it calls.
    pub(crate) const fn calls(self) -> &'static [Self] {
        match self {
            Self::Conversation => &[Self::Message],
            Self::Message | Self::Presence => &[Self::Conversation],
            Self::Gateway => &[Self::Conversation, Self::Message, Self::Presence],
        }
    }

    /// Whether its instances tell each other what they do, on the bus.
    pub(crate) const fn is_told_of_others(self) -> bool {
        matches!(self, Self::Conversation | Self::Message | Self::Presence)
    }

    /// What it may do at the others.
    pub(crate) const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Conversation => &[Scope::Relay],
            Self::Message => &[Scope::Authorize, Scope::Relay],
            Self::Presence => &[Scope::Authorize],
            Self::Gateway => &[Scope::ActForUsers, Scope::Authorize, Scope::Relay],
        }
    }

    /// Whom its own methods take.
    pub(crate) const fn methods(self) -> &'static [MethodRule] {
        match self {
            Self::Conversation => viberchat_conversation::METHODS,
            Self::Message => viberchat_message::METHODS,
            Self::Presence => viberchat_presence::METHODS,
            Self::Gateway => viberchat_gateway::METHODS,
        }
    }

    /// The gRPC services that it is, for health and reflection.
    pub(crate) const fn grpc_names(self) -> &'static [&'static str] {
        match self {
            Self::Conversation => {
                &["viberchat.conversation.v1.ConversationService", "viberchat.conversation.v1.UserDirectoryService"]
            }
            Self::Message => &["viberchat.message.v1.MessageService"],
            Self::Presence => &["viberchat.presence.v1.PresenceService"],
            Self::Gateway => &["viberchat.gateway.v1.GatewayAdminService"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(role: Role) -> Vec<&'static str> {
        role.needs().map(Service::name).collect()
    }

    #[test]
    fn a_process_needs_whom_its_services_call_and_it_does_not_run() {
        assert_eq!(needs(Role::All), Vec::<&str>::new());
        assert_eq!(needs(Role::Conversation), ["message"]);
        assert_eq!(needs(Role::Message), ["conversation"]);
        assert_eq!(needs(Role::Presence), ["conversation"]);
        assert_eq!(needs(Role::Gateway), ["conversation", "message", "presence"]);
    }

    /// A service that is left out would have no health, and its methods no place in reflection.
    #[test]
    fn the_names_of_a_service_are_those_of_its_methods() {
        for service in Service::ALL {
            for rule in service.methods() {
                let name = rule.path.trim_start_matches('/').split('/').next().unwrap_or_default();
                assert!(service.grpc_names().contains(&name), "{}", rule.path);
            }
        }
    }
}
